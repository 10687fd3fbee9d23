"""This module defines the answers about proof and storage: snapshots, replay."""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from web.models.common import Answer


class SnapshotPart(Answer):
    """One Parquet file of a snapshot, or some row groups of a file that several backtests share."""

    table: str
    key: str
    url: str | None = Field(description="where it can be read without further authority until expires_at; null for a folder")
    sha256: str
    bytes: int = Field(description="of the whole file")
    rows: int = Field(description="of this backtest")
    row_groups: list[int] | None = Field(description="null: the whole file")
    first_row: int | None = Field(description="of this backtest, counted within these row groups; null: the whole file")
    file_rows: int | None = Field(description="of all backtests in the file; null: the whole file is this one's")


class SnapshotAnswer(Answer):
    """A finished backtest's Parquet files."""

    backtest_id: str
    store: str = Field(description="such as s3://bucket/prefix")
    kind: Literal["s3", "folder"] = Field(description="folder: the files lie on the server's disk, so there are no addresses")
    manifest_key: str
    manifest_url: str | None
    expires_at: datetime | None
    files: list[SnapshotPart]


class ReplayPosition(Answer):
    """A position that was open. Values are null where no event names a price."""

    position_id: int
    symbol: str
    quantity: float = Field(description="negative for short")
    average_price: float
    realized_pnl: float = Field(description="since its opening, commissions inside")
    commission: float
    opened_at: datetime
    last_price: float | None = Field(description="the last one that the log names for the symbol")
    last_price_at: datetime | None
    value: float | None = Field(description="quantity * multiplier * last price")
    unrealized_pnl: float | None = Field(description="quantity * multiplier * (last price - average price)")


class ReplayOrder(Answer):
    """An order that was working."""

    order_id: int
    symbol: str
    side: str
    order_type: str
    time_in_force: str
    status: str
    quantity: float | None
    filled_quantity: float
    leaves_quantity: float | None
    limit_price: float | None
    stop_price: float | None
    trail_amount: float | None
    trail_percent: float | None
    trigger_price: float | None
    submitted_at: datetime
    expires_at: datetime | None
    oco_group: str | None
    parent_order_id: int | None
    tag: str | None


class ReplayMark(Answer):
    """The newest recorded equity mark."""

    time: datetime
    equity: float
    cash: float
    exposure: float
    drawdown: float


class ReplayAnswer(Answer):
    """A backtest as it stood after one of its events. Money in account currency."""

    backtest_id: str
    status: str
    sequence: int = Field(description="of the last event that is inside")
    last_sequence: int = Field(description="of the backtest's last event")
    commit: int = Field(description="number of the commit that holds it")
    time: datetime | None = Field(description="market time of that event, or the time that was asked for")
    chain_head: str = Field(description="SHA-256 of the last commit that is inside as a whole")
    currency: str
    initial_cash: float
    cash: float
    equity: float | None = Field(description="null where a position's price is not known")
    equity_at: datetime | None
    realized_pnl: float
    commission: float
    funding: float
    dividends: float
    borrow: float
    orders: int
    fills: int
    trades: int
    working_orders: list[ReplayOrder]
    positions: list[ReplayPosition]
    mark: ReplayMark | None
    event: dict[str, Any] | None = Field(description="that event itself")
