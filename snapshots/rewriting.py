"""This module writes a shared file anew without the rows of some runs, under a new key."""

import io
import json
from collections.abc import Mapping

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.ids import sha256
from schemas.manifest import BundleMove, SnapshotFile
from snapshots.blobs import bundle_key
from snapshots.bundle import INDEX, RUNS, lay_out
from snapshots.errors import DamagedError
from snapshots.parquet import Part, encode_parts
from snapshots.tables import SORTED_BY

REPLACES = "backtape.replaces"


def without_others(body: bytes, kept: Mapping[str, SnapshotFile]) -> tuple[bytes, BundleMove]:
    """Return the new file, and the move that says where its rows are. The same runs give the same bytes.

    body : the shared file, whose digest was checked
    kept : where in it the rows lie of each run that stays; they all name this file
    Raises DamagedError when the file does not hold them.
    """
    first = next(iter(kept.values()))
    ids = sorted(kept)
    try:
        source = pq.ParquetFile(io.BytesIO(body))
        metadata = {key.decode(): value.decode() for key, value in (source.schema_arrow.metadata or {}).items()}
        tables = _rows(source, [kept[each] for each in ids])
        groups, parts = lay_out(tables)
        told = {RUNS: json.dumps(ids, separators=(",", ":")), REPLACES: first.key}
        if INDEX in metadata:
            told[INDEX] = _index(metadata[INDEX], dict(zip(ids, parts, strict=True)))
    except (pa.ArrowException, OSError, IndexError, KeyError, ValueError) as error:
        raise DamagedError(f"{first.key} can't be written anew: {error}") from error
    made = encode_parts(groups, name=first.table, sorted_by=SORTED_BY[first.table], metadata=told)
    digest = sha256(made)
    move = BundleMove(
        source=first.key,
        key=bundle_key(first.table, digest),
        sha256=digest,
        bytes=len(made),
        file_rows=sum(part.rows for part in parts),
        places={each: (part.row_group, part.first_row, part.rows) for each, part in zip(ids, parts, strict=True)},
    )
    return made, move


def _rows(source: pq.ParquetFile, files: list[SnapshotFile]) -> list[pa.Table]:
    """Return each run's rows. Words are encoded again: a slice would bring along the words of the rows that go."""
    schema = source.schema_arrow.remove_metadata()
    as_text = pa.schema([each.with_type(each.type.value_type) if pa.types.is_dictionary(each.type) else each for each in schema])
    groups: dict[int, pa.Table] = {}
    tables = []
    for file in files:
        assert file.row_groups is not None and len(file.row_groups) == 1, "a run of a shared file lies in one row group"
        (number,) = file.row_groups
        if number not in groups:
            groups[number] = source.read_row_group(number).replace_schema_metadata(None).cast(as_text)
        rows = groups[number].slice(file.first_row or 0, file.rows)
        if rows.num_rows != file.rows:
            raise DamagedError(f"{file.key}, row group {number} ends within the {file.rows} rows from {file.first_row} on")
        tables.append(rows.cast(schema))
    return tables


def _index(text: str, places: Mapping[str, Part]) -> str:
    """Return the index of the runs that stay, at their new places."""
    kept = []
    for name, *facts in json.loads(text):
        if name in places:
            part = places[name]
            kept.append([name, *facts[:3], part.row_group, part.first_row, part.rows])
    return json.dumps(kept, separators=(",", ":"))
