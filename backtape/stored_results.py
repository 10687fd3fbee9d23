"""This module reads the results of many backtests from S3 or a folder, as promised to users: ``read_results("s3://…")``."""

from collections.abc import Iterable

from adapters.blob_store import open_blob_store
from snapshots.reader import StoredResults, read_snapshots


def read_results(
    url: str, backtest_ids: Iterable[str] | None = None, *, endpoint: str | None = None, region: str | None = None
) -> StoredResults:
    """Return the complete snapshots below a URL such as s3://bucket/prefix or file:///folder; ids None: all of them.

    ``.summary()``, ``.pandas("fills")``, ``.arrow("equity")``, and ``.urls("trades")`` for tools that read Parquet themselves.
    Unfinished snapshots are never read: a backtest is there when its manifest is.
    """
    return read_snapshots(open_blob_store(url, endpoint=endpoint, region=region), backtest_ids)
