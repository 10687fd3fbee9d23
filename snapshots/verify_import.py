"""This module checks an imported result: manifest, files and rows against its event and its original."""

from schemas.events import BacktestImported
from schemas.ids import sha256
from schemas.manifest import ImportManifest, SnapshotFile
from snapshots.blobs import Blobs, fetch, manifest_key
from snapshots.errors import DamagedError
from snapshots.imports import IMPORT_TABLES, sums_differ, table_of
from snapshots.legacy import Document, read_document
from snapshots.verify import compare_tables, read_parts
from snapshots.writer import read_manifest


def verify_import(store: Blobs, backtest_id: str, event: BacktestImported) -> str | None:
    """Return None when manifest, files and rows of an imported result are what its event and its original say.

    Else the first difference in words: the manifest against the event, every file against its digest, sums and counts, and every
    row against the original document, read again.
    """
    key = manifest_key(backtest_id)
    body = fetch(store, key)
    if body is None:
        return f"{store.url}/{key} is missing"
    if sha256(body) != event.manifest_digest:
        return f"{store.url}/{key} has SHA-256 {sha256(body)}, the log says {event.manifest_digest}"
    try:
        manifest = read_manifest(body, where=f"{store.url}/{key}")
        if not isinstance(manifest, ImportManifest):
            return f"{store.url}/{key} is the manifest of a run"
        for name, told, recorded in (
            ("backtest_id", manifest.backtest_id, backtest_id),
            ("content_sha256", manifest.content_sha256, event.content_digest),
            ("result", manifest.result.model_dump(mode="json"), event.result),
        ):
            if told != recorded:
                return f"{store.url}/{key} says {name} {told}, the log says {recorded}"
        return _compare_with_original(store, manifest)
    except DamagedError as error:
        return str(error)


def _compare_with_original(store: Blobs, manifest: ImportManifest) -> str | None:
    tables = dict(zip((file.table for file in manifest.files), read_parts(store, _named(manifest)), strict=True))
    if tuple(tables) != IMPORT_TABLES:
        return f"the manifest names the tables {', '.join(tables)}; an import has {', '.join(IMPORT_TABLES)}"
    for name in IMPORT_TABLES:
        difference = sums_differ(name, tables[name], manifest.result, manifest.content_sha256)
        if difference is not None:
            return difference
    content = tables["original"].column("content")[0].as_py()
    document = read_document(content, source=manifest.result.source)
    if not isinstance(document, Document):
        return f"the original is no result that can be brought in: {document[0]}"
    if document.result != manifest.result:
        return "the original gives another result than the manifest says"
    for name in IMPORT_TABLES:
        expected, _ = table_of(name, [_under(document, manifest.backtest_id)])
        difference = compare_tables(tables[name].replace_schema_metadata(None), expected, name=name)
        if difference is not None:
            return difference.replace("the log gives", "the original gives")
    return None


def _named(manifest: ImportManifest) -> list[tuple[str, SnapshotFile]]:
    return [(manifest.backtest_id, file) for file in manifest.files]


def _under(document: Document, backtest_id: str) -> Document:
    """Return the document if it has this id. Raises DamagedError."""
    if document.backtest_id != backtest_id:
        raise DamagedError(f"the original is of backtest {document.backtest_id}, the manifest of {backtest_id}")
    return document
