"""This module is the rebuild: make a generation, fill it, catch up with the log, compare it, let it take the live one's place.

Each stage leaves the database in a state from which the next rebuild goes on: a generation that is *building* is made anew, one
on *standby* is complete, and is caught up and compared again. People read the live one until the one transaction of the swap.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from adapters.errors import ConfigurationError, RetryableError
from adapters.kafka_deletion import group_members
from adapters.ports import LogReader, TopicPartition
from adapters.postgres import PostgresRowStore
from adapters.postgres_generations import Generations, GenerationState
from consumers.projector.loop import PROJECTED
from consumers.rebuild.carrying import carry_sql
from consumers.rebuild.deferring import CannotDeferError
from consumers.rebuild.filling import EVERYTHING, Scope, fill
from consumers.rebuild.parallel import Progress, fill_in_processes
from consumers.rebuild.verify import Verified, verify
from consumers.settings import Settings
from consumers.wiring import WATCH_SECONDS, log_reader
from projections.ddl import keyed_sql, tables_sql, unkeyed_sql
from projections.roles import grants_sql
from projections.tables import PROJECTION_VERSION
from projections.views import views_sql
from schemas.generations import Generation
from schemas.topics import ARCHIVE, EVENTS

SWAP_BUDGET_SECONDS = 60.0
CATCH_UP_SECONDS = 600.0
LOOK_SECONDS = 0.05
LEAVING_SECONDS = 60.0  # for projectors to leave what is to be dropped; a dead one is in its group until its session ends

Report = Callable[[str], None]


class DifferentError(Exception):
    """The new generation is not what the old one is; nothing was swapped."""

    def __init__(self, verified: Verified) -> None:
        missing = [f"{verified.only_old} backtests are only in the old generation"] if verified.only_old else []
        super().__init__("; ".join([*map(str, verified.differences), *missing]))
        self.verified = verified


@dataclass(slots=True)
class Rebuilt:
    """What a rebuild did."""

    generation: Generation
    replaced: Generation
    events: int = 0
    fill_seconds: float = 0.0
    key_seconds: float = 0.0
    verified: Verified | None = None
    swap_seconds: float | None = None  # that the views were locked; None: not swapped
    stages: list[str] = field(default_factory=list)


class Rebuild:
    """The stages, each of which says when it begins."""

    def __init__(self, settings: Settings, *, report: Report, processes: int) -> None:
        self._settings = settings
        self._report = report
        self._processes = processes
        self._generations = Generations(settings.database_url, migrates=True)

    async def run(self, *, accepts_differences: bool = False, swaps: bool = True) -> Rebuilt:
        """Do all of it. Raises DifferentError where the generations differ, unless that is accepted."""
        async with self._generations.alone():
            reader = log_reader(self._settings)
            try:
                return await self._run(reader, accepts_differences=accepts_differences, swaps=swaps)
            finally:
                await reader.close()

    async def _run(self, reader: LogReader, *, accepts_differences: bool, swaps: bool) -> Rebuilt:
        states = await self._generations.all()
        live = await self._generations.live()
        standby = [
            each.generation for each in states if each.state == "standby" and each.generation.version == PROJECTION_VERSION
        ]
        if standby:
            done = Rebuilt(standby[-1], live)
            self._stage(done, f"go on with generation {standby[-1]}, which is complete")
        else:
            await self._drop(states, {"kept", "dropping"})
            done = Rebuilt(_next(states), live)
            await self._build(done, reader)
            await self._generations.put(done.generation, "standby")
        await self._catch_up(done, reader)
        self._stage(done, f"compare with generation {live}")
        done.verified = await verify(self._generations, live, done.generation)
        self._report(_told(done.verified))
        if not done.verified.is_same and not accepts_differences:
            raise DifferentError(done.verified)
        if swaps:
            self._stage(done, "swap the views")
            statements = views_sql(done.generation.schema)
            done.swap_seconds = await self._generations.swap(done.generation, statements, budget_seconds=SWAP_BUDGET_SECONDS)
        return done

    # --- stages -------------------------------------------------------------------------------------------------

    def _stage(self, done: Rebuilt, text: str) -> None:
        done.stages.append(text)
        self._report(text)

    async def _build(self, done: Rebuilt, reader: LogReader, scope: Scope = EVERYTHING) -> None:
        """Make the tables and fill them: once by the fast way, row by row where the log holds what can't be projected."""
        try:
            await self._fill(done, reader, scope, defers=True)
        except CannotDeferError as error:
            self._report(f"row by row: {error}")
            await self._fill(done, reader, scope, defers=False)

    async def _fill(self, done: Rebuilt, reader: LogReader, scope: Scope, *, defers: bool) -> None:
        schema = done.generation.schema
        self._stage(done, f"make generation {done.generation}")
        await self._generations.create(done.generation, [*tables_sql(schema), *grants_sql(schema)])
        sources = await self._sources(reader)
        await self._carry_over(done, reader, sources)
        # Messages first: which backtests were deleted is known from receipts.
        self._stage(done, "fill it from receipts, dead letters and announcements")
        store = PostgresRowStore(self._settings.database_url, schema)
        try:
            for source, kind in sources:
                if kind == EVENTS.name:
                    await store.open(source, await reader.beginning(source))
            for source, kind in sources:
                if kind != EVENTS.name:
                    await fill(source, kind, store=store, reader=reader, scope=scope)
        finally:
            await store.close()
        self._stage(done, "fill it from the events")
        events = [source for source, kind in sources if kind == EVENTS.name]
        if defers:
            await self._generations.execute(unkeyed_sql(schema))
        await self._fill_events(done, reader, events, scope, defers=defers)
        if defers:
            self._stage(done, "make its keys")
            began = asyncio.get_running_loop().time()
            await self._generations.execute(keyed_sql(schema))
            done.key_seconds = asyncio.get_running_loop().time() - began

    async def _fill_events(
        self, done: Rebuilt, reader: LogReader, events: list[TopicPartition], scope: Scope, *, defers: bool
    ) -> None:
        ends = {source: scope.ends.get(source, await reader.end(source)) for source in events}
        total = sum([end - await reader.beginning(source) for source, end in ends.items()])
        progress = Progress(total)
        if defers:
            await fill_in_processes(
                self._settings, done.generation.schema, [source.partition for source in events], processes=self._processes,
                scope=scope, progress=progress, report=self._report,
            )  # fmt: skip
        else:
            store = PostgresRowStore(self._settings.database_url, done.generation.schema)
            try:
                for source in events:
                    await fill(source, EVENTS.name, store=store, reader=reader, scope=scope, on_batch=progress.done.add)
                    self._report(str(progress))
            finally:
                await store.close()
        done.events, done.fill_seconds = progress.done.events, progress.seconds

    async def _carry_over(self, done: Rebuilt, reader: LogReader, sources: Sequence[tuple[TopicPartition, str]]) -> None:
        """Take over from the live generation what the log does not hold any more: receipts and dead letters end after 30 days."""
        begins = {source: await reader.beginning(source) for source, kind in sources if kind not in (EVENTS.name, ARCHIVE.name)}
        for table, statement in carry_sql(done.replaced.schema, done.generation.schema):
            columns = await self._generations.fetch(
                "SELECT column_name FROM information_schema.columns AS o WHERE table_schema = $1 AND table_name = $2 AND EXISTS"
                " (SELECT FROM information_schema.columns AS n WHERE n.table_schema = $3 AND n.table_name = $2"
                " AND n.column_name = o.column_name)",
                done.replaced.schema, table.name, done.generation.schema,
            )  # fmt: skip
            names = ", ".join(f'"{row["column_name"]}"' for row in columns)
            for source, beginning in begins.items():
                if beginning > 0 and source.topic.endswith(f".{table.topic}"):
                    await self._generations.fetch(statement.format(names=names), source.partition, beginning)

    async def _catch_up(self, done: Rebuilt, reader: LogReader) -> None:
        """Bring every source to the log's end: by ourselves, or by the projectors that feed this generation by now."""
        self._stage(done, "catch up with the log")
        store = PostgresRowStore(self._settings.database_url, done.generation.schema)
        try:
            async with asyncio.timeout(CATCH_UP_SECONDS):
                for source, kind in await self._sources(reader):
                    # A projector may have begun to feed these tables: then each of the two is fenced by the other.
                    while (await fill(source, kind, store=store, reader=reader)).is_others:  # noqa: ASYNC110
                        await asyncio.sleep(LOOK_SECONDS)
        except TimeoutError as error:
            raise RetryableError(
                f"generation {done.generation} is not at the log's end after {CATCH_UP_SECONDS:.0f} s"
            ) from error
        finally:
            await store.close()

    async def _sources(self, reader: LogReader) -> list[tuple[TopicPartition, str]]:
        """Return every source with its kind."""
        return [
            (TopicPartition(self._settings.kafka.topic(topic), number), topic.name)
            for topic in PROJECTED
            for number in range(await reader.partitions(self._settings.kafka.topic(topic)))
        ]

    # --- beside the rebuild -------------------------------------------------------------------------------------

    async def rollback(self) -> Rebuilt:
        """Let the generation that was live before take the live one's place again, once it is at the same place of the log."""
        async with self._generations.alone():
            live = await self._generations.live()
            kept = [each.generation for each in await self._generations.all() if each.state == "kept"]
            if not kept:
                raise ConfigurationError("no generation is kept that could be live again")
            done = Rebuilt(kept[-1], live)
            self._stage(done, f"wait until generation {kept[-1]} is where {live} is")
            await self._wait_for_kept(done)
            self._stage(done, "swap the views")
            done.swap_seconds = await self._generations.swap(
                done.generation, await self._views_of(done.generation), budget_seconds=SWAP_BUDGET_SECONDS
            )
            return done

    async def _views_of(self, generation: Generation) -> list[str]:
        if generation.version != PROJECTION_VERSION:
            raise ConfigurationError(
                f"generation {generation} is of another version of Backtape: roll back with that version's `backtape rebuild"
                " --rollback`, which knows its views"
            )
        return views_sql(generation.schema)

    async def _wait_for_kept(self, done: Rebuilt) -> None:
        sql = (
            f"SELECT count(*) AS behind FROM {done.replaced.schema}.projection_state AS l LEFT JOIN"
            f" {done.generation.schema}.projection_state AS k ON l.topic = k.topic AND l.partition = k.partition"
            " WHERE coalesce(k.next_offset, 0) < l.next_offset"
        )
        ends = asyncio.get_running_loop().time() + SWAP_BUDGET_SECONDS
        while (behind := (await self._generations.fetch(sql))[0]["behind"]) > 0:
            if asyncio.get_running_loop().time() > ends:
                raise RetryableError(
                    f"generation {done.generation} is behind in {behind} sources: does a projector of its version run?"
                )
            await asyncio.sleep(LOOK_SECONDS)

    async def drop_old(self) -> list[Generation]:
        """Remove every generation that is kept for a rollback, or that was left behind."""
        async with self._generations.alone():
            return await self._drop(await self._generations.all(), {"kept", "dropping", "building"})

    async def _drop(self, states: Sequence[GenerationState], which: set[str]) -> list[Generation]:
        leaving = [each.generation for each in states if each.state in which]
        fed = [each.generation for each in states if each.state in which - {"building"}]
        for generation in leaving:
            await self._generations.put(generation, "dropping")
        if fed:
            self._report(f"wait until no projector feeds {', '.join(map(str, fed))}")
            await self._wait_for_leaving(fed)
        for generation in leaving:
            self._report(f"drop generation {generation}")
            await self._generations.drop(generation)
        return leaving

    async def _wait_for_leaving(self, generations: Sequence[Generation]) -> None:
        """Return when no projector is in their groups, and none can be about to join: all have looked what is to be fed since."""
        groups = [self._settings.projector_group(generation) for generation in generations]
        now = asyncio.get_running_loop().time
        ends, empty_since = now() + LEAVING_SECONDS, None
        while empty_since is None or now() - empty_since < WATCH_SECONDS:
            members = {group: await group_members(self._settings.kafka, group) for group in groups}
            if not any(members.values()):
                empty_since = empty_since or now()
            elif now() > ends:
                told = ", ".join(f"{group} has {count} members" for group, count in members.items() if count)
                raise RetryableError(f"projectors still feed what is to be dropped after {LEAVING_SECONDS:.0f} s: {told}")
            else:
                empty_since = None
            await asyncio.sleep(LOOK_SECONDS)


def _next(states: Sequence[GenerationState]) -> Generation:
    """Return the generation to build: the one that a rebuild left unfinished or a migration made, else the next number."""
    own = [each for each in states if each.generation.version == PROJECTION_VERSION]
    unfinished = [each.generation for each in own if each.state == "building"]
    if unfinished:
        return unfinished[-1]
    numbers = [each.generation.number for each in own if each.state not in ("kept", "dropping")]
    return Generation(PROJECTION_VERSION, max(numbers, default=0) + 1)


def _told(verified: Verified) -> str:
    told = f"{verified.compared:,} of {verified.backtests:,} backtests compared"
    if verified.new_columns:
        told += f"; new: {', '.join(verified.new_columns)}"
    return f"{told}; {len(verified.differences)} differences"
