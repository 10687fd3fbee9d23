"""This module tells where a finished backtest's Parquet files are, with addresses that open them for a while."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from adapters.ports import BlobStore
from projections import queries
from schemas.manifest import AnyManifest, SnapshotFile, parse_manifest
from snapshots.moves import Moves
from web.problems import not_found
from web.services import Services

URL_SECONDS = 3_600


async def snapshot_of(services: Services, backtest_id: str) -> dict[str, Any]:
    """Return the answer ``SnapshotAnswer``. Raises ProblemError 404 until there is one."""
    (row,) = await services.ask(queries.backtest(backtest_id))
    key = row["manifest_key"]
    if key is None:
        raise not_found(f"backtest {backtest_id} has no snapshot yet: it is {row['status']}")
    store = services.blobs
    manifest = parse_manifest(await asyncio.to_thread(store.get, key))

    def url(each: str) -> str | None:
        return store.presigned(each, URL_SECONDS)

    manifest_url, files = url(key), await asyncio.to_thread(_files, store, manifest)
    return {
        "backtest_id": backtest_id,
        "store": store.url,
        "kind": "folder" if manifest_url is None else "s3",
        "manifest_key": key,
        "manifest_url": manifest_url,
        "expires_at": None if manifest_url is None else datetime.now(UTC) + timedelta(seconds=URL_SECONDS),
        "files": [{**file.model_dump(exclude={"file_runs"}), "url": url(file.key)} for file in files],
    }


def _files(store: BlobStore, manifest: AnyManifest) -> list[SnapshotFile]:
    """Return a manifest's files, shared ones where they are now."""
    moves = Moves(store)
    return [moves.located(manifest.backtest_id, file) for file in manifest.files]
