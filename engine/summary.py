"""This module puts a run's statistics together: what ``BacktestCompleted`` holds. docs/statistics.md explains each name."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine import benchmarking, risk
from engine import statistics as stats
from engine.drive import Tally
from engine.kernels.records import State, Tape
from engine.market import account_days, periods_per_year
from engine.reporting import Reporter
from schemas.market_data import Bars, Market
from schemas.spec import BacktestSpec
from schemas.times import timeframe_ns

DAY_NS = 86_400_000_000_000

Statistics = dict[str, float | int | str | None]
SymbolStatistics = dict[str, dict[str, float | int | None]]

# Bytes, for the recorder. A symbol's entry: its name of at most 64 characters and six numbers with theirs.
_WEIGHT, _MONTH_WEIGHT, _SYMBOL_WEIGHT = 8_192, 40, 384


@dataclass(frozen=True, slots=True)
class Summary:
    """What a finished simulation says about itself. They use every bar, whatever was recorded."""

    statistics: Statistics
    months: tuple[str, ...]  # calendar months in UTC that have bars
    month_equity: tuple[float, ...]  # equity at the last bar of each
    by_symbol: SymbolStatistics

    def as_recorded(self) -> Statistics:
        """Return the statistics as the log has them: JSON has no infinity, and shows null in its place."""
        return {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in self.statistics.items()
        }

    @property
    def weight(self) -> int:
        """Bytes that the event counts for in its commit."""
        return _WEIGHT + _MONTH_WEIGHT * len(self.months) + _SYMBOL_WEIGHT * len(self.by_symbol)


def summarize(spec: BacktestSpec, market: Market, tape: Tape, state: State, reporter: Reporter | Tally) -> Summary:
    """Return what a finished simulation has come to."""
    core = state.core[0]
    equity = state.periods[: int(core["periods"])].tolist()
    ends = _period_ends(spec, tape)
    assert len(ends) == len(equity), "one equity for each period"
    months, month_equity = _months(tape, ends, equity)
    return Summary(
        statistics=_statistics(spec, market, tape, state, reporter, ends),
        months=months,
        month_equity=month_equity,
        by_symbol=_by_symbol(market, reporter),
    )


def _statistics(
    spec: BacktestSpec, market: Market, tape: Tape, state: State, reporter: Reporter | Tally, ends: NDArray[np.int64]
) -> Statistics:
    core = state.core[0]
    initial, final = float(core["initial_cash"]), float(core["equity"])
    days = int(tape.time_ns[-1] - tape.time_ns[0]) / DAY_NS
    periods = _periods(spec, market, tape, len(ends))
    returns = stats.returns_of(state.periods[: len(ends)].tolist(), initial)
    drawdown = float(core["drawdown"])
    total, annual = final / initial - 1.0, stats.cagr(initial, final, days)
    return {
        "initial_equity": initial,
        "final_equity": final,
        "peak_equity": float(core["peak"]),
        "total_return": total,
        "cagr": annual,
        "days": days,
        "periods_per_year": periods,
        "annual_variance": stats.annual_variance(returns, periods),
        "volatility": stats.volatility(returns, periods),
        "downside_deviation": stats.downside_deviation(returns),
        "skewness": risk.skewness(returns),
        "kurtosis": risk.kurtosis(returns),
        "value_at_risk_95": risk.value_at_risk(returns, 5),
        "value_at_risk_99": risk.value_at_risk(returns, 1),
        "expected_shortfall_95": risk.expected_shortfall(returns, 5),
        "expected_shortfall_99": risk.expected_shortfall(returns, 1),
        "sharpe": stats.sharpe(returns, periods),
        "probabilistic_sharpe": risk.probabilistic_sharpe(returns),
        "sortino": stats.sortino(returns, periods),
        "calmar": stats.calmar(annual, drawdown),
        "omega": risk.omega(returns),
        "recovery_factor": stats.recovery_factor(total, drawdown),
        **_drawdown(tape, state),
        **_activity(state),
        **_trades(reporter),
        **_benchmark(market.benchmark, tape, ends, returns, periods),
    }


def _period_ends(spec: BacktestSpec, tape: Tape) -> NDArray[np.int64]:
    """Return the last step of each period, ascending: of each step itself, or of each of the account's days that has bars."""
    steps = len(tape.time_ns)
    if spec.statistics.period == "bar":
        return np.arange(steps, dtype=np.int64)
    days = account_days(tape)
    return np.append(np.flatnonzero(days[1:] != days[:-1]), steps - 1).astype(np.int64)


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


def _months(tape: Tape, ends: NDArray[np.int64], equity: Sequence[float]) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """Return the UTC calendar months that have bars, and equity at the last period's end of each."""
    month_of = tape.time_ns[ends].astype("datetime64[ns]").astype("datetime64[M]")
    lasts = np.append(np.flatnonzero(month_of[1:] != month_of[:-1]), len(ends) - 1)
    return tuple(str(month) for month in month_of[lasts]), tuple(equity[last] for last in lasts.tolist())


def _benchmark(benchmark: Bars | None, tape: Tape, ends: NDArray[np.int64], returns: list[float], periods: float) -> Statistics:
    """Compare with the benchmark bought at its first open; periods before its first bar are left out on both sides."""
    ours, theirs = _beside(benchmark, tape, ends, returns) if benchmark is not None else ([], [])
    return {
        "benchmark_return": _growth(theirs) if benchmark is not None and len(benchmark) else None,
        "alpha": benchmarking.alpha(ours, theirs, periods),
        "beta": benchmarking.beta(ours, theirs),
        "correlation": benchmarking.correlation(ours, theirs),
        "tracking_error": stats.tracking_error(ours, theirs, periods),
        "information_ratio": benchmarking.information_ratio(ours, theirs, periods),
        "treynor": benchmarking.treynor(ours, theirs, periods),
    }


def _beside(benchmark: Bars, tape: Tape, ends: NDArray[np.int64], returns: list[float]) -> tuple[list[float], list[float]]:
    """Return our returns and the benchmark's of the periods that both have."""
    rows = np.searchsorted(benchmark.time_ns, tape.time_ns[ends], side="right") - 1
    first = int(np.searchsorted(rows, 0))  # the first period at whose end the benchmark has a bar
    if first == len(rows):
        return [], []
    theirs = stats.returns_of(benchmark.close[rows[first:]].tolist(), float(benchmark.open[0]))
    ours = returns[first:]
    count = min(len(ours), len(theirs))
    return ours[:count], theirs[:count]


def _growth(returns: Sequence[float]) -> float:
    level = 1.0
    for value in returns:
        level *= 1.0 + value
    return level - 1.0


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
    has_recovered = deepest < 0.0 and recovery >= 0
    return {
        "max_drawdown": deepest,
        "max_drawdown_start_ns": (time_of(start) or int(tape.time_ns[0])) if deepest < 0.0 else None,
        "max_drawdown_trough_ns": time_of(trough) if deepest < 0.0 else None,
        "max_drawdown_recovery_ns": time_of(recovery) if deepest < 0.0 else None,
        "max_drawdown_recovery_days": int(tape.time_ns[recovery] - tape.time_ns[trough]) / DAY_NS if has_recovered else None,
        "longest_drawdown_days": length,
    }


def _activity(state: State) -> Statistics:
    core = state.core[0]
    steps, initial = int(core["steps"]), float(core["initial_cash"])
    return {
        "exposure": int(core["exposed"]) / steps,
        "average_exposure": float(core["exposure"]) / steps / initial,
        "average_leverage": float(core["leverage_sum"]) / steps,
        "max_leverage": float(core["max_leverage"]),
        "traded_value": float(core["traded_value"]),
        "turnover": float(core["traded_value"]) / initial,
        "commission": float(core["commission"]),
        "funding": float(core["funding"]),
        "dividends": float(core["dividends"]),
        "borrow_cost": float(core["borrow"]),
    }


def _trades(reporter: Reporter | Tally) -> Statistics:
    pnl = reporter.pnl.tolist()
    returns = [value for value in reporter.returns if value == value]
    longs = [value for value, side in zip(pnl, reporter.sides, strict=True) if side > 0]
    shorts = [value for value, side in zip(pnl, reporter.sides, strict=True) if side < 0]
    return {
        "trades": len(pnl),
        "long_trades": len(longs),
        "short_trades": len(shorts),
        "win_rate": stats.win_rate(pnl),
        "win_rate_long": stats.win_rate(longs),
        "win_rate_short": stats.win_rate(shorts),
        "profit_factor": stats.profit_factor(pnl),
        "profit_factor_long": stats.profit_factor(longs),
        "profit_factor_short": stats.profit_factor(shorts),
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


def _by_symbol(market: Market, reporter: Reporter | Tally) -> SymbolStatistics:
    """Return the numbers of each symbol's closed positions, in the order of the spec's symbols."""
    places: dict[int, list[int]] = {}
    for place, symbol in enumerate(reporter.traded):
        places.setdefault(symbol, []).append(place)
    result: SymbolStatistics = {}
    for symbol in sorted(places):
        pnl = [reporter.pnl[place] for place in places[symbol]]
        result[market.bars[symbol].symbol] = {
            "trades": len(pnl),
            "win_rate": stats.win_rate(pnl),
            "profit_factor": stats.profit_factor(pnl),
            "realized_pnl": math.fsum(pnl),
            "gross_pnl": math.fsum(reporter.gross[place] for place in places[symbol]),
            "commission": math.fsum(reporter.fees[place] for place in places[symbol]),
        }
    return result
