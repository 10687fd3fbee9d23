"""This module lists the topics and the settings they are created with. It reads as documentation."""

from dataclasses import dataclass, field

DEFAULT_PARTITIONS = 8
DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic. All but ``archive`` have the same number of partitions, fixed when they are created."""

    name: str
    settings: dict[str, str] = field(default_factory=dict)
    holds: str = ""


COMMANDS = Topic(
    "commands",
    {
        "cleanup.policy": "delete",
        "retention.ms": str(7 * DAY_MS),
        "message.timestamp.type": "LogAppendTime",
        "max.message.bytes": str(256 * 1024 + 16 * 1024),  # 256 KiB of command, and the record's own key and headers
    },
    "what other systems ask for; key = backtest id",
)
RECEIPTS = Topic("receipts", {"cleanup.policy": "delete", "retention.ms": str(30 * DAY_MS)}, "what became of each command")
EVENTS = Topic(
    "events",
    {
        "cleanup.policy": "delete",
        "retention.ms": "-1",  # truncated only behind the archive
        "retention.bytes": "-1",
        "message.timestamp.type": "CreateTime",
        "max.message.bytes": str(1024 * 1024),
    },
    "commits of events, the source of everything; key = backtest id",
)
RUNS = Topic(
    "runs",
    {
        "cleanup.policy": "compact",
        "segment.bytes": str(16 * 1024 * 1024),
        "min.cleanable.dirty.ratio": "0.1",
        "max.compaction.lag.ms": "60000",
    },
    "what a new owner of a partition restores; key = backtest id",
)
DEAD_LETTERS = Topic(
    "dead-letters",
    {"cleanup.policy": "delete", "retention.ms": str(30 * DAY_MS)},
    "what could not be read, with its bytes and the reason",
)
ARCHIVE = Topic(
    "archive",
    {"cleanup.policy": "compact"},
    "announced snapshots, key = backtest id; archived ranges of the log, key = log/{topic}/{partition}/{log_id}/{first offset}",
)

ARCHIVED = (EVENTS, RECEIPTS, DEAD_LETTERS)  # what the read model follows from; the first one alone is ever truncated by us

TOPICS = (COMMANDS, RECEIPTS, EVENTS, RUNS, DEAD_LETTERS, ARCHIVE)


def topic_name(prefix: str, topic: Topic) -> str:
    """Return the topic's full name, for example ``backtape.events``."""
    return f"{prefix}.{topic.name}"
