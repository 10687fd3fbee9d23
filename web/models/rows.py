"""This module defines the rows of a backtest's tables: orders, fills, positions, trades, equity, events."""

from datetime import datetime
from typing import Any

import pydantic
from pydantic import Field

from web.models.common import Answer, row_model

_ID = ("backtest_id",)  # it is in the path

Order = row_model("Order", "orders", without=_ID, doc="An order in its last state, as the view backtape.orders has it.")
Fill = row_model("Fill", "fills", without=_ID, doc="An execution, as the view backtape.fills has it.")
Position = row_model(
    "Position", "positions", without=_ID, doc="A position in its present or last state, as the view backtape.positions has it."
)
Trade = row_model("Trade", "trades", without=_ID, doc="A closed position, flat to flat, as the view backtape.trades has it.")
SymbolStatistics = row_model(
    "SymbolStatistics",
    "symbol_statistics",
    without=_ID,
    doc="Closed positions in a symbol, as the view symbol_statistics has it.",
)
EquityMark = row_model("EquityMark", "equity", without=_ID, doc="An equity mark, as the view backtape.equity has it.")


class Event(Answer):
    """One event of the log."""

    sequence: int
    time: datetime | None = Field(description="market time; null before the first bar")
    type: str
    commit: int = Field(description="number of the commit that holds it")
    data: dict[str, Any] = Field(description="its other fields: docs/events.md")


def _page_model(name: str, row: type[Answer]) -> type[Answer]:
    following = Field(description="give it as `after` for the following ones; null: there are no more")
    fields: dict[str, Any] = {"items": (list[row], ...), "next_cursor": (str | None, following)}  # type: ignore[valid-type]
    return pydantic.create_model(name, __base__=Answer, __doc__="Some rows, in order.", __module__=__name__, **fields)


OrderPage = _page_model("OrderPage", Order)
FillPage = _page_model("FillPage", Fill)
PositionPage = _page_model("PositionPage", Position)
TradePage = _page_model("TradePage", Trade)
EquityPage = _page_model("EquityPage", EquityMark)


class EventPage(Answer):
    """Some events, in order."""

    items: list[Event]
    next_cursor: str | None = Field(description="give it as `after` for the following ones; null: there are no more")
    last_sequence: int = Field(description="sequence of the backtest's last event that the read model knows")


class SideSummary(Answer):
    """Closed positions of one side, or of both."""

    trades: int
    wins: int
    losses: int
    win_rate: float | None = Field(description="wins / trades; null without any")
    expectancy: float | None = Field(description="mean realized PnL of a trade; null without any")
    average_win: float | None
    average_loss: float | None
    realized_pnl: float = Field(description="of closed positions")
    gross_pnl: float
    commission: float
    profit_factor: float | None = Field(description="sum of profits / |sum of losses|; null without losses")
    average_bars_held: float | None


class SymbolSummary(Answer):
    """Positions of one symbol."""

    symbol: str
    positions: int
    open: int
    realized_pnl: float
    gross_pnl: float
    commission: float


class PositionSummary(Answer):
    """All positions of a backtest in numbers, counted by the database."""

    positions: int
    open: int
    realized_pnl: float = Field(description="of open and closed positions, commissions inside")
    unrealized_pnl: float | None = Field(description="of open positions at their marks; null where one was never valued")
    gross_pnl: float
    commission: float
    funding: float
    borrow: float
    dividends: float
    all: SideSummary
    long: SideSummary
    short: SideSummary
    symbols: list[SymbolSummary]
