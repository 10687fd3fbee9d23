"""This module makes one table of the live generation anew, from the log.

The table is filled beside the live one, in a generation that is never fed and goes away at the end; what a projector would need
to go on from is filled with it. Then the projectors wait for a moment: the new table is brought to exactly where the live ones
are, takes the old one's place, and the views are made again, in one transaction. What is kept for a rollback stays as it is.
"""

from adapters.errors import ConfigurationError, RetryableError
from adapters.ports import LogReader, TopicPartition
from adapters.postgres import PostgresRowStore
from consumers.rebuild.filling import Scope, fill
from consumers.rebuild.job import SWAP_BUDGET_SECONDS, DifferentError, Rebuild, Rebuilt
from consumers.rebuild.verify import verify
from consumers.wiring import log_reader
from projections.digests import compared_tables
from projections.tables import POSITIONS, PROJECTION_VERSION, TRADES
from projections.views import views_sql
from schemas.generations import Generation


class TableRebuild(Rebuild):
    """The stages of a rebuild, for one table."""

    async def run_for(self, table: str, *, accepts_differences: bool = False) -> Rebuilt:
        """Do all of it. Raises DifferentError where the rows differ, unless that is accepted.

        table : its name; ``trades``, which people know and which is shown from ``positions``, stands for that table
        """
        if table not in (*compared_tables(), TRADES.name):
            known = ", ".join((*compared_tables(), TRADES.name))
            raise ConfigurationError(f"--only: {table!r} is no table that can be made alone; {known} are")
        if table == TRADES.name:
            self._report(f"{TRADES.name} are shown from {POSITIONS.name}: that table is made anew")
            table = POSITIONS.name
        async with self._generations.alone():
            reader = log_reader(self._settings)
            try:
                return await self._make(table, reader, accepts_differences=accepts_differences)
            finally:
                await reader.close()

    async def _make(self, table: str, reader: LogReader, *, accepts_differences: bool) -> Rebuilt:
        live = await self._generations.live()
        if live.version != PROJECTION_VERSION:
            raise ConfigurationError(f"generation {live} is live, and this is version {PROJECTION_VERSION} of the read model")
        done = Rebuilt(await self._unused(), live)
        try:
            await self._build(done, reader, Scope(table, await self._live_ends(done, reader)))
            self._stage(done, f"compare {table} with generation {live}")
            done.verified = await verify(self._generations, live, done.generation, only=table)
            if not done.verified.is_same and not accepts_differences:
                raise DifferentError(done.verified)
            self._stage(done, f"put {table} in its place")
            done.swap_seconds = await self._put_in_place(table, done, reader)
        finally:
            await self._generations.drop(done.generation)
        return done

    async def _unused(self) -> Generation:
        """Return a generation that is nothing to anybody: one that was left behind, else the next number."""
        states = [each for each in await self._generations.all() if each.generation.version == PROJECTION_VERSION]
        left = [each.generation for each in states if each.state == "building"]
        return left[-1] if left else Generation(PROJECTION_VERSION, 1 + max(each.generation.number for each in states))

    async def _live_ends(self, done: Rebuilt, reader: LogReader) -> dict[TopicPartition, int]:
        """Return where the live tables are: never beyond it, so that both can meet."""
        rows = await self._generations.fetch(f"SELECT topic, partition, next_offset FROM {done.replaced.schema}.projection_state")
        found = {TopicPartition(row["topic"], row["partition"]): row["next_offset"] for row in rows}
        return {source: found.get(source, 0) for source, _ in await self._sources(reader)}

    async def _put_in_place(self, table: str, done: Rebuilt, reader: LogReader) -> float:
        async def meet(ends: dict[TopicPartition, int]) -> None:
            await self._fill_up_to(ends, done, reader)

        await meet(await self._live_ends(done, reader))  # most of it while the projectors work
        return await self._generations.replace_table(
            table, live=done.replaced, made=done.generation, meet=meet, statements=views_sql(done.replaced.schema),
            budget_seconds=SWAP_BUDGET_SECONDS,
        )  # fmt: skip

    async def _fill_up_to(self, ends: dict[TopicPartition, int], done: Rebuilt, reader: LogReader) -> None:
        store = PostgresRowStore(self._settings.database_url, done.generation.schema)
        try:
            sources = await self._sources(reader)
            # Messages first: which backtests were deleted is known from receipts.
            for source, kind in sorted(sources, key=lambda each: each[1] == "events"):
                filled = await fill(source, kind, store=store, reader=reader, scope=Scope(ends=ends))
                if filled.position.next_offset != ends.get(source, filled.position.next_offset):
                    raise RetryableError(
                        f"{source.topic}/{source.partition}: the live tables are at offset {ends[source]}, the log gives"
                        f" {filled.position.next_offset}"
                    )
        finally:
            await store.close()
