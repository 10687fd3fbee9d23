"""What is done for whole spans of bars at once, gives what bar by bar gives, to the last bit."""

from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.kernels import codes
from engine.kernels.marking import mark_step, mark_until
from engine.kernels.records import State, Tape, blank_orders
from engine.kernels.scanning import is_busy, next_busy
from engine.market import lay_out
from engine.setup import first_state
from tests.property.test_accounting import price, random_execution, random_rows
from tests.unit.engine.factories import MINUTE_NS, make_bars, make_market, make_spec

MANY = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def first_of(data: st.DataObject, count: int) -> tuple[Tape, State]:
    """Return a market of one symbol, or two with gaps, and the state before its first bar."""
    step_ns = data.draw(st.sampled_from([MINUTE_NS, 500 * MINUTE_NS]))
    bars = [make_bars(data.draw(random_rows(count)), symbol="X", step_ns=step_ns)]
    if data.draw(st.booleans()):
        places = sorted(data.draw(st.sets(st.integers(0, count - 1), min_size=1)))
        bars.append(make_bars(data.draw(random_rows(len(places))), symbol="Y", step_ns=step_ns, times=places))
    market = make_market(*bars)
    spec = make_spec(
        market,
        execution=data.draw(random_execution()),
        statistics={"period": data.draw(st.sampled_from(["day", "bar"]))},
        recording={"equity_every": data.draw(st.integers(1, 7))},
        account={"cash": 20_000.0},
    )
    tape = lay_out(market)
    return tape, first_state(spec, market, tape)


def copy_of(state: State) -> State:
    return State(*(array.copy() for array in state))


@MANY
@given(st.data())
def test_a_span_is_marked_like_its_steps(data: st.DataObject) -> None:
    """Flat, long or short, in one symbol or several, over day ends, peaks, drawdowns and the last bar."""
    count = data.draw(st.integers(1, 40))
    tape, state = first_of(data, count)
    single = copy_of(state)
    step = -1
    while step < count - 1:
        last = data.draw(st.integers(step + 1, count - 1))
        for index in range(len(state.symbols)):
            has_price = tape.latest.size == 0 or tape.latest[index, step + 1] >= 0
            quantity = data.draw(st.sampled_from([0.0, 0.0, 3.0, -2.0, 400.0])) if has_price else 0.0
            average = data.draw(price())
            for each in (state, single):
                symbol = each.symbols[index]
                symbol["quantity"], symbol["average"] = quantity, average
                symbol["opened_step"], symbol["opened_at_open"] = step + 1, data.draw(st.booleans()) if each is state else 0
            single.symbols[index]["opened_at_open"] = state.symbols[index]["opened_at_open"]
        cash = data.draw(st.sampled_from([20_000.0, 15_000.0, 25_000.0, -30_000.0]))
        state.core[0]["cash"] = single.core[0]["cash"] = cash
        mark_until(tape, state, last)
        for each in range(step + 1, last + 1):
            mark_until_by_steps(tape, single, each)
        step = last
        for name, ours, theirs in zip(State._fields, state, single, strict=True):
            assert ours.tobytes() == theirs.tobytes(), name


def mark_until_by_steps(tape: Tape, state: State, step: int) -> None:
    """Mark one step by the general rule, excursions one bar after another."""
    for index in range(len(state.symbols)):
        symbol = state.symbols[index]
        latest = None if tape.latest.size == 0 else tape.latest[index]
        row = int(symbol["offset"]) + step if latest is None else int(latest[step])
        has_bar = latest is None or row != (int(latest[step - 1]) if step > 0 else -1)
        if symbol["quantity"] != 0.0 and has_bar:
            is_at_close = step == symbol["opened_step"] and not symbol["opened_at_open"]
            for level in (tape.close[row], tape.close[row]) if is_at_close else (tape.low[row], tape.high[row]):
                gain = symbol["gross"] + symbol["quantity"] * symbol["multiplier"] * (level - symbol["average"])
                symbol["mae"], symbol["mfe"] = min(symbol["mae"], gain), max(symbol["mfe"], gain)
    mark_step(tape, state, step)
    state.core[0]["marked"] = step


@MANY
@given(st.data())
def test_the_next_busy_step_is_the_first_at_which_any_order_is(data: st.DataObject) -> None:
    """Orders of every type and time in force, waiting, triggered, trailing, with requests on their way."""
    count = data.draw(st.integers(1, 30))
    tape, state = first_of(data, count)
    orders = data.draw(st.integers(0, 5))
    for place in range(orders):
        state.book[place] = random_record(data, count, len(state.symbols))
    state.core[0]["orders"] = orders
    first = data.draw(st.integers(0, count))
    busy = [step for step in range(first, count) if any(is_busy(tape, state, state.book[place], step) for place in range(orders))]
    assert next_busy(tape, state, first, count) == (busy[0] if busy else count)


def random_record(data: st.DataObject, count: int, symbols: int) -> Any:
    """Draw an order as it may lie on the book."""
    order = blank_orders(1)[0]
    order["id"], order["symbol"] = 1, data.draw(st.integers(0, symbols - 1))
    order["side"] = data.draw(st.sampled_from([1, -1]))
    order["type"] = data.draw(st.integers(codes.MARKET, codes.MARKET_ON_CLOSE))
    order["time_in_force"] = data.draw(st.sampled_from([codes.GTC] * 4 + [codes.DAY, codes.GTD, codes.IOC, codes.FOK]))
    order["limit"], order["stop"] = data.draw(price()), data.draw(price())
    order["expires_ns"] = 1_704_067_200_000_000_000 + data.draw(st.integers(0, 40)) * MINUTE_NS
    order["active_step"] = data.draw(st.integers(0, count))
    for name in ("cancel_step", "modify_step"):
        order[name] = data.draw(st.sampled_from([-1, -1, -1, 0, count // 2]))
    for name in ("is_waiting", "is_triggered", "is_done"):
        order[name] = data.draw(st.sampled_from([0, 0, 0, 1]))
    if data.draw(st.integers(0, 4)) == 0:
        order["trail_amount"] = 1.0
    return order


def test_the_empty_book_has_no_busy_step() -> None:
    """Without orders nothing is looked at."""
    market = make_market(make_bars([(1.0, 2.0, 0.5, 1.5)] * 5))
    tape = lay_out(market)
    state = first_state(make_spec(market), market, tape)
    assert np.count_nonzero(state.book["id"]) == 0
    assert next_busy(tape, state, 0, 5) == 5
