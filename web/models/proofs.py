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
    bytes: int
    rows: int
    row_groups: list[int] | None = Field(description="null: the whole file")


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
    """A position as it was."""

    position_id: int
    symbol: str
    quantity: float
    average_price: float
    commission: float
    realized_pnl: float
    gross_pnl: float


class ReplayOrder(Answer):
    """An order that was working."""

    order_id: int
    symbol: str
    side: str
    order_type: str
    status: str
    quantity: float | None
    filled_quantity: float
    limit_price: float | None
    stop_price: float | None
    tag: str | None


class ReplayAnswer(Answer):
    """A backtest as it stood after one of its events."""

    backtest_id: str
    sequence: int = Field(description="of the last event that is inside")
    last_sequence: int = Field(description="of the backtest's last event")
    time: datetime | None = Field(description="market time of that event")
    status: str
    cash: float | None
    equity: float | None = Field(description="as last marked; null before the first mark")
    positions: list[ReplayPosition]
    orders: list[ReplayOrder]
    event: dict[str, Any] | None = Field(description="that event itself")
