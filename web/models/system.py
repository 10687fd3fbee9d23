"""This module defines the answers about the system itself: health, lag, commands, dead letters."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from schemas.spec import Model
from web.models.common import Answer, row_model

CommandRow = row_model("CommandRow", "commands", doc="What became of a command, as the view backtape.commands has it.")
QuarantineRow = row_model(
    "QuarantineRow", "quarantine", doc="A record that could not be projected, as the view backtape.quarantine has it."
)


class Alive(Answer):
    """The process answers."""

    status: Literal["ok"]


class Ready(Answer):
    """Whether the service can do its work."""

    status: Literal["ready", "not_ready"]
    checks: dict[str, str] = Field(description="ok, or what is wrong, by what was looked at")
    lag_records: int | None = Field(description="records that the read model is behind the log; null where it can't be told")
    lag_seconds: float | None = Field(description="age of the oldest of them as far as it can be told; 0 without any")


class SourceLag(Answer):
    """How far the read model has read one partition of a topic."""

    topic: str
    partition: int
    log_id: str | None
    next_offset: int
    end_offset: int | None = Field(description="the end of the topic's partition; null where Kafka does not answer")
    lag_records: int | None
    recorded_at: datetime | None = Field(description="time of the newest record in the read model")
    updated_at: datetime | None


class GroupLag(Answer):
    """How far a consumer group has committed one partition of a topic."""

    group: str
    topic: str
    partition: int
    committed_offset: int | None
    end_offset: int | None
    lag_records: int | None


class GenerationAnswer(Answer):
    """One build of the read model's tables."""

    name: str
    state: Literal["building", "standby", "live", "kept", "dropping"] = Field(
        description="live: what is shown here; building, standby: a rebuild fills it; kept: fed on, to go back to"
    )
    changed_at: datetime = Field(description="when it came into this state")


class ArchiveState(Answer):
    """How far a partition of the log is copied to the blob store (docs/archive.md)."""

    topic: str
    partition: int
    log_id: str | None = Field(description="of the log that the archive follows; null while nothing is archived")
    ranges: int
    records: int
    bytes: int = Field(description="of its files, compressed")
    archived_offset: int | None = Field(description="what lies before this offset is in the archive")
    archived_until: datetime | None = Field(description="time of the newest record in the archive")
    offsets_only_in_kafka: int | None = Field(description="from there to the log's end; null where Kafka does not answer")


class SystemAnswer(Answer):
    """How the system does."""

    now: datetime
    version: str
    is_stale: bool = Field(description="whether the read model has been behind the log for more than 10 seconds")
    lag_records: int | None
    lag_seconds: float | None
    sources: list[SourceLag] = Field(description="the projector's")
    groups: list[GroupLag] = Field(description="the worker's and the compactor's")
    backtests: dict[str, int] = Field(description="by status; with total")
    events: int
    commits: int
    fills: int
    outcomes: dict[str, int] = Field(description="commands by outcome")
    dead_letters: int
    quarantined: int
    snapshots: int
    without_snapshot: int = Field(description="finished runs of the last 30 days that have no snapshot yet")
    oldest_without_snapshot: datetime | None = Field(description="when the first of them ended; null without any")
    generations: list[GenerationAnswer] = Field(description="of the read model, the oldest first; more than one: a rebuild")
    archive: list[ArchiveState] = Field(description="of each partition of the topics that are archived")
    events_per_second: float | None = Field(description="into the read model, over the last minute or so; null until known")
    finished_per_second: float | None = Field(description="backtests that ended, over the last minute or so; null until known")
    streams: int = Field(description="event streams that this process serves")
    audits_queued: int


class CommandPage(Answer):
    """What came in, the newest first."""

    items: list[CommandRow]  # type: ignore[valid-type]


class DeadLetter(Answer):
    """A message that could not be read as a command."""

    partition: int
    letter_offset: int
    command_offset: int | None
    recorded_at: datetime
    reason: str
    detail: str
    length: int | None
    sha256: str | None
    beginning: str = Field(description="its first 4 KiB as text; bytes that are not UTF-8 are shown as \ufffd")
    is_whole: bool = Field(description="whether the dead letter has all of its bytes, so that it can be sent again as it was")


class DeadLetterPage(Answer):
    """Dead letters, the newest first."""

    items: list[DeadLetter]


class DeadLetterText(Answer):
    """A dead letter with all that was kept of it."""

    partition: int
    letter_offset: int
    key: str | None
    reason: str
    detail: str
    length: int
    sha256: str
    text: str = Field(description="what was kept, as text")
    is_text: bool = Field(description="whether it is UTF-8, so that text says all")
    is_whole: bool


class Retried(Answer):
    """A dead letter was published as a command again."""

    partition: int
    offset: int


class QuarantinePage(Answer):
    """Records that could not be projected."""

    items: list[QuarantineRow]  # type: ignore[valid-type]


class RetryRequest(Model):
    """A corrected command. Without it the kept bytes are sent as they were."""

    text: Annotated[str, Field(min_length=1, max_length=256 * 1024, examples=['{"type": "CancelBacktest"}'])]
