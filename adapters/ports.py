"""This module lists the ports: what the loops need from the outside world.

Each port has a real adapter and a memory twin that pass one contract suite (tests/contract). The loops in consumers/ are
written against these alone, so that a simulator with a virtual clock can drive the very same code.
Errors are those of adapters/errors.py.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Any, Literal, Protocol

from schemas.actions import Side
from schemas.market_data import Bars, DataSetManifest

Headers = tuple[tuple[str, bytes], ...]


# --- the log ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, order=True)
class TopicPartition:
    topic: str  # full name, for example backtape.events
    partition: int


@dataclass(frozen=True, slots=True)
class Record:
    """One record as it lies on the log."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


@dataclass(frozen=True, slots=True)
class Write:
    """One record to append; its partition is the writer's own."""

    topic: str
    key: bytes
    value: bytes | None  # None: a tombstone on a compacted topic
    headers: Headers = ()


class Partition(Protocol):
    """One partition number across the topics, as its single owner sees it: the unit of ownership and of transactions.

    Order: ``fence``, then ``restore``, then any number of ``transact``. After an error other than FencedError, ``fence``
    and ``restore`` again: that tells what happened. After FencedError: ``close`` and leave.
    """

    number: int

    async def fence(self) -> None:
        """Become the owner: earlier owners' open transactions are aborted, their later ones fail."""
        ...

    async def restore(self) -> list[Record]:
        """Return the newest record of each key of the runs topic, as of the fence or later; tombstones left out."""
        ...

    async def bounds_of_commands(self) -> tuple[int, int]:
        """Return the first offset that the commands topic still holds, and the one after its last."""
        ...

    async def read_commit(self, offset: int) -> Record:
        """Return the record at this offset of the events topic.

        Raises NotFoundError, or RetryableError while the offset is not visible yet.
        """
        ...

    async def transact(self, writes: Sequence[Write], then: Callable[[list[int]], Sequence[Write]] | None = None) -> list[int]:
        """Append all writes in one transaction, on this partition only, and return their offsets (those of ``then`` not).

        then : called with the offsets of ``writes`` inside the transaction; returns further writes of the same transaction
        Raises FencedError, OutcomeUnknownError or another RetryableError: nothing is known, fence and restore.
        """
        ...

    async def forward(self, partition: int, records: Sequence[Record]) -> None:
        """Append records unchanged to another partition of their own topic, outside any transaction, at least once."""
        ...

    async def close(self) -> None:
        """Give up the partition, within a bounded time."""
        ...


class LogReader(Protocol):
    """Reads committed records of chosen partitions, outside any consumer group."""

    async def beginning(self, source: TopicPartition) -> int: ...

    async def end(self, source: TopicPartition) -> int:
        """Return the last stable offset: every committed record below it can be read now."""
        ...

    async def read(self, source: TopicPartition, start: int, *, max_records: int = 500) -> list[Record]:
        """Return committed records from ``start`` on in order; empty when there is none below the end.

        Raises NotFoundError when ``start`` is before the log's beginning.
        """
        ...

    async def partitions(self, topic: str) -> int:
        """Return the topic's number of partitions. Raises NotFoundError."""
        ...

    async def close(self) -> None: ...


class Membership(Protocol):
    """The consumer group: which partitions are ours. The shell calls a loop's on_assigned, on_revoked and on_records."""

    def pause(self, source: TopicPartition) -> None: ...

    def resume(self, source: TopicPartition) -> None: ...

    def seek(self, source: TopicPartition, offset: int) -> None: ...

    async def rejoin(self) -> None:
        """Leave the group and join it again, as after FencedError."""
        ...


class Loop(Protocol):
    """What a consumer process runs, driven by its shell (FastStream) or by a simulator."""

    async def on_assigned(self, sources: set[TopicPartition]) -> None:
        """Called while the partitions are paused; the loop positions and resumes each one."""
        ...

    async def on_revoked(self, sources: set[TopicPartition]) -> None:
        """Called before others may take over; returns when nothing of ours is under way on these partitions."""
        ...

    async def on_records(self, source: TopicPartition, records: Sequence[Record]) -> None:
        """Take records over, in order; waiting here is the back-pressure."""
        ...

    async def close(self) -> None: ...


# --- cold storage -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class BlobInfo:
    key: str
    bytes: int
    modified_ms: int = 0  # when it was put last, by the store's clock


class BlobStore(Protocol):
    """Objects under keys, with a conditional PUT. Synchronous; async callers use a thread."""

    url: str  # for example s3://bucket/prefix or file:///folder

    def put(self, key: str, data: bytes) -> None:
        """Store the bytes under the key; what was there is replaced."""
        ...

    def put_file(self, key: str, file: IO[bytes]) -> None:
        """Store an open file's bytes, from its first on, as ``put`` does, without holding them all in memory."""
        ...

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Store the bytes unless the key exists. Exactly one of several racing callers gets True."""
        ...

    def get(self, key: str) -> bytes:
        """Return the object's bytes, or raise NotFoundError."""
        ...

    def pieces(self, key: str) -> Iterator[bytes]:
        """Yield the object's bytes piece by piece, all of one version of it. Raises NotFoundError."""
        ...

    def head(self, key: str) -> BlobInfo | None: ...

    def list(self, prefix: str) -> Iterator[BlobInfo]:
        """Yield what lies under the prefix, in order of keys."""
        ...

    def delete(self, key: str) -> None:
        """Remove the object; nothing happens when there is none."""
        ...

    def presigned(self, key: str, seconds: int) -> str | None:
        """Return an address that opens the object without further authority for so long; None where there is no such thing."""
        ...


class MarketData(Protocol):
    """Immutable data-set versions. Synchronous: simulations' processes use it."""

    def resolve(self, dataset: str, version: int | None) -> DataSetManifest:
        """Return the manifest of a version (None: the newest). Raises NotFoundError, or RetryableError if out of reach."""
        ...

    def bars(self, manifest: DataSetManifest, symbol: str, timeframe: str) -> Bars:
        """Return one symbol's bars, memory-mapped read-only from a local copy that all processes share.

        Raises NotFoundError (no such symbol or timeframe), IntegrityError (the bytes do not match the manifest's digest).
        """
        ...

    def side(self, manifest: DataSetManifest) -> Side:
        """Return the corporate actions and rates of all symbols. Raises IntegrityError as ``bars`` does."""
        ...


# --- the read model -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SourcePosition:
    """How far one source has been read: everything before ``next_offset`` is in the tables."""

    source: TopicPartition
    log_id: str | None  # None while no record has named the log
    next_offset: int


@dataclass(frozen=True, slots=True)
class Advance:
    """One source's move within a batch: from the position that the writer knows to the one after the batch."""

    before: SourcePosition
    log_id: str | None
    next_offset: int
    recorded_ms: int  # time of the newest record of the batch

    @property
    def after(self) -> SourcePosition:
        return SourcePosition(self.before.source, self.log_id, self.next_offset)


@dataclass(frozen=True, slots=True)
class TableWrite:
    """Rows of one table to write in one way.

    kind : ``insert`` (the rows are new), ``update`` (they are there: the columns besides the key change), ``upsert``, ``delete``
        (rows with this key go, if there are any; the key may be a part of the primary key)
    columns : what stands at each place of a row: a column's name and SQL type; None for a value that is not written
    count : number of rows
    packed : the rows in chunks, each a MessagePack array of arrays; times are int64 nanoseconds since 1970 UTC, JSON is text
    """

    table: str
    kind: Literal["insert", "update", "upsert", "delete"]
    key: tuple[str, ...]
    columns: tuple[tuple[str, str] | None, ...]
    count: int
    packed: tuple[bytes, ...]

    @property
    def names(self) -> list[str]:
        """Return the names of the columns that are written."""
        return [column[0] for column in self.columns if column is not None]


@dataclass(frozen=True, slots=True)
class Effects:
    """What a batch means besides its rows.

    changed : backtests whose rows it changes; who listens (the port Changes) is told when the batch is there
    alive : backtests that it adds to; it is refused with DeletedError where one of them is in ``deleted_backtests``
    held : sources that must stand still meanwhile, because the batch removes what they wrote
    """

    changed: frozenset[str] = frozenset()
    alive: frozenset[str] = frozenset()
    held: tuple[TopicPartition, ...] = ()


NO_EFFECTS = Effects()


@dataclass(frozen=True, slots=True)
class LogEnd:
    """Where a source's log ended when somebody looked, and since when its oldest record waits."""

    source: TopicPartition
    end: int  # last stable offset
    oldest_unread_ms: int | None  # None: everything is in the tables
    observed_ms: int


class RowStore(Protocol):
    """The read model's tables, written in transactions that also hold how far each source was read."""

    async def open(self, source: TopicPartition, start: int) -> SourcePosition:
        """Return the source's position; where there is none yet, begin at ``start``."""
        ...

    async def position(self, source: TopicPartition) -> SourcePosition | None:
        """Return the source's position, None if there is none."""
        ...

    async def write(self, advances: Sequence[Advance], writes: Sequence[TableWrite], effects: Effects = NO_EFFECTS) -> None:
        """Move the sources and write the rows in one transaction: all or nothing.

        Raises FencedError when a source is not where ``before`` says: somebody else moved it, or a crash of the database
        took back its last batches. Raises DeletedError where ``effects`` say so. Raises RetryableError when nothing was written
        (also while a held source has no position yet), OutcomeUnknownError when it may have been: then ``position`` tells.
        """
        ...

    async def observe(self, ends: Sequence[LogEnd]) -> None:
        """Note where logs end, beside all batches. An older observation does not replace a newer one."""
        ...

    async def read(
        self, table: str, columns: Sequence[str], *, where: str, values: Sequence[str], only: str | None = None
    ) -> list[tuple[Any, ...]]:
        """Return the rows whose column ``where`` has one of the values, in the order of the primary key.

        only : name of a boolean column that must be true as well
        Times are datetimes in UTC, JSON is text.
        """
        ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Changed:
    """Which backtests' rows have changed. ``everything``: any may have, because so many did, or nobody listened for a while."""

    ids: frozenset[str] = frozenset()
    everything: bool = False

    def __bool__(self) -> bool:
        return self.everything or bool(self.ids)


class Changes(Protocol):
    """Tells what changed in the read model, without asking it again and again."""

    async def wait(self, seconds: float) -> Changed:
        """Return what has changed since the last call, as soon as there is something; nothing after so many seconds.

        The first call returns ``everything`` at once, and so does the first one after a lost connection: look, then wait.
        Raises RetryableError while there is no connection.
        """
        ...

    async def close(self) -> None: ...


class SqlReader(Protocol):
    """Answers queries over the read model's views. Never writes."""

    async def fetch(self, sql: str, arguments: Sequence[object] = ()) -> list[dict[str, Any]]:
        """Return the rows as dicts. Times are datetimes in UTC, JSON is decoded."""
        ...

    async def close(self) -> None: ...


# --- time ---------------------------------------------------------------------------------------------------------


class Clock(Protocol):
    """Wall-clock time and waiting, so that a simulator can have its own."""

    def now_ms(self) -> int:
        """Return milliseconds since 1970 UTC."""
        ...

    def monotonic(self) -> float: ...

    async def sleep(self, seconds: float) -> None: ...
