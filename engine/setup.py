"""This module turns a spec into the kernels' first state: account, policies and counters as numbers."""

import math
from typing import assert_never, get_args

import numpy as np

from engine.currencies import conversion_rates
from engine.errors import ParametersError
from engine.happenings import happenings_of, most_at_once
from engine.kernels import codes
from engine.kernels.records import CORE, EFFECT, MARK, ORDER, Records, State, Tape, effects_capacity
from engine.market import lay_out, live_part, read_only, symbol_records
from engine.timeline import equity_every
from schemas.market_data import FloatArray, Market
from schemas.spec import (
    BacktestSpec,
    BasisPointsSlippage,
    Commission,
    ExecutionSpec,
    FixedSlippage,
    MakerTakerCommission,
    NoCommission,
    NoSlippage,
    PercentSlippage,
    QuotesSlippage,
    RateCommission,
    Slippage,
    SlippageScope,
    SpreadSlippage,
    TicksSlippage,
    TieredCommission,
    VolumeShareSlippage,
)
from schemas.times import timeframe_ns

BLOCK = 4_096  # steps between two visits of the simulation's own chores; a run's bytes depend on it
FIRST_ORDERS = 16  # places on the book and in the inbox at the start; they double as needed

_POLICIES = (
    "market_fill",
    "limit_touch",
    "gap_limit",
    "stop_touch",
    "gap_stop",
    "stop_limit",
    "trail",
    "same_bar",
    "entry_bar",
    "cash_short",
)


def first_state(spec: BacktestSpec, market: Market, tape: Tape) -> State:
    """Return the state before the first bar. Raises ParametersError for policies that don't fit the instruments."""
    _check_slippage(spec, market)
    _check_settlement(spec, market)
    symbols = symbol_records(market, spec.account)
    core = np.zeros(1, dtype=CORE)
    steps = len(tape.time_ns)
    record = core[0]
    record["steps"] = steps
    record["symbols"] = record["instruments"] = len(market.bars)
    record["is_plain"] = spec.account.positions == "netting" and bool(np.all(symbols["is_plain"][:-1]))
    record["happenings"] = len(tape.happenings)
    record["is_dense"] = tape.latest.size == 0
    record["next_order"] = 1
    record["marked"] = record["price_step"] = record["peak_step"] = -1
    record["drawdown_start"] = record["drawdown_trough"] = record["drawdown_recovery"] = -1
    record["longest_start"] = record["longest_end"] = -1
    record["equity_every"] = equity_every(spec, steps)
    record["by_bar"] = spec.statistics.period == "bar"
    record["timeframe_ns"] = timeframe_ns(spec.line_timeframe)
    record["seed"] = spec.seed
    _set_account(core, spec)
    record["calls_margin"] = bool(np.any(symbols["maintenance"] > 0.0))
    _set_policies(core, spec.execution)
    periods = steps if spec.statistics.period == "bar" else len(tape.day_ends)
    return State(
        core=core,
        symbols=symbols,
        book=np.zeros(FIRST_ORDERS + 1, dtype=ORDER),
        inbox=np.zeros(FIRST_ORDERS, dtype=ORDER),
        effects=np.zeros(effects_capacity(2 * FIRST_ORDERS, len(symbols), most_at_once(tape.happenings)), dtype=EFFECT),
        marks=np.zeros(2 * BLOCK, dtype=MARK),
        periods=np.zeros(periods, dtype=np.float64),
        tiers=_tiers(spec.execution),
    )


def _check_slippage(spec: BacktestSpec, market: Market) -> None:
    """Refuse slippage in ticks of what has none, and by quotes of what has none: it would silently be nothing."""
    match spec.execution.slippage:
        case TicksSlippage():
            without = [instrument.symbol for instrument in market.instruments if instrument.tick <= 0.0]
            missing = "tick"
        case QuotesSlippage():
            without = [bars.symbol for bars in market.bars if bars.bid is None or bars.ask is None]
            missing = "bid and ask"
        case _:
            return
    if without:
        kind = spec.execution.slippage.type
        raise ParametersError(f"execution.slippage: {kind} are not allowed for {', '.join(without)}, which has no {missing}")


def complete_tape(spec: BacktestSpec, market: Market) -> Tape:
    """Return the market laid out, with its conversion rates and what is due. Raises like currencies.py and happenings.py."""
    tape = lay_out(market)
    tape = tape._replace(rates=read_only(conversion_rates(market, spec.account.currency, tape.time_ns)))
    return tape._replace(happenings=read_only(happenings_of(live_part(market), tape.time_ns)))


def _check_settlement(spec: BacktestSpec, market: Market) -> None:
    """Refuse contracts on margin in a cash account: nothing would cover their losses."""
    margined = [instrument.symbol for instrument in market.instruments if instrument.settlement == "margin"]
    if spec.account.type == "cash" and margined:
        raise ParametersError(f"account.type: cash is not allowed for {', '.join(margined)}, settled on margin")


def _set_account(core: Records, spec: BacktestSpec) -> None:
    account, record = spec.account, core[0]
    record["cash"] = record["initial_cash"] = record["equity"] = record["peak"] = account.cash
    record["leverage"] = account.leverage
    record["liquidation"] = ("all", "largest_loss_first").index(account.liquidation)
    record["day_count"] = account.borrow_day_count
    record["is_hedging"] = account.positions == "hedging"
    record["is_cash_account"] = account.type == "cash"
    record["allow_short"] = account.allow_short


def _set_policies(core: Records, execution: ExecutionSpec) -> None:
    record = core[0]
    for name in _POLICIES:
        record[name] = policy_code(name, getattr(execution, name))
    record["latency"] = execution.latency_bars
    record["latency_ns"] = round(execution.latency_seconds * 1e9)
    record["limit_probability"] = execution.limit_fill_probability
    record["volume_limit"] = np.nan if execution.volume_limit is None else execution.volume_limit
    _set_slippage(core, execution.slippage)
    _set_commission(core, execution.commission)


def _set_commission(core: Records, commission: Commission) -> None:
    record = core[0]
    record["fee_maximum"] = np.nan
    match commission:
        case NoCommission() | TieredCommission():  # tiers have an array of their own
            pass
        case RateCommission():
            record["fee_fixed"], record["fee_rate"] = commission.fixed, commission.rate
            record["fee_maker_rate"] = commission.rate
            record["fee_per_unit"], record["fee_minimum"] = commission.per_unit, commission.minimum
            record["fee_maximum"] = np.nan if commission.maximum is None else commission.maximum
        case MakerTakerCommission():
            record["fee_maker_rate"], record["fee_rate"] = commission.maker, commission.taker
        case _:
            assert_never(commission)


def _tiers(execution: ExecutionSpec) -> FloatArray:
    commission = execution.commission
    if not isinstance(commission, TieredCommission):
        return np.zeros((0, 3))
    return np.array([[tier.from_value, tier.maker, tier.taker] for tier in commission.tiers], dtype=np.float64)


def _set_slippage(core: Records, slippage: Slippage) -> None:
    record = core[0]
    match slippage:
        case NoSlippage():
            record["slippage"] = codes.SLIP_NONE
        case FixedSlippage():
            record["slippage"], record["slippage_value"] = codes.SLIP_FIXED, slippage.amount
        case BasisPointsSlippage():
            record["slippage"], record["slippage_value"] = codes.SLIP_PERCENT, slippage.value / 10_000.0
        case TicksSlippage():
            record["slippage"], record["slippage_value"] = codes.SLIP_TICKS, slippage.ticks
            record["slippage_probability"] = slippage.probability
        case PercentSlippage():
            record["slippage"], record["slippage_value"] = codes.SLIP_PERCENT, slippage.rate
        case QuotesSlippage():
            record["slippage"] = codes.SLIP_QUOTES
        case SpreadSlippage():
            record["slippage"], record["slippage_value"] = codes.SLIP_SPREAD, slippage.rate
        case VolumeShareSlippage():
            record["slippage"], record["slippage_value"] = codes.SLIP_VOLUME_SHARE, slippage.impact
        case _:
            assert_never(slippage)
    scope = getattr(slippage, "scope", "all")
    record["slippage_scope"] = get_args(SlippageScope).index(scope)
    limit = getattr(slippage, "limit", None)
    if limit is not None:
        record["whole_units"] = 1
        record["volume_limit"] = limit if math.isnan(record["volume_limit"]) else min(limit, record["volume_limit"])


def policy_code(name: str, value: str) -> int:
    """Return the place of a policy's value among the values that the spec allows, which is the kernels' number of it."""
    choices: tuple[str, ...] = get_args(ExecutionSpec.model_fields[name].annotation)
    return choices.index(value)
