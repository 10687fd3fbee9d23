"""This module defines what is drawn: columns of one length, thinned on the server so that no peak is lost."""

from pydantic import Field

from web.models.backtests import StatisticValue, Status
from web.models.common import Answer

Numbers = list[float | None]


class EquityChart(Answer):
    """A backtest's equity marks. Where there are more than points, each column of the picture keeps its extremes."""

    time_ms: list[int] = Field(description="market time, ascending")
    equity: list[float]
    cash: list[float]
    exposure: list[float]
    drawdown: list[float] = Field(description="equity / highest equity so far - 1, over all bars")
    benchmark: Numbers | None = Field(
        description="initial cash held in the benchmark from the first mark on; null where its prices are out of reach"
    )
    benchmark_symbol: str | None = Field(
        description="the spec's statistics.benchmark, else the first symbol; null: none is drawn"
    )
    marks: int = Field(description="how many marks there are")
    is_thinned: bool


class CandleFill(Answer):
    """An execution in the span of a chart."""

    fill_id: int
    time_ms: int
    side: str
    quantity: float
    price: float
    order_id: int
    tag: str | None = Field(description="the order's tag")


class CandleTrade(Answer):
    """A closed position in the span of a chart."""

    trade_id: int
    side: str
    opened_ms: int
    closed_ms: int
    average_price: float
    average_close: float
    realized_pnl: float


class CandleStop(Answer):
    """A stop or limit price of an order while it was there, in the span of a chart."""

    order_id: int
    order_type: str
    side: str
    from_ms: int
    to_ms: int | None = Field(description="null while it is open")
    stop_price: float | None
    limit_price: float | None


class Candles(Answer):
    """Bars of one symbol of a backtest; joined to longer ones where there are more than points. Volume is summed."""

    symbol: str
    timeframe: str = Field(description="of the bars before they were joined")
    dataset: str
    dataset_version: int
    time_ms: list[int] = Field(description="start of each bar, ascending")
    open: list[float]
    high: list[float]
    low: list[float]
    close: list[float]
    volume: list[float]
    bars: int = Field(description="how many bars the span has")
    bars_per_candle: int = Field(description="at most so many bars were joined to one; 1: none")
    first_ms: int | None = Field(description="start of the first bar of the whole run; null: it has none")
    last_ms: int | None
    fills: list[CandleFill] = Field(description="in the span, the first 5,000")
    fills_total: int
    trades: list[CandleTrade] = Field(description="that touch the span, the first 5,000")
    stops: list[CandleStop] = Field(description="orders with a stop or limit price that touch the span, the first 5,000")


class MonthlyTable(Answer):
    """Returns by month and year of the UTC calendar, as fractions; null where the run has no bar."""

    years: list[int]
    months: list[Numbers] = Field(description="twelve for each year")
    totals: Numbers
    is_exact: bool = Field(
        description="true: equity at each month's last bar; false: at its last recorded mark, as of a run that did not complete"
    )


class ComparedRun(Answer):
    """One of the backtests that are compared."""

    backtest_id: str
    strategy: str | None
    symbols: list[str]
    status: Status
    time_ms: list[int]
    growth: list[float] = Field(description="equity / initial cash")
    drawdown: list[float]
    statistics: dict[str, StatisticValue]


class Difference(Answer):
    """A field of the spec that is not the same in all of them."""

    path: str = Field(description="such as strategy.parameters.fast")
    values: list[object] = Field(description="one for each backtest; null where it has no such field")


class Comparison(Answer):
    """Backtests side by side."""

    runs: list[ComparedRun]
    differences: list[Difference]
