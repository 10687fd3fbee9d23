"""This module takes market data: streamed to a file, then checked and stored by the command line's import in its own process."""

import asyncio
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import Request

from schemas.errors import FieldProblem
from schemas.market_data import DataFile
from web.data_sets import file_answer
from web.problems import ProblemError
from web.processes import Finished, run_cli
from web.services import Services

IMPORT_SECONDS = 600.0
NO = 1  # the command line's exit code for data that is refused
PARQUET_MAGIC = b"PAR1"


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """What the import is told."""

    dataset: str
    symbol: str
    timeframe: str
    timezone: str | None
    tick: float
    lot: float
    calendar: str
    adjusted: bool
    repair: bool

    def arguments(self) -> list[str]:
        """Return the command line's options; each value stands with its name, so that none can pass for an option."""
        values = {
            "dataset": self.dataset, "symbol": self.symbol, "timeframe": self.timeframe, "timezone": self.timezone,
            "tick": repr(self.tick), "lot": repr(self.lot), "calendar": self.calendar,
        }  # fmt: skip
        options = [f"--{name}={value}" for name, value in values.items() if value is not None]
        return options + (["--adjusted"] if self.adjusted else []) + (["--repair"] if self.repair else [])


async def take_upload(services: Services, request: Request, options: ImportOptions) -> dict[str, Any]:
    """Store an upload as a version of a data set, and return the answer ``UploadAnswer``.

    Raises ProblemError 413 for one that is too large, 422 for bars that are not good, naming what is wrong.
    """
    with tempfile.TemporaryDirectory(prefix="backtape-upload-") as folder:
        received = Path(folder) / "upload"
        first = await _receive(request, received, services.config.max_upload_bytes)
        path = received.rename(received.with_suffix(".parquet" if first.startswith(PARQUET_MAGIC) else ".csv"))
        arguments = ["data", "import", str(path), *options.arguments(), "--json"]
        try:
            async with services.imports:
                finished = await run_cli(arguments, services.config.environment, seconds=IMPORT_SECONDS)
        except TimeoutError:
            raise ProblemError(504, "import_timeout", f"the import took more than {IMPORT_SECONDS:g} s") from None
    services.data_sets.forget()
    return _answer(finished, finished.reason.replace(str(path), "the upload"))


async def _receive(request: Request, path: Path, limit: int) -> bytes:
    """Write the body to a file as it comes, and return its first bytes."""
    told = request.headers.get("content-length", "")
    if told.isdigit() and int(told) > limit:
        raise _too_large(limit)
    first, size = b"", 0
    with path.open("xb") as out:
        async for chunk in request.stream():
            size += len(chunk)
            if size > limit:
                raise _too_large(limit)
            first = first or chunk[:4]
            await asyncio.to_thread(out.write, chunk)
    if not size:
        raise ProblemError(422, "empty_upload", "the body is empty: one symbol's bars are needed, as CSV or Parquet")
    return first


def _too_large(limit: int) -> ProblemError:
    return ProblemError(413, "too_large", f"an upload is at most {limit} bytes")


def _answer(finished: Finished, reason: str) -> dict[str, Any]:
    if finished.code == NO:
        raise ProblemError(422, "bad_data", reason, errors=[FieldProblem("body", "the bars", reason)])
    if finished.code != 0:  # an option that is not allowed, or something outside that did not answer
        raise ProblemError(422 if "is not allowed" in reason or "--help" in reason else 503, "not_imported", reason)
    document = json.loads(finished.stdout)
    return {
        "dataset": document["dataset"],
        "version": document["version"],
        "is_new": document["is_new"],
        "digest": document["digest"],
        "files": [file_answer(DataFile.model_validate(file)) for file in document["files"]],
        "repairs": document["repairs"],
    }
