"""Identities that hold after every event, on random orders over random bars."""

import math
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.events import (
    BacktestCompleted,
    EquityMarked,
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderModified,
    OrderRejected,
    OrderSubmitted,
    OrderType,
    PositionChanged,
    PositionClosed,
    PositionOpened,
    Side,
)
from tests.unit.engine.factories import MINUTE_NS, make_bars, make_market, make_spec, play, run_commits

STOP_LIMITS = (OrderType.STOP_LIMIT, OrderType.TRAILING_STOP_LIMIT)
TIER = {"from_value": 0.0, "maker": 0.0, "taker": 0.001}
MANY = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


@st.composite
def random_rows(draw: st.DrawFn, count: int) -> list[tuple[float, float, float, float, float]]:
    """Draw bars on the tick 0.01 that walk around 100, with gaps."""
    rows, level = [], 10_000
    for _ in range(count):
        level = max(level + draw(st.integers(-300, 300)), 100)
        opened = max(level + draw(st.integers(-200, 200)), 50)
        high = max(opened, level) + draw(st.integers(0, 150))
        low = max(min(opened, level) - draw(st.integers(0, 150)), 1)
        rows.append((opened / 100, high / 100, low / 100, level / 100, float(draw(st.integers(0, 400)))))
    return rows


def price() -> st.SearchStrategy[float]:
    return st.integers(8_500, 11_500).map(lambda ticks: ticks / 100)


@st.composite
def random_order(draw: st.DrawFn, place: int, bars: int, symbols: list[str]) -> dict[str, Any]:
    """Draw one order of any type, with any of its terms."""
    order: dict[str, Any] = {
        "at": draw(st.integers(0, bars - 1)),
        "id": f"o{place}",
        "symbol": draw(st.sampled_from(symbols)),
        "side": draw(st.sampled_from(["buy", "sell"])),
    }
    kinds = ["market", "limit", "stop", "stop_limit", "trailing", "trailing_limit", "touch", "touch_limit", "session"]
    kind = draw(st.sampled_from(kinds))
    if kind in ("limit", "stop_limit", "touch_limit"):
        order["limit_price"] = draw(price())
    if kind in ("stop", "stop_limit"):
        order["stop_price"] = draw(price())
    if kind in ("touch", "touch_limit"):
        order["touch_price"] = draw(price())
    if kind in ("trailing", "trailing_limit"):
        order["trail_amount"] = draw(st.integers(1, 500)) / 100
    if kind == "trailing_limit":
        order["limit_offset"] = draw(st.integers(0, 200)) / 100
    if kind == "session":
        order["session"] = draw(st.sampled_from(["open", "close"]))
    size = draw(st.sampled_from(["quantity", "quantity", "value", "fraction"]))
    amounts = {
        "quantity": st.integers(0, 300),
        "value": st.integers(0, 30_000),
        "fraction": st.integers(0, 12).map(lambda n: n / 10),
    }
    order[size] = float(draw(amounts[size]))
    order["time_in_force"] = draw(st.sampled_from(["gtc", "gtc", "gtc", "day", "ioc", "fok"]))
    order["reduce_only"] = draw(st.integers(0, 9)) == 0
    if draw(st.integers(0, 3)) == 0:
        order["oco_group"] = draw(st.sampled_from(["g", "h"]))
    if draw(st.integers(0, 3)) == 0:
        order["stop_loss"] = draw(price())
        order["take_profit"] = draw(price())
    return order


@st.composite
def random_actions(draw: st.DrawFn, bars: int, symbols: list[str]) -> list[dict[str, Any]]:
    orders = [draw(random_order(place, bars, symbols)) for place in range(draw(st.integers(1, 12)))]
    actions = []
    for order in orders:
        actions.append(order)
        follow_up = draw(st.integers(0, 5))
        later = min(order["at"] + draw(st.integers(0, 5)), bars - 1)
        if follow_up == 0:
            actions.append({"at": later, "cancel": order["id"]})
        elif follow_up == 1:
            actions.append({"at": later, "modify": order["id"], "limit_price": draw(price()), "quantity": 7.0})
    return actions


@st.composite
def random_execution(draw: st.DrawFn) -> dict[str, Any]:
    """Draw any combination of policies."""
    same_bar = draw(st.sampled_from(["stop_first", "submission", "independent", "path", "adaptive_path"]))
    rules = ["from_open", "at_stop", "same_bar", "on_close"] + (["path"] if same_bar.endswith("path") else [])
    return {
        "market_fill": draw(st.sampled_from(["next_open", "same_close", "next_close"])),
        "limit_touch": draw(st.sampled_from(["inclusive", "strict", "close", "range"])),
        "gap_limit": draw(st.sampled_from(["open", "close", "within"])),
        "stop_touch": draw(st.sampled_from(["inclusive", "range", "close"])),
        "gap_stop": draw(st.sampled_from(["open", "close", "within"])),
        "stop_limit": draw(st.sampled_from(rules)),
        "trail": draw(st.sampled_from(["after_bar", "before_test"])),
        "same_bar": same_bar,
        "entry_bar": draw(st.sampled_from(["live", "wait", "by_entry"])),
        "cash_short": draw(st.sampled_from(["refuse", "cancel", "partial", "allow"])),
        "commission": draw(
            st.sampled_from(
                [
                    {"type": "none"},
                    {"type": "rate", "fixed": 1.0, "rate": 0.001, "per_unit": 0.005, "maximum": 50.0},
                    {"type": "maker_taker", "maker": -0.0002, "taker": 0.001},
                    {"type": "tiered", "tiers": [TIER, TIER | {"from_value": 9_000.0, "taker": 0.0005}]},
                ]
            )
        ),
        "volume_limit": draw(st.sampled_from([None, 0.25, 1.0])),
        "limit_fill_probability": draw(st.sampled_from([1.0, 1.0, 0.5, 0.0])),
        **draw(st.sampled_from([{"latency_bars": 0}, {"latency_bars": 1}, {"latency_bars": 3}, {"latency_seconds": 90.0}])),
    }


@st.composite
def random_run(draw: st.DrawFn) -> dict[str, Any]:
    count = draw(st.integers(1, 30))
    rows = draw(random_rows(count))
    bars = [make_bars(rows, symbol="X", step_ns=draw(st.sampled_from([MINUTE_NS, 400 * MINUTE_NS])))]
    if draw(st.booleans()):
        present = sorted(draw(st.sets(st.integers(0, count - 1), min_size=1)))
        step_ns = int(bars[0].time_ns[1] - bars[0].time_ns[0]) if count > 1 else MINUTE_NS
        bars.append(make_bars([rows[place] for place in present], symbol="Y", times=present, step_ns=step_ns))
    symbols = [each.symbol for each in bars]
    account = draw(
        st.sampled_from(
            [
                {"cash": 20_000.0},
                {"cash": 20_000.0, "leverage": 4.0, "maintenance_margin": 0.15},
                {"cash": 20_000.0, "type": "cash"},
                {"cash": 20_000.0, "leverage": 2.0, "allow_short": False},
            ]
        )
    )
    return {
        "market": make_market(*bars, multiplier=draw(st.sampled_from([1.0, 5.0]))),
        "orders": draw(random_actions(count, symbols)),
        "account": account,
        "execution": draw(random_execution()),
    }


def events_of_run(drawn: dict[str, Any]) -> list[Any]:
    return play(drawn["market"], drawn["orders"], account=drawn["account"], execution=drawn["execution"])


@MANY
@given(random_run())
def test_equity_is_cash_and_positions_and_also_what_was_gained(drawn: dict[str, Any]) -> None:
    """Both identities of the design hold at every equity mark, to 1e-9 relative."""
    market = drawn["market"]
    multiplier = market.instruments[0].multiplier
    events = events_of_run(drawn)
    initial = drawn["account"]["cash"]
    cash, realized = initial, 0.0
    open_positions: dict[str, Any] = {}
    marks = {time: values for event in events if isinstance(event, EquityMarked) for time, *values in _marks(event)}
    by_time: dict[int, list[Any]] = {}
    for event in events:
        if not isinstance(event, EquityMarked | BacktestCompleted):
            by_time.setdefault(event.time_ns, []).append(event)
    for time in sorted(marks):
        for event in by_time.get(time, []):
            match event:
                case OrderFilled():
                    side = 1 if event.side is Side.BUY else -1
                    cash -= side * event.quantity * multiplier * event.price + event.commission
                case PositionOpened() | PositionChanged():
                    open_positions[event.symbol] = event
                case PositionClosed():
                    del open_positions[event.symbol]
                    realized += event.realized_pnl
                case _:
                    pass
        worth = gained = 0.0
        for symbol, position in open_positions.items():
            bars = next(each for each in market.bars if each.symbol == symbol)
            last = float(bars.close[bars.time_ns <= time][-1])
            worth += position.quantity * multiplier * last
            gained += position.realized_pnl + position.quantity * multiplier * (last - position.average_price)
        equity, marked_cash, exposure, drawdown = marks[time]
        scale = 1e-9 * max(1.0, abs(equity), exposure)
        assert abs(marked_cash - cash) <= scale
        assert abs(equity - (cash + worth)) <= scale
        assert abs(equity - (initial + realized + gained)) <= scale
        assert drawdown <= 0.0


def _marks(event: EquityMarked) -> list[tuple[Any, ...]]:
    return list(zip(event.times_ns, event.equity, event.cash, event.exposure, event.drawdown, strict=True))


@MANY
@given(random_run())
def test_fills_keep_to_the_bar_the_order_and_the_volume(drawn: dict[str, Any]) -> None:
    """A fill lies inside its bar, not before its order may fill, and the fills of a bar within the volume limit."""
    market, execution = drawn["market"], drawn["execution"]
    submitted: dict[int, OrderSubmitted] = {}
    taken: dict[tuple[str, int], float] = {}
    is_liquidated = False
    for event in events_of_run(drawn):
        if isinstance(event, OrderSubmitted):
            submitted[event.order_id] = event
        if not isinstance(event, OrderFilled):
            continue
        order = submitted[event.order_id]
        bars = next(each for each in market.bars if each.symbol == event.symbol)
        row = int(bars.time_ns.searchsorted(event.time_ns, side="right")) - 1
        assert event.quantity > 0
        if order.tag == "margin_call":
            is_liquidated = True
            assert event.price == pytest.approx(bars.close[row])
            continue
        assert bars.time_ns[row] == event.time_ns, "a fill needs a bar"
        may_leave_bar = order.order_type in STOP_LIMITS and execution["stop_limit"] in ("at_stop", "path")
        assert may_leave_bar or bars.low[row] - 1e-9 <= event.price <= bars.high[row] + 1e-9
        waited = (event.time_ns - order.time_ns) // _step_ns(market)
        at_close = order.order_type is OrderType.MARKET and execution["market_fill"] == "same_close"
        is_child = order.parent_order_id is not None
        assert waited >= (0 if at_close or is_child else 1) + (0 if is_child else execution.get("latency_bars", 0))
        key = (event.symbol, event.time_ns)
        taken[key] = taken.get(key, 0.0) + event.quantity
        if execution["volume_limit"] is not None and not is_liquidated:
            assert taken[key] <= execution["volume_limit"] * bars.volume[row] + 1e-9


def _step_ns(market: Any) -> int:
    times = market.bars[0].time_ns
    return int(times[1] - times[0]) if len(times) > 1 else MINUTE_NS


@MANY
@given(random_run())
def test_orders_live_one_legal_life(drawn: dict[str, Any]) -> None:
    """Submitted first; nothing after an end; what is open is what was asked less what was filled; every order ends."""
    left: dict[int, float] = {}
    ended: set[int] = set()
    for event in events_of_run(drawn):
        match event:
            case OrderSubmitted():
                assert event.order_id == len(left) + len(ended) + 1, "ids count 1, 2, 3"
                left[event.order_id] = event.quantity or 0.0
            case OrderRejected() | OrderExpired() | OrderCancelled():
                assert event.order_id in left
                del left[event.order_id]
                ended.add(event.order_id)
            case OrderModified():
                assert event.order_id in left
                assert event.quantity > 0
                left[event.order_id] = math.inf
            case OrderFilled():
                assert event.order_id in left
                assert event.leaves_quantity >= 0
                assert event.quantity + event.leaves_quantity <= left[event.order_id] + 1e-9
                left[event.order_id] = event.leaves_quantity
                if event.leaves_quantity == 0:
                    del left[event.order_id]
                    ended.add(event.order_id)
            case _:
                pass
    assert not left, "the end of data ends what is open"


@MANY
@given(random_run())
def test_excursions_enclose_the_result_and_cash_accounts_never_owe(drawn: dict[str, Any]) -> None:
    """MAE <= gross PnL <= MFE; a cash account has no debt and no short position; no short where none is allowed."""
    is_long_only = drawn["account"].get("type") == "cash" or drawn["account"].get("allow_short") is False
    for event in events_of_run(drawn):
        if isinstance(event, PositionClosed):
            assert event.mae <= 0.0 <= event.mfe
            assert event.mae - 1e-9 <= event.gross_pnl <= event.mfe + 1e-9
            assert event.realized_pnl == pytest.approx(event.gross_pnl - event.commission, abs=1e-6)
        if isinstance(event, PositionOpened | PositionChanged) and is_long_only:
            assert event.quantity > 0
        if isinstance(event, EquityMarked) and drawn["account"].get("type") == "cash":
            assert drawn["execution"]["cash_short"] == "allow" or min(event.cash) >= -1e-6


@MANY
@given(random_run())
def test_the_same_run_gives_the_same_bytes(drawn: dict[str, Any]) -> None:
    """Running twice in one process leaves no trace in the second run."""
    from engine.strategies.order_list import OrderList

    spec = make_spec(drawn["market"], {"orders": drawn["orders"]}, account=drawn["account"], execution=drawn["execution"])
    first, second = (run_commits(drawn["market"], spec, OrderList) for _ in range(2))
    assert [commit.body for commit in first] == [commit.body for commit in second]
