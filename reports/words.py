"""This module writes numbers, times and lengths of time as people read them. Undefined is an en dash."""

import math
from collections.abc import Callable

from schemas.times import format_time

UNDEFINED = "–"
MINUS = "−"  # as wide as a plus sign and never broken from its number; a hyphen is neither

DAY_NS = 86_400_000_000_000

Formatter = Callable[[float], str]


def money(value: float) -> str:
    """1234567.891 gives 1,234,567.89; what is below a cent keeps four significant digits."""
    if value and abs(value) < 0.01:
        return _signed(value, f"{abs(value):.4g}")
    return _signed(value, f"{abs(value):,.2f}")


def percent(value: float) -> str:
    """0.1234 gives 12.34%; from ten thousand percent on, no decimals."""
    shown = abs(value) * 100
    return _signed(value, f"{shown:,.0f}%" if shown >= 10_000 else f"{shown:,.2f}%")


def ratio(value: float) -> str:
    """1.23456 gives 1.23."""
    return _signed(value, f"{abs(value):,.2f}")


def count(value: float) -> str:
    """12345.0 gives 12,345."""
    return _signed(value, f"{abs(value):,.0f}")


def quantity(value: float) -> str:
    """As many decimals as the quantity has, at most 8: 1500.0 gives 1,500, 0.25 gives 0.25."""
    return _signed(value, f"{abs(value):,.8f}".rstrip("0").rstrip("."))


def price(value: float) -> str:
    """Six significant digits, and cents at least where they say something: 1234.5 gives 1,234.50, 0.123456 stays."""
    if not value:
        return "0.00"
    digits = max(2, 5 - math.floor(math.log10(abs(value))))
    text = f"{abs(value):,.{min(digits, 10)}f}"
    whole, _, decimals = text.partition(".")
    return _signed(value, f"{whole}.{decimals.rstrip('0'):0<2}")


def days(value: float) -> str:
    """1.5 gives 1.5 days; less than a day is told in hours or minutes."""
    if value >= 1:
        return f"{value:,.0f} days" if value >= 100 else f"{_short(value)} day{'' if value == 1 else 's'}"
    hours = value * 24
    return f"{_short(hours)} h" if hours >= 1 else f"{_short(hours * 60)} min"


def bars(value: float) -> str:
    return f"{_short(value)} bar{'' if value == 1 else 's'}" if value < 100 else f"{value:,.0f} bars"


def time(value: float) -> str:
    """Date alone at midnight, else date and time, UTC."""
    text = format_time(int(value))
    day, _, clock = text.partition("T")
    return day if clock == "00:00:00Z" else f"{day} {clock[:5]}" if clock.endswith(":00Z") else f"{day} {clock[:8]}"


def date(value: float) -> str:
    return format_time(int(value)).partition("T")[0]


def or_undefined(value: float | None, formatter: Formatter) -> str:
    return UNDEFINED if value is None or not math.isfinite(value) else formatter(value)


def _short(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _signed(value: float, text: str) -> str:
    is_zero = not any(digit in text for digit in "123456789")
    return MINUS + text if value < 0 and not is_zero else text
