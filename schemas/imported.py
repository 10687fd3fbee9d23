"""This module defines what Backtape knows of a result that another system computed: all of it but the rows.

It is made from one document that follows schemas/legacy_result.py, stands in the import's manifest, travels in the command and is
recorded in the event, so that the read model can be built from the log alone. The rows stay in Parquet (docs/decisions/0015).
"""

from typing import Annotated

from pydantic import Field

from schemas.errors import TooLargeError
from schemas.legacy_result import MAX_METRICS, MAX_RESULT_BYTES, MAX_TAGS
from schemas.spec import Model, Positive, ShortText, StrategySpec, Symbol
from schemas.times import TimeField, TimeframeField

Count = Annotated[int, Field(ge=0)]


class ImportedEngine(Model):
    """The system that computed a result."""

    name: ShortText
    version: ShortText | None = None


class ImportedResult(Model):
    """A result of another system. Money is in ``currency``; counts and sums follow from the document's rows."""

    engine: ImportedEngine
    strategy: StrategySpec
    symbols: Annotated[list[Symbol], Field(min_length=1, max_length=1_000)]
    timeframe: TimeframeField | None = None
    start: TimeField
    end: TimeField
    initial_cash: Positive
    currency: Annotated[str, Field(pattern=r"^[A-Z0-9]{3,8}$")]
    tags: Annotated[list[ShortText], Field(max_length=MAX_TAGS)] = Field(default_factory=list)
    created_at: TimeField | None = None
    metrics: Annotated[dict[str, float | int | str | None], Field(max_length=MAX_METRICS)] = Field(default_factory=dict)
    orders: Count
    fills: Count
    trades: Count
    marks: Count  # points of the equity curve
    pnl: float  # sum of the trades' PnL, commissions taken off
    commission: float  # sum of the trades' commissions
    final_equity: float | None  # the equity curve's last value; null without one
    source: Annotated[str, Field(min_length=1, max_length=1_024)]  # name of the file below what was imported, with its line
    content_bytes: Count  # of the original document

    @property
    def total_return(self) -> float | None:
        """Return final equity / initial cash - 1; None without an equity curve."""
        return None if self.final_equity is None else self.final_equity / self.initial_cash - 1.0


def check_result_size(result: ImportedResult) -> None:
    """Raise TooLargeError for a result that is more than the log takes."""
    size = len(result.model_dump_json().encode())
    if size > MAX_RESULT_BYTES:
        raise TooLargeError(f"result: {size} bytes beside the rows are not allowed: at most {MAX_RESULT_BYTES}")
