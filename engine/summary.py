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
from engine.market import periods_per_year
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
    total, annual = stats.total_return(initial, final), stats.cagr(initial, final, days)
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
    return tape.day_ends


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
    return days * count / len(tape.day_ends)


def _months(tape: Tape, ends: NDArray[np.int64], equity: Sequence[float]) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """Return the UTC calendar months that have bars, and equity at the last period's end of each.

    ddof: none. Annualisation: none. Source: ours, by calendar month; returns of them are the readers'.

    >>> from types import SimpleNamespace as Named
    >>> days = np.array(["2024-01-30", "2024-01-31", "2024-02-01"], dtype="datetime64[ns]").astype(np.int64)
    >>> _months(Named(time_ns=days), np.arange(3), [1.0, 2.0, 3.0])  # January's last period is the second
    (('2024-01', '2024-02'), (2.0, 3.0))
    """
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
    """Return the product of all (1 + r), less 1.

    ddof: none. Annualisation: none. Source: Bacon, Practical Portfolio Performance Measurement and Attribution (2008), chapter 2.

    >>> _growth([0.5, -0.5])  # 1.5 * 0.5 - 1
    -0.25
    """
    level = 1.0
    for value in returns:
        level *= 1.0 + value
    return level - 1.0


def _drawdown(tape: Tape, state: State) -> Statistics:
    """Return maximum drawdown and longest time below a peak, at full resolution. A start of null is the start of the run.

    The least equity / peak - 1 of all closes, as the kernels keep it. The longest is that of most steps. Lengths are told in days
    of 24 hours.
    ddof: none. Annualisation: none. Source: Magdon-Ismail and Atiya (2004), Risk 17(10), for the depth; the lengths are ours.

    >>> from types import SimpleNamespace as Named
    >>> core = {"drawdown": -0.1, "drawdown_start": 0, "drawdown_trough": 1, "drawdown_recovery": 3}
    >>> core |= {"longest": 3, "longest_start": 0, "longest_end": 3}  # equity 100, 90, 95, 100, a day apart
    >>> found = _drawdown(Named(time_ns=[day * DAY_NS for day in range(4)]), Named(core=[core]))
    >>> found["max_drawdown"], found["max_drawdown_recovery_days"], found["longest_drawdown_days"]  # 3 - 1, 3 - 0
    (-0.1, 2.0, 3.0)
    """
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
    """Return exposure, leverage, turnover and what was paid: the kernels' sums over steps, or over fills.

    exposure = steps with a position / steps; average_exposure = mean exposed value / initial cash; average_leverage and
    max_leverage = mean and largest of exposed value / equity; turnover = traded value (both sides of a trade) / initial cash.
    ddof: none. Annualisation: none. Source: ours; backtesting.py's exposure counts the bar of the exit too (peer_statistics).

    >>> from types import SimpleNamespace as Named
    >>> core = dict.fromkeys(("max_leverage", "commission", "funding", "dividends", "borrow"), 0.0)
    >>> core |= {"steps": 4, "initial_cash": 100.0, "exposed": 2, "exposure": 200.0, "leverage_sum": 2.0, "traded_value": 150.0}
    >>> found = _activity(Named(core=[core]))
    >>> found["exposure"], found["average_exposure"], found["average_leverage"]  # 2 / 4, 200 / 4 / 100, 2 / 4
    (0.5, 0.5, 0.5)
    >>> found["turnover"]  # 150 / 100
    1.5
    """
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
    """Return counts, means and extremes of the closed positions, all and by side; None as docs/statistics.md says.

    expectancy = mean PnL; average_trade_return = mean of the returns that are defined; average_bars_held = mean of bars.
    ddof: none but in ``stats.sqn``. Annualisation: none.
    Source: Nautilus for expectancy; backtesting.py for average_trade_return, which it calls expectancy.

    >>> from types import SimpleNamespace as Named
    >>> closed = Named(pnl=[3.0, -1.0], sides=[1, -1], returns=[0.5, math.nan], bars_held=[2, 3])
    >>> found = _trades(closed)
    >>> found["expectancy"], found["average_trade_return"], found["average_bars_held"]  # 2 / 2, 0.5 / 1, 5 / 2
    (1.0, 0.5, 2.5)
    >>> found["best_trade"], found["worst_trade"], found["win_rate_long"], found["realized_pnl_short"]
    (3.0, -1.0, 1.0, -1.0)
    """
    pnl, sides = np.asarray(reporter.pnl), np.asarray(reporter.sides)
    returns = np.asarray(reporter.returns)
    returns = returns[~np.isnan(returns)]
    listed, listed_returns = pnl.tolist(), returns.tolist()  # numpy's extremes may take either of 0.0 and -0.0
    longs, shorts = pnl[sides > 0], pnl[sides < 0]
    everything = _share(pnl)
    long, short = (everything if len(part) == len(pnl) else _share(part) for part in (longs, shorts))
    return {
        "trades": len(pnl),
        "long_trades": len(longs),
        "short_trades": len(shorts),
        "win_rate": everything.win_rate,
        "win_rate_long": long.win_rate,
        "win_rate_short": short.win_rate,
        "profit_factor": everything.profit_factor,
        "profit_factor_long": long.profit_factor,
        "profit_factor_short": short.profit_factor,
        "expectancy": stats.mean(pnl),
        "sqn": stats.sqn(pnl),
        "kelly": stats.kelly(pnl),
        "best_trade": max(listed, default=None),
        "worst_trade": min(listed, default=None),
        "average_trade_return": stats.mean(returns),
        "best_trade_return": max(listed_returns, default=None),
        "worst_trade_return": min(listed_returns, default=None),
        "average_bars_held": sum(reporter.bars_held) / len(pnl) if len(pnl) else None,
        "longest_winning_streak": stats.longest_streak(pnl, 1),
        "longest_losing_streak": stats.longest_streak(pnl, -1),
        "realized_pnl": everything.realized,
        "realized_pnl_long": long.realized,
        "realized_pnl_short": short.realized,
    }


@dataclass(frozen=True, slots=True)
class Share:
    """What is said of all positions, of those of one side, of those of one symbol."""

    win_rate: float | None
    profit_factor: float | None
    realized: float


def _share(pnl: NDArray[np.float64]) -> Share:
    return Share(stats.win_rate(pnl), stats.profit_factor(pnl), stats.total(pnl))


def _by_symbol(market: Market, reporter: Reporter | Tally) -> SymbolStatistics:
    """Return the numbers of each symbol's closed positions, in the order of the spec's symbols.

    Sums, and win rate and profit factor as of all positions.
    ddof: none. Annualisation: none. Source: as ``stats.win_rate`` and ``stats.profit_factor``.

    >>> from types import SimpleNamespace as Named
    >>> closed = Named(traded=[0, 1, 0], pnl=[3.0, 9.0, -2.0], gross=[4.0, 9.0, -1.0], fees=[1.0, 0.0, 1.0])
    >>> found = _by_symbol(Named(bars=[Named(symbol="X"), Named(symbol="Y")]), closed)["X"]
    >>> found["profit_factor"], found["realized_pnl"], found["gross_pnl"], found["commission"]  # 3 / 2, 3 - 2, 4 - 1, 1 + 1
    (1.5, 1.0, 3.0, 2.0)
    """
    traded = np.asarray(reporter.traded)
    result: SymbolStatistics = {}
    for symbol in np.unique(traded).tolist():
        its = traded == symbol
        share = _share(np.asarray(reporter.pnl)[its])
        result[market.bars[symbol].symbol] = {
            "trades": int(np.count_nonzero(its)),
            "win_rate": share.win_rate,
            "profit_factor": share.profit_factor,
            "realized_pnl": share.realized,
            "gross_pnl": stats.total(np.asarray(reporter.gross)[its]),
            "commission": stats.total(np.asarray(reporter.fees)[its]),
        }
    return result
