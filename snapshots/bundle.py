"""This module writes the snapshots of many small runs together: one file for each table, and one manifest for each run.

A sweep of ten thousand runs would otherwise make sixty thousand files of some kilobytes. In a bundle's file the runs stand one
after the other, in the order of their ids, each within one row group; its manifest names the row group and its rows there.
The manifest is still what makes a run's snapshot complete: it is put by the conditional PUT, after the files were read back.
Who loses that race takes the winner's manifest; its own rows in the bundle belong to nobody then (docs/decisions/0012).
"""

import io
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.canonical import canonical_json
from schemas.ids import sha256
from schemas.manifest import SnapshotAnnouncement, SnapshotFile, SnapshotManifest, Table
from snapshots.blobs import Blobs, bundle_key, manifest_key
from snapshots.errors import DamagedError, LogError, SnapshotError
from snapshots.parquet import Part, encode_parts
from snapshots.run_log import Place, RunFacts
from snapshots.tables import SORTED_BY, TABLES, TableBuilder
from snapshots.writer import announcement, manifest_of, put_checked, winner_of

GROUP_ROWS = 16_384  # of a row group: large enough to compress, small enough to read one run's rows out of it

RUNS = "backtape.runs"
INDEX = "backtape.index"

Work = Callable[[], Any]
Answer = SnapshotAnnouncement | SnapshotError


@dataclass(frozen=True, slots=True)
class Member:
    """One finished run that waits for its bundle, as tables."""

    facts: RunFacts
    place: Place
    tables: dict[Table, pa.Table]
    bytes: int = field(default=0)  # of its tables in memory


def member_of(bodies: Iterable[bytes], place: Place, *, facts: RunFacts) -> Member:
    """Fold a finished run's commits. Raises LogError when they are not a finished run's log."""
    if facts.status is None:
        raise LogError(f"the run {facts.backtest_id} is not finished: its log ends at sequence {facts.last_sequence}")
    builder = TableBuilder(facts.backtest_id)
    for body in bodies:
        builder.add(body)
    tables = builder.finish()
    if tables["events"].num_rows != facts.events:
        raise LogError(f"the commits of {facts.backtest_id} hold {tables['events'].num_rows} events, its chain {facts.events}")
    return Member(facts, place, tables, sum(table.nbytes for table in tables.values()))


def write_bundle(store: Blobs, members: Sequence[Member], *, together: Callable[[list[Work]], list[Any]]) -> list[Answer]:
    """Write the runs' files, read them back, put their manifests; return what to announce for each, in their order.

    together : does several things at a time and returns their answers, for example by threads
    An answer is a SnapshotError where the run's manifest that is there already is one of another log.
    Raises ReadBackError when a file reads back otherwise; then no manifest was put.
    """
    ordered = sorted(members, key=lambda member: member.facts.backtest_id)
    files: dict[str, list[SnapshotFile]] = {member.facts.backtest_id: [] for member in ordered}
    for name in TABLES:
        for member, file in zip(ordered, _write_table(store, name, ordered), strict=True):
            files[member.facts.backtest_id].append(file)
    manifests = [manifest_of(member.facts, member.place, files[member.facts.backtest_id]) for member in members]
    return together([_put_manifest(store, member, made) for member, made in zip(members, manifests, strict=True)])


def _write_table(store: Blobs, name: Table, members: Sequence[Member]) -> list[SnapshotFile]:
    """Write one table of all members; return what each one's manifest says of it."""
    groups, parts = lay_out([member.tables[name] for member in members])
    body = encode_parts(groups, name=name, sorted_by=SORTED_BY[name], metadata=_told(members, parts, has_index=name == "events"))
    digest = sha256(body)
    key = bundle_key(name, digest)
    put_checked(store, key, body, digest)
    rows = sum(part.rows for part in parts)
    whole = SnapshotFile(
        table=name, key=key, sha256=digest, bytes=len(body), rows=0, file_rows=rows, file_runs=len(members)
    )  # fmt: skip
    return [
        whole.model_copy(update={"rows": part.rows, "row_groups": [part.row_group], "first_row": part.first_row})
        for part in parts
    ]  # fmt: skip


def lay_out(tables: Sequence[pa.Table]) -> tuple[list[pa.Table], list[Part]]:
    """Return row groups that hold the runs' rows in this order, and where each run's are."""
    parts = places([table.num_rows for table in tables])
    groups: list[list[pa.Table]] = [[] for _ in range(parts[-1].row_group + 1)]
    for table, part in zip(tables, parts, strict=True):
        groups[part.row_group].append(table)
    return [pa.concat_tables(group).unify_dictionaries().combine_chunks() for group in groups], parts


def places(counts: Sequence[int]) -> list[Part]:
    """Return where each run's rows lie when they stand one after the other, each run within one row group."""
    parts: list[Part] = []
    group = rows = 0
    for count in counts:
        if rows and rows + count > GROUP_ROWS:
            group, rows = group + 1, 0
        parts.append(Part(row_group=group, first_row=rows, rows=count))
        rows += count
    return parts


def _told(members: Sequence[Member], parts: Sequence[Part], *, has_index: bool) -> dict[str, str]:
    """Return what a file says of its runs: their ids. The file of events says more, enough to make a lost manifest again.

    backtape.index : of each run its id, chain head, first and last sequence, row group, first row, rows
    """
    told = {RUNS: json.dumps([member.facts.backtest_id for member in members], separators=(",", ":"))}
    if has_index:
        rows = [
            [
                member.facts.backtest_id, member.facts.chain_head, member.facts.first_sequence, member.facts.last_sequence,
                part.row_group, part.first_row, part.rows,
            ]
            for member, part in zip(members, parts, strict=True)
        ]  # fmt: skip
        told[INDEX] = json.dumps(rows, separators=(",", ":"))
    return told


def runs_of(body: bytes, *, key: str) -> list[str]:
    """Return the ids of the runs whose rows a bundle's file holds. Raises DamagedError when it does not say so."""
    try:
        metadata = pq.read_metadata(io.BytesIO(body)).metadata or {}
        return [str(each) for each in json.loads(metadata[RUNS.encode()])]
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        raise DamagedError(f"{key} is no file of a bundle: {error}") from error


def _put_manifest(store: Blobs, member: Member, manifest: SnapshotManifest) -> Work:
    def put() -> Answer:
        body = canonical_json(manifest.model_dump(mode="json"))
        try:
            if store.put_if_absent(manifest_key(member.facts.backtest_id), body):
                return announcement(manifest, body)
            return winner_of(store, member.facts)
        except SnapshotError as error:
            return error

    return put
