"""This module answers tables in the format that is asked for: JSON pages, or a whole table as CSV, Arrow or Parquet, as a stream.

Rows are read by a cursor and written batch by batch, so that a table of millions of rows needs the memory of one batch. An
error after the first byte can't become a status any more: the connection is cut, and Arrow and Parquet are then visibly broken.
"""

import io
from collections.abc import AsyncIterator
from typing import Any, Literal

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from starlette.responses import StreamingResponse

from web.problems import ProblemError

Format = Literal["json", "csv", "arrow", "parquet"]
MEDIA_TYPES: dict[str, str] = {
    "json": "application/json",
    "csv": "text/csv; charset=utf-8",
    "arrow": "application/vnd.apache.arrow.stream",
    "parquet": "application/vnd.apache.parquet",
}
ENDINGS = {"csv": "csv", "arrow": "arrows", "parquet": "parquet"}


def chosen_format(accept: str | None, asked: Format | None) -> Format:
    """Return the format: the query's, else the first one of Accept that there is, JSON where anything will do.

    Raises ProblemError 406 when Accept names none of them.
    """
    if asked is not None:
        return asked
    by_type: dict[str, Format] = {
        "*/*": "json", "application/*": "json", "application/json": "json", "text/csv": "csv", "text/*": "csv",
        "application/vnd.apache.arrow.stream": "arrow", "application/vnd.apache.parquet": "parquet",
    }  # fmt: skip
    for kind in _by_weight(accept or "*/*"):
        if kind in by_type:
            return by_type[kind]
    raise ProblemError(
        406, "not_acceptable", f"Accept: {accept}: one of {', '.join(k for k in by_type if '*' not in k)} is needed"
    )


def _by_weight(accept: str) -> list[str]:
    """Return the media types of an Accept header, the most wanted first, without those of weight 0."""
    weighted = []
    for place, part in enumerate(accept.split(",")):
        kind, *parameters = [each.strip() for each in part.split(";")]
        weight = next((each[2:] for each in parameters if each.startswith("q=")), "1")
        try:
            quality = float(weight)
        except ValueError:
            quality = 0.0
        if quality > 0:
            weighted.append((-quality, place, kind.lower()))
    return [kind for _, _, kind in sorted(weighted)]


def streamed(batches: AsyncIterator[pa.RecordBatch], schema: pa.Schema, form: Format, name: str) -> StreamingResponse:
    """Answer a table as a file of this format.

    name : of the file that a browser would keep, without its ending
    """
    writers = {"csv": _csv, "arrow": _arrow, "parquet": _parquet}
    headers = {"Content-Disposition": f'attachment; filename="{name}.{ENDINGS[form]}"', "Cache-Control": "no-store"}
    return StreamingResponse(writers[form](batches, schema), media_type=MEDIA_TYPES[form], headers=headers)


async def _csv(batches: AsyncIterator[pa.RecordBatch], schema: pa.Schema) -> AsyncIterator[bytes]:
    yield (",".join(f'"{name}"' for name in schema.names) + "\n").encode()
    options = pa_csv.WriteOptions(include_header=False)
    async for batch in batches:
        sink = io.BytesIO()
        pa_csv.write_csv(_plain(batch), sink, options)
        yield sink.getvalue()


def _plain(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Write times as RFC 3339 and lists as words: CSV has neither."""
    for place, field in enumerate(batch.schema):
        if pa.types.is_timestamp(field.type):
            column = pa.array(
                [None if each is None else each.isoformat() for each in batch.column(place).to_pylist()], pa.string()
            )
            batch = batch.set_column(place, field.name, column)
    return batch


async def _arrow(batches: AsyncIterator[pa.RecordBatch], schema: pa.Schema) -> AsyncIterator[bytes]:
    sink = _Sink()
    with pa.ipc.new_stream(pa.PythonFile(sink, mode="w"), schema) as writer:
        yield sink.take()
        async for batch in batches:
            writer.write_batch(batch)
            yield sink.take()
    yield sink.take()


async def _parquet(batches: AsyncIterator[pa.RecordBatch], schema: pa.Schema) -> AsyncIterator[bytes]:
    sink = _Sink()
    with pq.ParquetWriter(pa.PythonFile(sink, mode="w"), schema, compression="zstd") as writer:
        async for batch in batches:
            writer.write_batch(batch)
            yield sink.take()
    yield sink.take()


class _Sink:
    """What a writer writes, until it is sent."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._position = 0
        self.closed = False

    def write(self, data: Any) -> int:
        part = bytes(data)
        self._parts.append(part)
        self._position += len(part)
        return len(part)

    def take(self) -> bytes:
        parts, self._parts = self._parts, []
        return b"".join(parts)

    def tell(self) -> int:
        return self._position

    def flush(self) -> None: ...

    def close(self) -> None:
        self.closed = True

    def readable(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False
