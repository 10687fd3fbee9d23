"""This module keeps blobs as files of a local folder, with the same conditional PUT as S3.

A blob appears under its key in one step and complete: it is written to a temporary file, flushed to the disk, and then
linked (``put_if_absent``: link() fails when the name exists, which makes exactly one winner) or renamed (``put``) into place.
It needs a file system with hard links. A blob ``a`` and a blob ``a/b`` can't both exist here, as they could in S3.
"""

import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO
from urllib.parse import unquote, urlsplit

from adapters.blob_keys import check_key
from adapters.errors import ConfigurationError, FatalError, NotFoundError, RetryableError
from adapters.ports import BlobInfo

PIECE_BYTES = 1024 * 1024
Write = Callable[[IO[bytes]], object]

TEMPORARY = ".temporary"  # keys never begin with a dot, so no blob can lie in there


class FolderBlobStore:
    """Blobs as files below one folder. Safe for threads and for processes of one machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self.url = f"file://{self.folder}"
        self._temporary = self.folder / TEMPORARY
        with _outside(self.url):
            self._temporary.mkdir(parents=True, exist_ok=True)

    def put(self, key: str, data: bytes) -> None:
        self._put(key, lambda file: file.write(data))

    def put_file(self, key: str, file: IO[bytes]) -> None:
        file.seek(0)
        self._put(key, lambda made: shutil.copyfileobj(file, made, PIECE_BYTES))

    def put_if_absent(self, key: str, data: bytes) -> bool:
        path = self._path(key)
        with _outside(f"{self.url}/{key}"), self._written(path, lambda file: file.write(data)) as temporary:
            try:
                os.link(temporary, path)
            except FileExistsError:
                return False
            _flush_folder(path.parent)
            return True

    def get(self, key: str) -> bytes:
        path = self._path(key)
        with _outside(f"{self.url}/{key}"):
            try:
                return path.read_bytes()
            except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
                raise NotFoundError(f"{self.url}/{key}: there is no such object") from None

    def pieces(self, key: str) -> Iterator[bytes]:
        path = self._path(key)
        with _outside(f"{self.url}/{key}"):
            try:
                file = path.open("rb")
            except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
                raise NotFoundError(f"{self.url}/{key}: there is no such object") from None
            with file:
                yield from iter(partial(file.read, PIECE_BYTES), b"")

    def head(self, key: str) -> BlobInfo | None:
        path = self._path(key)
        with _outside(f"{self.url}/{key}"):
            return _info(key, path) if path.is_file() else None

    def list(self, prefix: str) -> Iterator[BlobInfo]:
        with _outside(f"{self.url}/{prefix}"):
            found = sorted(self._under(prefix), key=lambda blob: blob.key)
        yield from found

    def presigned(self, key: str, seconds: int) -> str | None:
        return None  # whoever may read the folder needs no address, nobody else can use one

    def delete(self, key: str) -> None:
        path = self._path(key)
        with _outside(f"{self.url}/{key}"):
            try:
                path.unlink()
            except (FileNotFoundError, NotADirectoryError):
                return
            _flush_folder(path.parent)

    def _path(self, key: str) -> Path:
        return self.folder / check_key(key)

    def _under(self, prefix: str) -> Iterator[BlobInfo]:
        start = self.folder / prefix.rpartition("/")[0]  # the deepest folder that holds every key with this prefix
        for folder, folders, files in os.walk(start):
            if TEMPORARY in folders:
                folders.remove(TEMPORARY)
            for name in files:
                path = Path(folder, name)
                key = path.relative_to(self.folder).as_posix()
                if key.startswith(prefix):
                    try:
                        yield _info(key, path)
                    except FileNotFoundError:  # deleted since the folder was read
                        continue

    def _put(self, key: str, write: Write) -> None:
        path = self._path(key)
        with _outside(f"{self.url}/{key}"), self._written(path, write) as temporary:
            os.replace(temporary, path)
            _flush_folder(path.parent)

    @contextmanager
    def _written(self, path: Path, write: Write) -> Iterator[Path]:
        """Give a temporary file with what was written, flushed to the disk; it is gone afterwards."""
        _make_folders(path.parent)
        temporary = self._temporary / uuid.uuid4().hex
        try:
            with open(temporary, "xb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            yield temporary
        finally:
            temporary.unlink(missing_ok=True)


def _info(key: str, path: Path) -> BlobInfo:
    found = path.stat()
    return BlobInfo(key=key, bytes=found.st_size, modified_ms=found.st_mtime_ns // 1_000_000)


def folder_of_url(url: str) -> Path:
    """Return the folder that a ``file:///folder`` URL names. Raises ConfigurationError for any other form."""
    parts = urlsplit(url)
    is_local = parts.scheme == "file" and parts.netloc in ("", "localhost") and not parts.query and not parts.fragment
    if not is_local or not parts.path.strip("/"):
        raise ConfigurationError(f"blob store {url!r}: a folder is given as file:///absolute/folder")
    return Path(unquote(parts.path))


def _make_folders(folder: Path) -> None:
    """Make a folder and what is above it, each flushed into the one that holds it."""
    if folder.is_dir():
        return
    _make_folders(folder.parent)
    folder.mkdir(exist_ok=True)
    _flush_folder(folder.parent)


def _flush_folder(folder: Path) -> None:
    """Make a new or removed name durable: without this a power cut may forget it."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _outside(what: str) -> Iterator[None]:
    """Turn the operating system's errors into the adapters' ones."""
    try:
        yield
    except PermissionError as error:
        raise ConfigurationError(f"{what}: {error}") from error
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise FatalError(f"{what}: a blob and a folder would need the same name: {error}") from error
    except OSError as error:
        raise RetryableError(f"{what}: {error}") from error
