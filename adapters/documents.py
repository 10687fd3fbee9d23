"""This module reads the documents of another system: JSON files and files of JSON lines, in a folder or below an S3 prefix.

It only ever reads: nothing is written, renamed or deleted where the documents lie. A file that can't be read is one problem
among others, with its reason.
"""

import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from adapters.blob_store import open_blob_store
from adapters.errors import ConfigurationError, NotFoundError
from adapters.folder import folder_of_url
from adapters.ports import BlobStore

if TYPE_CHECKING:
    from adapters.s3_options import S3Options

ONE = (".json",)  # one document a file
LINES = (".jsonl", ".ndjson")  # one document a line
AHEAD = 16  # files of a blob store that are read before they are asked for


@dataclass(frozen=True, slots=True)
class File:
    """One file: its name below the source, and its bytes; or why they could not be read."""

    name: str
    content: bytes = b""
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Piece:
    """One document's bytes, without white space around them. ``line`` counts from 1 in a file of JSON lines."""

    file: str
    line: int | None
    content: bytes
    problem: str | None = None

    @property
    def source(self) -> str:
        return self.file if self.line is None else f"{self.file}:{self.line}"


class Documents(Protocol):
    """Where documents lie."""

    url: str

    def names(self) -> list[str]:
        """Return the names of the files that may hold documents, in order."""
        ...

    def files(self, names: list[str], *, max_bytes: int) -> Iterator[File]:
        """Yield the files of these names, in their order; a larger one than allowed is a problem and is not read."""
        ...


def open_documents(where: str, *, endpoint: str | None = None, options: "S3Options | None" = None) -> Documents:
    """Return the documents at a path, file:///folder or s3://bucket/prefix.

    Raises ConfigurationError where there is neither a file nor a folder.
    """
    if where.startswith("s3://"):
        return BlobDocuments(open_blob_store(where, endpoint=endpoint, options=options))
    path = folder_of_url(where) if where.startswith("file:") else Path(where)
    if not path.exists():
        raise ConfigurationError(f"source {where!r}: there is no such file or folder")
    return LocalDocuments(path.absolute())


def pieces_of(file: File) -> Iterator[Piece]:
    """Yield the documents of a file: all of it, or its lines that are not empty."""
    if file.problem is not None:
        yield Piece(file.name, None, b"", file.problem)
    elif file.name.lower().endswith(LINES):
        for number, line in enumerate(file.content.split(b"\n"), start=1):
            if line.strip():
                yield Piece(file.name, number, line.strip())
    else:
        yield Piece(file.name, None, file.content.strip())


class LocalDocuments:
    """A file, or the files below a folder. Links to folders are not followed."""

    def __init__(self, path: Path) -> None:
        self.url = f"file://{path}"
        self._path = path

    def names(self) -> list[str]:
        if self._path.is_file():
            return [self._path.name]
        found = []
        for folder, _, names in os.walk(self._path):
            place = Path(folder).relative_to(self._path)
            found += [(place / name).as_posix() for name in names if name.lower().endswith(ONE + LINES)]
        return sorted(found)

    def files(self, names: list[str], *, max_bytes: int) -> Iterator[File]:
        for name in names:
            path = self._path if self._path.is_file() else self._path / name
            shown = os.fsencode(name).decode("utf-8", "backslashreplace")
            try:
                size = path.stat().st_size
                problem = None if size <= max_bytes else _too_large(size, max_bytes)
                yield File(shown, b"" if problem else path.read_bytes(), problem)
            except OSError as error:
                yield File(shown, problem=f"it can't be read: {error.strerror}")


class BlobDocuments:
    """The objects of a store. Some are read ahead, by threads."""

    def __init__(self, store: BlobStore) -> None:
        self.url = store.url
        self._store = store
        self._sizes: dict[str, int] = {}

    def names(self) -> list[str]:
        self._sizes = {each.key: each.bytes for each in self._store.list("") if each.key.lower().endswith(ONE + LINES)}
        return sorted(self._sizes)

    def files(self, names: list[str], *, max_bytes: int) -> Iterator[File]:
        with ThreadPoolExecutor(AHEAD) as threads:
            rest = iter(names)
            reading: list[Future[File]] = [threads.submit(self._file, name, max_bytes) for name in islice(rest, AHEAD)]
            while reading:
                yield reading.pop(0).result()
                reading += [threads.submit(self._file, name, max_bytes) for name in islice(rest, 1)]

    def _file(self, name: str, max_bytes: int) -> File:
        size = self._sizes.get(name, 0)
        if size > max_bytes:
            return File(name, problem=_too_large(size, max_bytes))
        try:
            return File(name, self._store.get(name))
        except (NotFoundError, ValueError) as error:  # gone since the list was made, or a key that our stores do not take
            return File(name, problem=f"it can't be read: {error}")


def _too_large(size: int, max_bytes: int) -> str:
    return f"{size} bytes are not allowed: at most {max_bytes}"
