"""This module turns a spec into the kernels' first state: account, policies and counters as numbers."""

from typing import get_args

import numpy as np

from engine.kernels.records import CORE, EFFECT, MARK, ORDER, Records, State, Tape, book_capacity
from engine.market import symbol_records
from engine.timeline import equity_every
from schemas.market_data import Market
from schemas.spec import (
    BacktestSpec,
    BasisPointsSlippage,
    ExecutionSpec,
    FixedSlippage,
    NoSlippage,
    RateCommission,
)

BLOCK = 4_096  # steps between two visits of the simulation's own chores; a run's bytes depend on it
FIRST_ORDERS = 16  # places on the book and in the inbox at the start; they double as needed

_POLICIES = ("market_fill", "limit_touch", "gap_limit", "stop_touch", "gap_stop", "same_bar", "entry_bar", "cash_short")


def first_state(spec: BacktestSpec, market: Market, tape: Tape) -> State:
    """Return the state before the first bar."""
    core = np.zeros(1, dtype=CORE)
    steps = len(tape.time_ns)
    record = core[0]
    record["steps"] = steps
    record["symbols"] = len(market.bars)
    record["is_dense"] = tape.latest.size == 0
    record["next_order"] = 1
    record["marked"] = record["price_step"] = record["peak_step"] = record["period"] = -1
    record["drawdown_start"] = record["drawdown_trough"] = record["drawdown_recovery"] = -1
    record["longest_start"] = record["longest_end"] = -1
    record["equity_every"] = equity_every(spec, steps)
    record["by_bar"] = spec.statistics.period == "bar"
    _set_account(core, spec)
    _set_policies(core, spec.execution)
    periods = steps if spec.statistics.period == "bar" else _days(tape)
    return State(
        core=core,
        symbols=symbol_records(market),
        book=np.zeros(FIRST_ORDERS + 1, dtype=ORDER),
        inbox=np.zeros(FIRST_ORDERS, dtype=ORDER),
        effects=np.zeros(book_capacity(2 * FIRST_ORDERS) + 4 * len(market.bars), dtype=EFFECT),
        marks=np.zeros(2 * BLOCK, dtype=MARK),
        periods=np.zeros(periods, dtype=np.float64),
    )


def _set_account(core: Records, spec: BacktestSpec) -> None:
    account, record = spec.account, core[0]
    record["cash"] = record["initial_cash"] = record["equity"] = record["peak"] = account.cash
    record["leverage"] = account.leverage
    record["maintenance"] = account.maintenance_margin or 0.0
    record["is_cash_account"] = account.type == "cash"
    record["allow_short"] = account.allow_short


def _set_policies(core: Records, execution: ExecutionSpec) -> None:
    record = core[0]
    for name in _POLICIES:
        record[name] = policy_code(name, getattr(execution, name))
    record["latency"] = execution.latency_bars
    record["volume_limit"] = np.nan if execution.volume_limit is None else execution.volume_limit
    slippage = execution.slippage
    match slippage:
        case NoSlippage():
            record["slippage"] = 0
        case FixedSlippage():
            record["slippage"], record["slippage_value"] = 1, slippage.amount
            record["slippage_on_limits"] = slippage.scope == "all"
        case BasisPointsSlippage():
            record["slippage"], record["slippage_value"] = 2, slippage.value
            record["slippage_on_limits"] = slippage.scope == "all"
    commission = execution.commission
    record["fee_maximum"] = np.nan
    if isinstance(commission, RateCommission):
        record["fee_fixed"], record["fee_rate"] = commission.fixed, commission.rate
        record["fee_per_unit"], record["fee_minimum"] = commission.per_unit, commission.minimum
        record["fee_maximum"] = np.nan if commission.maximum is None else commission.maximum


def policy_code(name: str, value: str) -> int:
    """Return the place of a policy's value among the values that the spec allows, which is the kernels' number of it."""
    choices: tuple[str, ...] = get_args(ExecutionSpec.model_fields[name].annotation)
    return choices.index(value)


def _days(tape: Tape) -> int:
    """Return how many UTC days have bars."""
    days = tape.time_ns // 86_400_000_000_000
    return 1 + int(np.count_nonzero(days[1:] != days[:-1]))
