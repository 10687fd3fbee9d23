"""This module holds what the figures' axes have in common: time axes, axes of money and percent, and the word for nothing."""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, cast

import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, date2num, num2date
from matplotlib.figure import FigureBase
from matplotlib.ticker import Formatter, MaxNLocator

from reports.theme import GRID, MUTED
from reports.view import RunView
from schemas.market_data import Bars, FloatArray, TimeArray

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DAY_NS = 86_400_000_000_000
ROUND_STEPS = (1, 2, 2.5, 5, 10)  # ticks at 100, 150, 200 and not at 90, 120, 150

# Margins in inches. They are fixed, so that the time axes of all figures begin and end at the same place.
LEFT, RIGHT, BOTTOM = 0.86, 0.14, 0.44
EMPTY_INCHES = 1.0  # height of a figure that has nothing to show
BETWEEN = 0.14  # two panels of one figure

Unit = Literal["money", "percent", "price", "number"]


@dataclass(frozen=True, slots=True)
class Scene:
    """What is drawn: the run, and the bars it traded on where they are at hand."""

    view: RunView
    bars: tuple[Bars, ...] = ()


@dataclass(frozen=True, slots=True)
class Series:
    """Values that the page shows under the pointer."""

    label: str
    unit: Unit
    values: FloatArray


@dataclass(frozen=True, slots=True)
class Readout:
    """What the page shows under the pointer over one pair of axes: values by time."""

    axes: Axes
    x: FloatArray  # where the values are drawn, ascending
    time_ns: TimeArray
    series: tuple[Series, ...]


@dataclass(frozen=True, slots=True)
class Drawn:
    """What a figure says beside its lines: its text for those who can't see it, a note below it, its readouts."""

    text: str
    note: str = ""
    readouts: tuple[Readout, ...] = field(default=())


Draw = Callable[[FigureBase, Scene], Drawn]


def dates(time_ns: TimeArray) -> FloatArray:
    """Return matplotlib's numbers for times."""
    return np.asarray(date2num(time_ns.astype("datetime64[ns]")), dtype=np.float64)  # type: ignore[no-untyped-call]


def time_axis(axes: Axes, time_ns: TimeArray) -> None:
    """Make the horizontal axis one of UTC time from the first to the last of the times."""
    axes.xaxis_date(tz="UTC")
    locator = AutoDateLocator(tz="UTC", minticks=4, maxticks=9)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(DateTicks())
    first, last = dates(np.asarray([time_ns[0], time_ns[-1]]))
    margin = 0.5 if first == last else 0.004 * (last - first)
    axes.set_xlim(first - margin, last + margin)


@dataclass(frozen=True, slots=True)
class BarScale:
    """A horizontal scale of bars: nights and week-ends, where there are no bars, take no room."""

    time_ns: TimeArray  # of all bars, ascending

    def __call__(self, time_ns: TimeArray) -> FloatArray:
        return np.asarray(np.interp(time_ns, self.time_ns, np.arange(len(self.time_ns))), dtype=np.float64)


def bar_axis(axes: Axes, scale: BarScale) -> None:
    """Make the horizontal axis one of bars, with a tick at the first bar of each step of the calendar."""
    count = len(scale.time_ns)
    axes.set_xlim(-1.0, float(count))
    first, last = (moment for moment in num2date(dates(scale.time_ns[[0, -1]]), tz="UTC"))  # type: ignore[no-untyped-call]
    numbers = _tick_numbers(first, last) if count > 1 else dates(scale.time_ns)
    places = np.searchsorted(dates(scale.time_ns), numbers - 1e-9)
    usable = (places < count) & (numbers >= dates(scale.time_ns[:1])[0] - 1e-9)
    # A day without a bar is not named: the tick stands at the next bar, and says its day.
    days = scale.time_ns[np.clip(places[usable], 0, count - 1)] // _DAY_NS * _DAY_NS
    has_days = any(moment.day != 1 for moment in num2date(numbers[usable], tz="UTC"))  # type: ignore[no-untyped-call]
    is_by_day = has_days and bool(np.all(numbers[usable] % 1.0 == 0.0))
    labels = DateTicks().format_ticks((dates(days) if is_by_day else numbers[usable]).tolist())
    kept: dict[int, str] = {}
    for place, label in zip(places[usable].tolist(), labels, strict=True):
        kept.setdefault(place, label)
    axes.set_xticks(list(kept), list(kept.values()))


def _tick_numbers(first: datetime, last: datetime) -> FloatArray:
    locator = AutoDateLocator(tz="UTC", minticks=4, maxticks=9)  # type: ignore[no-untyped-call]
    return np.asarray(locator.tick_values(first, last), dtype=np.float64)  # type: ignore[no-untyped-call]


def money_axis(axes: Axes, label: str, *, ticks: int = 6) -> None:
    axes.grid(visible=False, axis="x")
    axes.yaxis.set_major_locator(MaxNLocator(ticks, min_n_ticks=3, steps=ROUND_STEPS))
    axes.yaxis.set_major_formatter(ThousandsFormatter())
    axes.set_ylabel(label)


def percent_axis(axes: Axes, label: str, *, ticks: int = 5) -> None:
    axes.grid(visible=False, axis="x")
    axes.yaxis.set_major_locator(MaxNLocator(ticks, min_n_ticks=3, steps=ROUND_STEPS))
    axes.yaxis.set_major_formatter(PercentTicks())
    axes.set_ylabel(label)


class ThousandsFormatter(Formatter):
    """Tick labels with thousands separators and as many decimals as their steps need; millions from ten million on."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        return self.format_ticks([x])[0]

    def format_ticks(self, values: Sequence[float]) -> list[str]:
        places = [float(value) for value in values]
        largest = max((abs(place) for place in places), default=0.0)
        scale, suffix = (1e9, " bn") if largest >= 1e10 else (1e6, " m") if largest >= 1e7 else (1.0, "")
        step = min((abs(b - a) for a, b in itertools.pairwise(places)), default=largest) / scale
        decimals = _decimals(step)
        return [_with_minus(f"{place / scale:,.{decimals}f}", suffix) for place in places]


class PercentTicks(ThousandsFormatter):
    """Tick labels in percent of fractions: 0.05 is 5%."""

    def format_ticks(self, values: Sequence[float]) -> list[str]:
        return [label + "%" for label in super().format_ticks([value * 100 for value in values])]


class DateTicks(Formatter):
    """Tick labels of UTC time, as short as the steps allow; what changes seldom stands below, where it changes."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        return self.format_ticks([x])[0]

    def format_ticks(self, values: Sequence[float]) -> list[str]:
        moments = [num2date(value, tz="UTC") for value in values]  # type: ignore[no-untyped-call]
        upper, lower = _date_forms(moments)
        labels, before = [], ""
        for moment in moments:
            below = _written(moment, lower)
            labels.append(_written(moment, upper) + ("\n" + below if below != before else ""))
            before = below
        return labels


def _date_forms(moments: Sequence[datetime]) -> tuple[str, str]:
    if any((each.hour, each.minute) != (0, 0) for each in moments):
        return "%H:%M:%S" if any(each.second for each in moments) else "%H:%M", "%-d %b %Y"
    if any(each.day != 1 for each in moments):
        return "%-d %b", "%Y"
    return ("%b", "%Y") if any(each.month != 1 for each in moments) else ("%Y", "")


def _written(moment: datetime, form: str) -> str:
    """Return strftime's text with English months, whatever the process's language is, and days without a leading zero."""
    form = form.replace("%b", MONTHS[moment.month - 1]).replace("%-d", str(moment.day))
    return moment.strftime(form) if form else ""


def _decimals(step: float) -> int:
    """Return how many decimals tell places apart that are so far from each other. 500: 0; 0.5: 1; 0.25: 2."""
    if step <= 0.0:
        return 0
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    is_exact = abs(step * 10**decimals - round(step * 10**decimals)) < 1e-6
    return min(decimals if is_exact else decimals + 1, 10)


def _with_minus(text: str, suffix: str) -> str:
    is_zero = not any(digit in text for digit in "123456789")
    return (text.lstrip("-") if is_zero else text.replace("-", "−")) + suffix


def panels(area: FigureBase, heights: Sequence[float] = (1.0,), *, top: float = 0.12, bottom: float = BOTTOM) -> list[Axes]:
    """Return axes one above the other with a common horizontal axis; the margins are in inches."""
    scale = cast(Any, area).get_figure(root=True).dpi
    width, height = cast(Any, area).bbox.width / scale, cast(Any, area).bbox.height / scale
    found = area.subplots(len(heights), 1, sharex=True, height_ratios=heights, squeeze=False)
    average = (height - top - bottom - BETWEEN * (len(heights) - 1)) / len(heights)
    area.subplots_adjust(
        left=LEFT / width, right=1 - RIGHT / width, bottom=bottom / height, top=1 - top / height, hspace=BETWEEN / average
    )
    for axes in found[:, 0]:
        axes.yaxis.set_label_coords(-(LEFT - 0.16) / (width - LEFT - RIGHT), 0.5)
    return [cast(Axes, axes) for axes in found[:, 0]]


def say_nothing(area: FigureBase, text: str) -> Axes:
    """Fill the place of a figure that has nothing to show."""
    [axes] = panels(area, bottom=0.12)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(True)
        spine.set_color(GRID)
    axes.text(0.5, 0.5, text, ha="center", va="center", color=MUTED, transform=axes.transAxes)
    return axes


def legend_above(axes: Axes, handles: Sequence[Any]) -> None:
    axes.legend(
        handles=handles, loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=len(handles), borderaxespad=0.1,
        handlelength=1.4, columnspacing=1.4, handletextpad=0.5,
    )  # fmt: skip
