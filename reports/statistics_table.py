"""This module names the statistics and their units for people, in groups. What it does not know is shown as it is."""

from dataclasses import dataclass

from reports import words
from reports.view import RunView, Statistic


@dataclass(frozen=True, slots=True)
class Line:
    """One statistic, as it is printed."""

    name: str  # its name in the log
    label: str
    value: str
    unit: str  # of a number that does not carry it; the account's currency for money

    @property
    def is_undefined(self) -> bool:
        return self.value == words.UNDEFINED


@dataclass(frozen=True, slots=True)
class Group:
    title: str
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class _Kind:
    """How one statistic is named and printed."""

    name: str
    label: str
    formatter: words.Formatter
    is_money: bool = False
    unit: str = ""


def _money(name: str, label: str) -> _Kind:
    return _Kind(name, label, words.money, is_money=True)


GROUPS: tuple[tuple[str, tuple[_Kind, ...]], ...] = (
    (
        "Return",
        (
            _money("initial_equity", "Initial equity"),
            _money("final_equity", "Final equity"),
            _money("peak_equity", "Peak equity"),
            _Kind("total_return", "Total return", words.percent),
            _Kind("cagr", "Annual growth (CAGR)", words.percent),
            _Kind("days", "Length", words.days),
        ),
    ),
    (
        "Risk",
        (
            _Kind("volatility", "Volatility, annual", words.percent),
            _Kind("annual_variance", "Variance, annual", lambda value: f"{value:.4g}"),
            _Kind("downside_deviation", "Downside deviation, per period", words.percent),
            _Kind("value_at_risk_95", "Value at risk 95 %, per period", words.percent),
            _Kind("value_at_risk_99", "Value at risk 99 %, per period", words.percent),
            _Kind("expected_shortfall_95", "Expected shortfall 95 %", words.percent),
            _Kind("expected_shortfall_99", "Expected shortfall 99 %", words.percent),
            _Kind("skewness", "Skewness of returns", words.ratio),
            _Kind("kurtosis", "Kurtosis of returns (normal: 3)", words.ratio),
            _Kind("max_drawdown", "Maximum drawdown", words.percent),
            _Kind("max_drawdown_start_ns", "… from the peak of", words.time),
            _Kind("max_drawdown_trough_ns", "… to the trough of", words.time),
            _Kind("max_drawdown_recovery_ns", "… recovered", words.time),
            _Kind("max_drawdown_recovery_days", "… from trough to recovery", words.days),
            _Kind("longest_drawdown_days", "Longest time below a peak", words.days),
        ),
    ),
    (
        "Risk-adjusted",
        (
            _Kind("sharpe", "Sharpe ratio", words.ratio),
            _Kind("probabilistic_sharpe", "… probability that it is above 0", words.percent),
            _Kind("sortino", "Sortino ratio", words.ratio),
            _Kind("calmar", "Calmar ratio", words.ratio),
            _Kind("omega", "Omega ratio", words.ratio),
            _Kind("recovery_factor", "Recovery factor", words.ratio),
            _Kind("sqn", "System quality (SQN)", words.ratio),
            _Kind("kelly", "Kelly fraction", words.percent),
            _Kind("periods_per_year", "Periods per year", words.quantity),
        ),
    ),
    (
        "Against the benchmark",
        (
            _Kind("benchmark_return", "Benchmark's return", words.percent),
            _Kind("alpha", "Alpha, annual", words.percent),
            _Kind("beta", "Beta", words.ratio),
            _Kind("correlation", "Correlation", words.ratio),
            _Kind("tracking_error", "Tracking error, annual", words.percent),
            _Kind("information_ratio", "Information ratio", words.ratio),
            _Kind("treynor", "Treynor ratio", words.ratio),
        ),
    ),
    (
        "Trades",
        (
            _Kind("trades", "Closed trades", words.count),
            _Kind("long_trades", "… long", words.count),
            _Kind("short_trades", "… short", words.count),
            _Kind("win_rate", "Win rate", words.percent),
            _Kind("win_rate_long", "… long", words.percent),
            _Kind("win_rate_short", "… short", words.percent),
            _Kind("profit_factor", "Profit factor", words.ratio),
            _Kind("profit_factor_long", "… long", words.ratio),
            _Kind("profit_factor_short", "… short", words.ratio),
            _money("expectancy", "Average PnL"),
            _money("best_trade", "Best PnL"),
            _money("worst_trade", "Worst PnL"),
            _Kind("average_trade_return", "Average return", words.percent),
            _Kind("best_trade_return", "Best return", words.percent),
            _Kind("worst_trade_return", "Worst return", words.percent),
            _Kind("average_bars_held", "Average holding time", words.bars),
            _Kind("longest_winning_streak", "Longest winning streak", words.count),
            _Kind("longest_losing_streak", "Longest losing streak", words.count),
        ),
    ),
    (
        "Profit and cost",
        (
            _money("realized_pnl", "Realised PnL"),
            _money("realized_pnl_long", "… long"),
            _money("realized_pnl_short", "… short"),
            _money("commission", "Commission"),
            _money("funding", "Funding"),
            _money("dividends", "Dividends"),
            _money("borrow_cost", "Borrow cost"),
        ),
    ),
    (
        "Activity",
        (
            _Kind("exposure", "Time in the market", words.percent),
            _Kind("average_exposure", "Average exposure, of initial equity", words.percent),
            _Kind("average_leverage", "Average leverage", words.ratio),
            _Kind("max_leverage", "Highest leverage", words.ratio),
            _money("traded_value", "Traded value"),
            _Kind("turnover", "Turnover, times initial equity", words.ratio),
        ),
    ),
)
_KNOWN = {kind.name: kind for _, kinds in GROUPS for kind in kinds}

# Shown at the top of the page, in this order.
HEADLINES = ("total_return", "cagr", "sharpe", "max_drawdown", "win_rate", "profit_factor", "trades", "final_equity")


def groups_of(view: RunView) -> list[Group]:
    """Return every statistic of the run, in groups; empty for a run that has not completed."""
    found = view.statistics
    groups = [
        Group(title, tuple(_line(kind, found[kind.name], view) for kind in kinds if kind.name in found))
        for title, kinds in GROUPS
    ]
    others = sorted(name for name in found if name not in _KNOWN)
    groups.append(Group("Other", tuple(_unknown(name, found[name]) for name in others)))
    return [group for group in groups if any(not line.is_undefined for line in group.lines)]


def headlines_of(view: RunView) -> list[Line]:
    """Return the figures that a reader looks for first."""
    return [_line(_KNOWN[name], view.statistics[name], view) for name in HEADLINES if name in view.statistics]


def _line(kind: _Kind, value: Statistic, view: RunView) -> Line:
    if kind.formatter is words.time:
        moment = view.moment(kind.name)
        return Line(kind.name, kind.label, words.UNDEFINED if moment is None else view.time(moment), "")
    if isinstance(value, str):
        return Line(kind.name, kind.label, value, "")
    text = words.or_undefined(value, kind.formatter)
    unit = view.currency if kind.is_money and text != words.UNDEFINED else kind.unit
    return Line(kind.name, kind.label, text, unit)


def _unknown(name: str, value: Statistic) -> Line:
    label = name.replace("_", " ").capitalize()
    if isinstance(value, str):
        return Line(name, label, value, "")
    return Line(name, label, words.or_undefined(value, lambda number: f"{number:,.6g}"), "")
