"""This module defines the arrays that kernels work on: the tape they read and the state they change.

Steps are bars of the merged time line (0, 1, 2 …), rows are bars in the columns. With one symbol, or symbols whose bars
have the same times, row = offset + step ("dense"; offset: the row after the warm-up); otherwise ``latest[symbol, step]`` is
the symbol's last row at or before the step (-1: none yet), and the symbol has a bar at a step where that number changes.
"""

import struct
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas.market_data import FloatArray, TimeArray

Records = NDArray[Any]

F, I = np.float64, np.int64  # noqa: E741  (the two field types; one letter keeps the tables readable)


def _record(**fields: Any) -> np.dtype[Any]:
    return np.dtype(list(fields.items()), align=True)


# One working order, and one action of the strategy (submit, cancel, modify) with the same fields.
ORDER = _record(
    action=I, id=I, symbol=I, side=I, type=I, time_in_force=I, sizing=I,
    quantity=F, leaves=F, limit=F, stop=F, trail_amount=F, trail_percent=F,
    limit_offset=F,  # of a trailing stop-limit: how far beyond the stop the limit trails
    expires_ns=I,
    sent_step=I,  # the step at whose close it was sent
    active_step=I,  # the first step in which it may fill
    day=I,  # time in force DAY: the day that it lives in, -1 before its first bar
    cancel_step=I,  # a cancel on its way (latency): the step at whose close it takes effect, -1: none
    modify_step=I, new_quantity=F, new_limit=F, new_stop=F,  # a modification on its way
    group=I,  # one-cancels-other group, 0: none; LEFT_GROUP: another one has filled, and this one ends with the bar
    parent=I,  # the order it is attached to, 0: none
    is_waiting=I,  # attached to an order that has no fill yet
    follows=I,  # attached: as large as its entry turns out to be
    released=F,  # attached: how much its parent has brought to life
    from_price=F, from_step=I,  # attached: where its parent filled; in that bar it sees no price before
    is_triggered=I, reduce_only=I, post_only=I, has_filled=I, is_done=I,
    place=I,  # of the position record that it fills; netting: its symbol
    position=I,  # hedging: the id of the lot that it closes or has opened, 0: none yet
)  # fmt: skip

# One symbol: its instrument and its position. Money in account currency. With hedging, lots follow the instruments: each has
# a copy of its instrument's record, whose own position then stays empty.
SYMBOL = _record(
    base=I,  # the instrument's place
    is_plain=I,  # linear, paid in full, in account currency: value = quantity * multiplier * price
    is_inverse=I, is_margined=I,
    rate_row=I,  # of its currency's conversion rates, -1: it is the account's
    margin_weight=F,  # initial margin * the account's leverage
    maintenance=F,  # maintenance margin, a fraction of the position's value
    has_borrow=I, borrow_rate=F,  # the latter now, a year
    is_closed=I,  # traded no more: delisted, or under another symbol
    basis=F,  # paid in full in another currency: what a unit has cost on average, account currency
    first_row=I, offset=I, tick=F, tick_inverse=F, lot=F, lot_inverse=F, multiplier=F,
    position_id=I, quantity=F, average=F, commission=F, realized=F, gross=F,
    entry_value=F, entry_quantity=F, exit_value=F, exit_quantity=F, largest=F,
    opened_step=I, opened_row=I, opened_at_open=I, mae=F, mfe=F,
    used_volume=F, used_step=I,  # what the fills of one bar have taken of its volume
)  # fmt: skip

# The account, the policies and the running statistics: one record.
CORE = _record(
    # shape of the market
    steps=I, symbols=I, instruments=I, is_dense=I,
    is_plain=I,  # all instruments are, and no position is a lot
    is_hedging=I,
    # counters
    orders=I, effects=I, marks=I, periods=I, next_order=I, next_fill=I, next_position=I, marked=I, price_step=I,
    now=I,  # the step that is played, for conversion rates
    happenings=I, next_happening=I,
    # account
    cash=F, initial_cash=F, leverage=F, is_cash_account=I, allow_short=I,
    calls_margin=I, liquidation=I, day_count=F,
    funding=F, dividends=F, borrow=F,  # sums: added to cash, added to cash, taken from cash
    # policies
    market_fill=I, limit_touch=I, gap_limit=I, stop_touch=I, gap_stop=I, stop_limit=I, trail=I, same_bar=I, entry_bar=I,
    cash_short=I,
    latency=I, latency_ns=I, timeframe_ns=I, limit_probability=F, seed=I,
    volume_limit=F, slippage=I, slippage_value=F, slippage_probability=F, slippage_scope=I, whole_units=I,
    fee_fixed=F, fee_rate=F, fee_maker_rate=F, fee_per_unit=F, fee_minimum=F, fee_maximum=F,
    # recording and statistics
    equity_every=I, by_bar=I,
    equity=F, peak=F, peak_step=I,
    drawdown=F, drawdown_start=I, drawdown_trough=I, drawdown_recovery=I,
    longest=I, longest_start=I, longest_end=I,  # the longest time below a peak, in steps
    exposed=I, exposure=F, traded_value=F, commission=F,
    leverage_sum=F, max_leverage=F,  # of exposure / equity over the steps, where equity is above 0
)  # fmt: skip

# One thing that happened; its meaning follows from ``kind``.
EFFECT = _record(
    kind=I, step=I, order=I, symbol=I, side=I, type=I, reason=I, fill=I, position=I,
    quantity=F, price=F, commission=F, leaves=F, limit=F, stop=F,
    average=F, close=F, realized=F, gross=F, mae=F, mfe=F, opened_step=I, bars=I, is_maker=I,
    rate=F,  # of a fill: of conversion; of a payment or a split: its own
    trail=F,
    cause=I,  # of an order of the engine's own
    parent=I, reduce_only=I,  # of an order that was sent
)  # fmt: skip

# One thing that is due at a step, apart from trading. Sorted by step, then in the order in which they are applied.
HAPPENING = _record(step=I, kind=I, symbol=I, value=F, other=I)

# One equity mark.
MARK = _record(step=I, equity=F, cash=F, exposure=F, drawdown=F)


class Tape(NamedTuple):
    """What a kernel reads: the bars of all symbols."""

    time_ns: TimeArray  # (steps,)
    open: FloatArray  # (rows,) all symbols one after the other
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray
    latest: NDArray[np.int32]  # (instruments, steps), or (0, 0) when dense
    day: NDArray[np.int32]  # (steps,) the account's day, or (0,) when it is the UTC day
    day_ends: TimeArray  # (days,) the last step of each of the account's days that has bars
    flags: NDArray[np.uint8]  # (instruments, steps) where days begin and end, or (0, 0) when they are UTC days
    ends: TimeArray  # (steps,) when the bars of a step are over, or (0,) where that is before the next step begins
    bid: FloatArray  # (rows,) quotes at the bars' ends, or (0,) without
    ask: FloatArray
    rates: FloatArray  # (currencies, steps): account currency for a unit, as known when the step begins
    happenings: Records  # HAPPENING (happenings,)


class State(NamedTuple):
    """What a kernel changes."""

    core: Records  # CORE (1,)
    symbols: Records  # SYMBOL (symbols,)
    book: Records  # ORDER (capacity,): working orders in the order of their submission
    inbox: Records  # ORDER (capacity,): actions to apply
    effects: Records  # EFFECT (capacity,)
    marks: Records  # MARK (capacity,)
    periods: FloatArray  # (periods,) equity at the end of each period
    tiers: FloatArray  # (tiers, 3) of commission: traded value from which on it holds, maker rate, taker rate


def packing(dtype: np.dtype[Any]) -> struct.Struct:
    """Return what reads and writes one record's bytes as a tuple: a third of the price of numpy's own way."""
    kinds = [dtype[name] for name in dtype.names or ()]
    packed = struct.Struct("".join("d" if kind == F else "q" for kind in kinds))
    assert packed.size == dtype.itemsize, "a record has fields of 8 bytes and nothing between them"
    return packed


def blank_orders(count: int) -> Records:
    """Return records in which no term is given: what an action starts from."""
    records = np.zeros(count, dtype=ORDER)
    for name in ("quantity", "limit", "stop", "trail_amount", "trail_percent", "limit_offset"):
        records[name] = np.nan
    for name in ("cancel_step", "modify_step", "day", "from_step"):
        records[name] = -1
    return records


EFFECTS_PER_ORDER = 16
SPARE_EFFECTS = 64


def effects_capacity(orders: int, symbols: int, due: int) -> int:
    """Return the number of effects that one call can report at most.

    orders : each may be modified, triggered, filled (with a position closed and one opened), cancelled, and end up to as many
        attached orders; at a close and, in the same call, in the bar that follows it
    symbols : each position may be liquidated
    due : things that are due at one step; each may concern every position and every order
    """
    return SPARE_EFFECTS + EFFECTS_PER_ORDER * orders + 4 * symbols + due * (8 + 4 * symbols + 2 * orders)
