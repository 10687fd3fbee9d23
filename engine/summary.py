"""This module puts a run's statistics together: the table in ``BacktestCompleted``. docs/statistics.md explains each name."""

import math

from engine import statistics as stats
from engine.kernels.records import State, Tape
from engine.market import account_days, periods_per_year
from engine.reporting import Reporter
from schemas.market_data import Market
from schemas.spec import BacktestSpec
from schemas.times import timeframe_ns

DAY_NS = 86_400_000_000_000

Statistics = dict[str, float | int | str | None]


def summarize(spec: BacktestSpec, market: Market, tape: Tape, state: State, reporter: Reporter) -> Statistics:
    """Return all statistics of a finished simulation. They use every bar, whatever was recorded."""
    core = state.core[0]
    initial, final = float(core["initial_cash"]), float(core["equity"])
    days = int(tape.time_ns[-1] - tape.time_ns[0]) / DAY_NS
    periods = _periods(spec, market, tape, int(core["periods"]))
    returns = stats.returns_of(state.periods[: int(core["periods"])].tolist(), initial)
    drawdown = float(core["drawdown"])
    annual = stats.cagr(initial, final, days)
    return {
        "initial_equity": initial,
        "final_equity": final,
        "peak_equity": float(core["peak"]),
        "total_return": final / initial - 1.0,
        "cagr": annual,
        "days": days,
        "periods_per_year": periods,
        "annual_variance": stats.annual_variance(returns, periods),
        "volatility": stats.volatility(returns, periods),
        "downside_deviation": stats.downside_deviation(returns),
        "sharpe": stats.sharpe(returns, periods),
        "sortino": stats.sortino(returns, periods),
        "calmar": stats.calmar(annual, drawdown),
        **_drawdown(tape, state),
        **_activity(state),
        **_trades(reporter),
    }


def _periods(spec: BacktestSpec, market: Market, tape: Tape, count: int) -> float:
    """Return N: the spec's; else 252 or 365 days; for returns by bar so many times the bars of an average day or week."""
    if spec.statistics.periods_per_year is not None:
        return spec.statistics.periods_per_year
    days = periods_per_year(market)
    if spec.statistics.period == "day":
        return days
    length = timeframe_ns(spec.line_timeframe)
    if length >= DAY_NS and (spec.data.resample is None or spec.data.resample.type == "time"):
        return days * (DAY_NS / length) if days == 365.0 else days / max(1.0, 5.0 * length / (7.0 * DAY_NS))
    with_bars = account_days(tape)
    return days * count / (1 + int((with_bars[1:] != with_bars[:-1]).sum()))


def _drawdown(tape: Tape, state: State) -> Statistics:
    """Maximum drawdown and longest time below a peak, at full resolution. A start of null is the start of the run."""
    core = state.core[0]

    def time_of(step: int) -> int | None:
        return int(tape.time_ns[step]) if step >= 0 else None

    deepest, start = float(core["drawdown"]), int(core["drawdown_start"])
    trough, recovery = int(core["drawdown_trough"]), int(core["drawdown_recovery"])
    first, last = int(core["longest_start"]), int(core["longest_end"])
    has_longest = int(core["longest"]) > 0
    length = int(tape.time_ns[last] - tape.time_ns[max(first, 0)]) / DAY_NS if has_longest else None
    return {
        "max_drawdown": deepest,
        "max_drawdown_start_ns": (time_of(start) or int(tape.time_ns[0])) if deepest < 0.0 else None,
        "max_drawdown_trough_ns": time_of(trough) if deepest < 0.0 else None,
        "max_drawdown_recovery_ns": time_of(recovery) if deepest < 0.0 else None,
        "longest_drawdown_days": length,
    }


def _activity(state: State) -> Statistics:
    core = state.core[0]
    steps, initial = int(core["steps"]), float(core["initial_cash"])
    return {
        "exposure": int(core["exposed"]) / steps,
        "average_exposure": float(core["exposure"]) / steps / initial,
        "traded_value": float(core["traded_value"]),
        "turnover": float(core["traded_value"]) / initial,
        "commission": float(core["commission"]),
    }


def _trades(reporter: Reporter) -> Statistics:
    pnl = reporter.pnl.tolist()
    returns = [value for value in reporter.returns if value == value]
    longs = [value for value, side in zip(pnl, reporter.sides, strict=True) if side > 0]
    shorts = [value for value, side in zip(pnl, reporter.sides, strict=True) if side < 0]
    return {
        "trades": len(pnl),
        "long_trades": len(longs),
        "short_trades": len(shorts),
        "win_rate": stats.win_rate(pnl),
        "profit_factor": stats.profit_factor(pnl),
        "expectancy": stats.mean(pnl),
        "sqn": stats.sqn(pnl),
        "kelly": stats.kelly(pnl),
        "best_trade": max(pnl, default=None),
        "worst_trade": min(pnl, default=None),
        "average_trade_return": stats.mean(returns),
        "best_trade_return": max(returns, default=None),
        "worst_trade_return": min(returns, default=None),
        "average_bars_held": sum(reporter.bars_held) / len(pnl) if pnl else None,
        "longest_winning_streak": stats.longest_streak(pnl, 1),
        "longest_losing_streak": stats.longest_streak(pnl, -1),
        "realized_pnl": math.fsum(pnl),
        "realized_pnl_long": math.fsum(longs),
        "realized_pnl_short": math.fsum(shorts),
    }
