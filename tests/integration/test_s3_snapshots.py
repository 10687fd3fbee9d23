"""This module tries data sets and snapshots on the local stack's real S3 server, also while it is killed."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from adapters.blob_store import open_blob_store
from adapters.market_data import StoredMarketData
from adapters.ports import BlobStore
from backtape.data import generate_dataset
from backtape.stack import Endpoints, LocalStack
from backtape.stored_results import read_results
from snapshots.run_log import Place
from snapshots.verify import verify_snapshot
from snapshots.writer import write_snapshot
from tests.factories import LOG_ID, finished_log

pytestmark = pytest.mark.real


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Callable[[Endpoints], None]:
    """Take the credentials of a stack, as a process would from its environment."""

    def set_environment(endpoints: Endpoints) -> None:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", endpoints.s3_access_key)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", endpoints.s3_secret_key)

    return set_environment


@pytest.fixture
def store(endpoints: Endpoints, bucket_prefix: str, use: Callable[[Endpoints], None]) -> BlobStore:
    use(endpoints)
    return open_blob_store(f"{endpoints.s3_url}/{bucket_prefix}", endpoint=endpoints.s3_endpoint)


def test_a_data_set_goes_through_the_real_server(store: BlobStore, tmp_path: Path) -> None:
    """Stored once, mapped from the local copy, the same bytes."""
    done = generate_dataset(store, dataset="g", bars=20_000, seed=1)
    data = StoredMarketData(store, tmp_path)
    assert len(data.bars(data.resolve("g", None), "SIM", "1m")) == 20_000
    assert not generate_dataset(store, dataset="g", bars=20_000, seed=1).is_new
    assert done.manifest.version == 1


def test_racing_writers_make_one_snapshot(store: BlobStore, endpoints: Endpoints) -> None:
    """Four threads with stores of their own: one manifest, all announce it, and an audit finds no difference."""
    log = finished_log(steps=40)
    stores = [open_blob_store(store.url, endpoint=endpoints.s3_endpoint) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        told = list(pool.map(lambda each: write_snapshot(each, log.bodies, Place(LOG_ID, 0, 0, 9)), stores))
    assert len({each.manifest_sha256 for each in told}) == 1
    assert verify_snapshot(store, "bt-1", log.bodies) is None
    results = read_results(store.url, endpoint=endpoints.s3_endpoint)
    assert len(results.pandas("events")) == results.dataset("events").count_rows() == len(log.events)


def test_a_killed_server_is_waited_for(make_stack: Callable[[], LocalStack], use: Callable[[Endpoints], None]) -> None:
    """SIGKILL while snapshots are written: each is whole in the end, without an error to the caller."""
    stack = make_stack()
    stack.s3.start()
    endpoints = stack.s3.endpoint
    from backtape.stack.endpoints import S3_ACCESS_KEY, S3_BUCKET, S3_SECRET_KEY

    use(Endpoints("", "", "", endpoints, S3_ACCESS_KEY, S3_SECRET_KEY))
    store = open_blob_store(f"s3://{S3_BUCKET}", endpoint=endpoints)
    logs = [finished_log(f"run-{number}", seed=number, steps=10) for number in range(12)]
    with ThreadPoolExecutor(4) as pool:
        written = [pool.submit(write_snapshot, store, log.bodies, Place(LOG_ID, 0, 0, 9)) for log in logs]
        while not any(each.done() for each in written):
            time.sleep(0.005)  # a moment of the server's work, not a guess about its end
        stack.s3.kill()
        stack.s3.start()
        for each in written:
            each.result(timeout=60)
    for log in logs:
        assert verify_snapshot(store, log.backtest_id, log.bodies) is None
