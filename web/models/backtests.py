"""This module defines what is sent to run a backtest, and the answers about one or many."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from schemas.ids import IdField
from schemas.spec import BacktestSpec, Model
from web.models.common import Answer, FieldProblemAnswer, row_model
from web.models.rows import Position, SymbolStatistics

Status = Literal["queued", "running", "completed", "cancelled", "failed"]
TaskState = Literal["submitted", "rejected", "queued", "running", "completed", "cancelled", "failed"]
StatisticValue = float | int | str | None


class RunRequest(Model):
    """A backtest to run."""

    spec: BacktestSpec
    backtest_id: IdField | None = Field(None, description="its id; a new one is made where there is none")
    priority: Annotated[int, Field(ge=-100, le=100, description="higher runs first")] = 0


class SpecRequest(Model):
    """A spec to check; anything may stand in it."""

    spec: dict[str, Any]


class Validation(Answer):
    """Whether a spec would be accepted. Data is looked for when the run starts, so an unknown data set is told there."""

    is_valid: bool
    problems: list[FieldProblemAnswer]
    spec: dict[str, Any] | None = Field(description="the recorded spec, every default explicit; null unless valid")
    kafka_command: dict[str, Any] | None = Field(description="the command's JSON for the commands topic; null unless valid")


class RunAccepted(Answer):
    """Kafka has acknowledged the command. What became of it, the status says."""

    task_id: str = Field(description="the backtest's id")
    backtest_id: str
    command_id: str
    status_url: str
    partition: int = Field(description="where the command lies on the commands topic")
    offset: int


class CancelAccepted(Answer):
    """Kafka has acknowledged the cancel command. Cancel wins until the run's end has been committed."""

    task_id: str
    backtest_id: str
    command_id: str
    status_url: str


class DeleteAccepted(Answer):
    """Kafka has acknowledged the delete command. The rows and the snapshot go when it is carried out."""

    backtest_id: str
    command_id: str


class ReceiptAnswer(Answer):
    """What became of the newest command about a backtest."""

    command_id: str | None
    command_type: str | None
    outcome: str = Field(description="accepted, duplicate, rejected, expired, queue_full, forwarded or dead")
    reason: str | None
    detail: str | None
    recorded_at: datetime


class ResultNumbers(Answer):
    """The numbers of a completed backtest that are asked for most."""

    initial_cash: float | None
    final_equity: float | None
    total_return: float | None
    cagr: float | None
    sharpe: float | None
    sortino: float | None
    max_drawdown: float | None
    win_rate: float | None
    profit_factor: float | None
    trades: int
    fills: int
    currency: str | None


class TaskStatus(Answer):
    """How far a backtest is."""

    task_id: str
    backtest_id: str
    status: TaskState = Field(
        description="submitted: Kafka has the command, and no worker has answered yet; rejected: its receipt says why"
    )
    is_finished: bool
    progress: float | None = Field(description="bars done / bars, 0 to 1; null before the start")
    bars_done: int
    bars: int | None
    queue_position: int | None = Field(description="1: the next one of its partition; null unless queued")
    equity: float | None = Field(description="as last reported")
    submitted_at: datetime | None
    accepted_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    last_sequence: int = Field(description="sequence of the last event in the read model")
    failure_reason: str | None
    failure_detail: str | None
    cancel_reason: str | None
    receipt: ReceiptAnswer | None = Field(description="what became of the newest command about it; null until one was read")
    result: ResultNumbers | None = Field(description="null unless completed")
    links: dict[str, str]


# What a list leaves out: it is in the result.
UNLISTED = (
    "words", "spec", "submitted_digest", "spec_digest", "data_digest", "chain_head", "command_id", "cancel_command_id",
    "records_orders", "imported", "import_digest",
)  # fmt: skip

BacktestRow = row_model(
    "BacktestRow", "backtests", without=UNLISTED, doc="One backtest in a list, as the view backtape.backtests has it."
)
_BacktestColumns = row_model(
    "BacktestColumns", "backtests", without=("words",), doc="One backtest, as the view backtape.backtests has it."
)


class BacktestPage(Answer):
    """Some backtests."""

    items: list[BacktestRow]  # type: ignore[valid-type]
    next_cursor: str | None = Field(description="give it as `after` for the following ones; null: there are no more")


class BacktestCounts(Answer):
    """How many backtests one can see are in each state; at most a few seconds old."""

    total: int
    queued: int
    running: int
    completed: int
    cancelled: int
    failed: int


class BacktestResult(_BacktestColumns):  # type: ignore[misc, valid-type]
    """One backtest with everything that came of it."""

    progress: float | None = Field(description="bars done / bars, 0 to 1; null before the start")
    queue_position: int | None = Field(description="1: the next one of its partition; null unless queued")
    statistics: dict[str, StatisticValue] = Field(description="by name; docs/statistics.md explains each. Empty unless completed")
    by_symbol: list[SymbolStatistics] = Field(  # type: ignore[valid-type]
        description="numbers of the closed positions in each symbol, by name. Empty unless completed"
    )
    positions: list[Position] = Field(  # type: ignore[valid-type]
        description="the open ones, then the closed ones, newest first; at most 200"
    )
    positions_total: int
    audit: "AuditAnswer | None" = Field(description="the last audit of it; null without one")
    code: dict[str, str] = Field(description="what ran it: code digest, versions of Backtape, Python, numpy; empty if not known")
    links: dict[str, str]


class FindingAnswer(Answer):
    """One check of an audit."""

    check: str = Field(description="chain, owner, re-run, SQL, Parquet, or what was out of reach")
    verdict: Literal["proven", "different", "not_tried"]
    detail: str


class AuditAnswer(Answer):
    """The last audit of a backtest."""

    backtest_id: str
    state: Literal["none", "queued", "running", "done", "failed"] = Field(
        description="none: there was no audit yet; failed: the audit itself came to no answer, detail says why"
    )
    verdict: Literal["proven", "different", "not_tried"] | None = Field(description="null until it is done")
    findings: list[FindingAnswer]
    detail: str
    requested_by: str | None
    requested_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None


BacktestResult.model_rebuild()
