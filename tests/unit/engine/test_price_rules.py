"""Every price rule at its bounds, as a buy, and mirrored as a sell: prices p become 200 - p."""

from typing import Any

import pytest

from schemas.events import OrderFilled
from tests.unit.engine.factories import Row, flat, make_bars, make_market, of, play

ZIPLINE = {"limit_touch": "close", "stop_touch": "close", "gap_limit": "close", "gap_stop": "close"}
# Policies, the order, the bar after it was sent: open, high, low, close; the price it fills at there.
RULES: list[tuple[dict[str, Any], dict[str, float], tuple[float, float, float, float], float | None]] = [
    ({"limit_touch": "inclusive"}, {"limit_price": 98}, (102, 103, 98, 101), 98),
    ({"limit_touch": "inclusive"}, {"limit_price": 98}, (102, 103, 98.01, 101), None),
    ({"limit_touch": "strict"}, {"limit_price": 98}, (102, 103, 98, 101), None),
    ({"limit_touch": "strict"}, {"limit_price": 98}, (102, 103, 97.99, 101), 98),
    ({"limit_touch": "close"}, {"limit_price": 98}, (102, 103, 97, 98), 98),
    ({"limit_touch": "close"}, {"limit_price": 98}, (102, 103, 97, 98.01), None),
    ({"limit_touch": "close"}, {"limit_price": 98}, (102, 103, 97, 97.5), 97.5),
    ({"limit_touch": "range"}, {"limit_price": 98}, (97, 97.9, 96, 97), None),
    ({"limit_touch": "range"}, {"limit_price": 98}, (97, 98, 96, 97), 97),
    ({"limit_touch": "range"}, {"limit_price": 98}, (99, 100, 98, 99), 98),
    ({"limit_touch": "range"}, {"limit_price": 98}, (99, 100, 98.01, 99), None),
    ({"gap_limit": "open"}, {"limit_price": 98}, (96, 103, 95, 101), 96),
    ({"gap_limit": "limit"}, {"limit_price": 98}, (96, 103, 95, 101), 98),
    ({"gap_limit": "limit"}, {"limit_price": 98}, (96, 97, 95, 96), 98),  # outside the bar: the rule says so
    ({"gap_limit": "close"}, {"limit_price": 98}, (96, 103, 95, 97), 97),
    ({"gap_limit": "close"}, {"limit_price": 98}, (96, 103, 95, 98), 98),
    ({"gap_limit": "close"}, {"limit_price": 98}, (96, 103, 95, 101), 98),  # never at a close that is worse than the limit
    ({"gap_limit": "close"}, {"limit_price": 98}, (96, 103, 95, 98.5), 98),
    ({"gap_limit": "close"}, {"limit_price": 98}, (98, 103, 95, 97), 97),  # an open at the limit is beyond it
    ({"gap_limit": "close"}, {"limit_price": 98}, (98.01, 103, 95, 97), 98),
    ({"gap_limit": "within"}, {"limit_price": 98}, (96, 97, 95, 96), 97),
    ({"gap_limit": "within"}, {"limit_price": 98}, (96, 103, 95, 101), 98),
    ({"stop_touch": "inclusive"}, {"stop_price": 103}, (102, 103, 98, 101), 103),
    ({"stop_touch": "inclusive"}, {"stop_price": 103}, (102, 102.99, 98, 101), None),
    ({"stop_touch": "close"}, {"stop_price": 103}, (102, 104, 98, 103), 103),
    ({"stop_touch": "close"}, {"stop_price": 103}, (102, 104, 98, 102.99), None),
    ({"stop_touch": "close"}, {"stop_price": 103}, (102, 104, 98, 103.5), 103.5),
    ({"stop_touch": "range"}, {"stop_price": 103}, (104, 105, 103.5, 104), None),
    ({"stop_touch": "range"}, {"stop_price": 103}, (104, 105, 103, 104), 104),
    ({"stop_touch": "range"}, {"stop_price": 103}, (102, 103, 101, 102), 103),
    ({"stop_touch": "range"}, {"stop_price": 103}, (102, 102.99, 101, 102), None),
    ({"gap_stop": "open"}, {"stop_price": 103}, (105, 106, 104, 105.5), 105),
    ({"gap_stop": "stop"}, {"stop_price": 103}, (105, 106, 104, 105.5), 103),  # outside the bar: the rule says so
    ({"gap_stop": "close"}, {"stop_price": 103}, (105, 106, 104, 105.5), 105.5),
    ({"gap_stop": "close"}, {"stop_price": 103}, (103, 106, 102, 105.5), 105.5),  # an open at the stop is beyond it
    ({"gap_stop": "close"}, {"stop_price": 103}, (102.99, 106, 102, 105.5), 103),
    ({"gap_stop": "within"}, {"stop_price": 103}, (105, 106, 104, 105.5), 105),
    ({"gap_stop": "within"}, {"stop_price": 103}, (105, 106, 103, 105.5), 103),
    ({"gap_stop": "within"}, {"stop_price": 103}, (103, 103, 102, 102.5), 103),
    ({"stop_limit": "at_stop"}, {"stop_price": 103, "limit_price": 104}, (102, 104, 101, 103), 103),
    ({"stop_limit": "at_stop"}, {"stop_price": 103, "limit_price": 103}, (102, 104, 101, 103), 103),
    ({"stop_limit": "at_stop"}, {"stop_price": 103, "limit_price": 104}, (105, 106, 104.5, 105), 103),
    ({"stop_limit": "at_stop"}, {"stop_price": 103, "limit_price": 102}, (101, 104, 101, 103), None),
    ({"stop_limit": "on_close"}, {"stop_price": 103, "limit_price": 104}, (102, 103.5, 101, 103), 103.5),
    ({"stop_limit": "on_close"}, {"stop_price": 103, "limit_price": 104}, (102, 105, 101, 103.99), 104),
    ({"stop_limit": "on_close"}, {"stop_price": 103, "limit_price": 104}, (102, 105, 101, 104), None),
    ({"stop_limit": "same_bar", **ZIPLINE}, {"stop_price": 103, "limit_price": 104}, (102, 105, 101, 103.5), 103.5),
    ({"stop_limit": "same_bar", **ZIPLINE}, {"stop_price": 103, "limit_price": 104}, (102, 105, 101, 104.5), None),
    ({"stop_limit": "from_open"}, {"stop_price": 103, "limit_price": 102}, (103, 104, 101, 103), 102),
    ({"stop_limit": "from_open"}, {"stop_price": 103, "limit_price": 104}, (103.5, 104, 101, 103), 103.5),
    ({"stop_limit": "from_open"}, {"stop_price": 103, "limit_price": 104}, (105, 106, 104.5, 105), None),
    ({"stop_limit": "from_open"}, {"stop_price": 103, "limit_price": 104}, (102, 106, 101, 105), 103),
    ({"stop_limit": "from_open"}, {"stop_price": 103, "limit_price": 103}, (102, 106, 101, 105), 103),
    ({"stop_limit": "from_open"}, {"stop_price": 103, "limit_price": 102}, (102, 104, 100, 101), 102),
    ({"stop_limit": "from_open"}, {"stop_price": 103, "limit_price": 102}, (102.5, 104, 100, 102), 102),
    ({"stop_limit": "from_open"}, {"stop_price": 103, "limit_price": 102}, (101.5, 104, 101, 101.5), None),
    ({"stop_limit": "from_open"}, {"stop_price": 103, "limit_price": 102}, (102.5, 104, 100, 102.01), None),
]


def price_of(side: str, row: Row, order: dict[str, Any], policies: dict[str, Any]) -> float | None:
    market = make_market(make_bars([*flat(100.0), row]))
    events = play(market, [{"at": 0, "side": side, "quantity": 1.0, **order}], execution=policies)
    prices = [event.price for event in of(events, OrderFilled)]
    assert len(prices) <= 1
    return prices[0] if prices else None


@pytest.mark.parametrize(("policies", "order", "bar", "price"), RULES)
def test_a_price_rule_holds_for_buys_and_mirrored_for_sells(
    policies: dict[str, Any], order: dict[str, float], bar: tuple[float, float, float, float], price: float | None
) -> None:
    """One order, one bar."""
    assert price_of("buy", bar, order, policies) == price
    mirrored = {name: round(200.0 - level, 2) for name, level in order.items()}
    opened, high, low, close = (round(200.0 - value, 2) for value in bar)
    expected = None if price is None else round(200.0 - price, 2)
    assert price_of("sell", (opened, low, high, close), mirrored, policies) == expected
