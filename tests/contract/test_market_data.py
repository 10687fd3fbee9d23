"""This module holds what market data must do, from the blob store (memory, folder, real S3) and as the memory twin."""

import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pytest

from adapters.blob_store import open_blob_store
from adapters.data_sets import file_key, file_of_bars, publish, version_key
from adapters.errors import IntegrityError, NotFoundError, RetryableError
from adapters.market_data import MemoryMarketData, StoredMarketData
from adapters.memory_blobs import MemoryBlobStore
from adapters.ports import BlobStore, MarketData
from adapters.side_files import side_files_of
from schemas.actions import ActionKind, CorporateAction, RateKind, RateSeries, Side
from schemas.market_data import Bars, DataSetManifest, Instrument

COLUMNS = ("time_ns", "open", "high", "low", "close", "volume")
DAY = 86_400_000_000_000
INSTRUMENTS = [Instrument(symbol="AAA", tick=0.01, lot=1.0)]

Publish = Callable[[str, list[Bars]], DataSetManifest]


def make_bars(symbol: str = "AAA", *, rows: int = 100, timeframe: str = "1d", price: float = 10.0) -> Bars:
    """Bars that are easy to tell apart: the close is the row's number above the price."""
    close = price + np.arange(rows, dtype=np.float64)
    time_ns = (19_000 + np.arange(rows, dtype=np.int64)) * DAY  # from 2022: beyond 2**53 ns, as real data is
    return Bars(symbol, timeframe, time_ns, close - 0.25, close + 1.0, close - 1.0, close, np.full(rows, 7.0))


def publish_in(store: BlobStore) -> Publish:
    """Return what writes a data-set version into the store."""

    def publish_bars(dataset: str, bars: list[Bars]) -> DataSetManifest:
        files = []
        for each in bars:
            file, body = file_of_bars(dataset, each)
            store.put_if_absent(file.key, body)
            files.append(file)
        manifest = DataSetManifest(dataset=dataset, version=1, adjusted=True, files=files, instruments=INSTRUMENTS)
        return publish(store, manifest)[0]

    return publish_bars


@pytest.fixture(params=["twin", "memory", "folder", pytest.param("real", marks=pytest.mark.real)])
def market(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[MarketData, Publish]:
    """Market data of each kind, with what publishes into it."""
    if request.param == "twin":
        twin = MemoryMarketData()
        return twin, lambda dataset, bars: twin.publish(dataset, bars, instruments=INSTRUMENTS)
    store: BlobStore = MemoryBlobStore()
    if request.param == "folder":
        store = open_blob_store(f"file://{tmp_path}/store")
    if request.param == "real":
        endpoints: Any = request.getfixturevalue("endpoints")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", endpoints.s3_access_key)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", endpoints.s3_secret_key)
        store = open_blob_store(f"{endpoints.s3_url}/data/{uuid4().hex}", endpoint=endpoints.s3_endpoint)
    return StoredMarketData(store, tmp_path / "cache"), publish_in(store)


def test_bars_come_back_as_they_were(market: tuple[MarketData, Publish]) -> None:
    """Each column has the same bytes; a second reading gives the same."""
    data, publish_bars = market
    bars = make_bars()
    publish_bars("prices", [bars, make_bars("BBB", rows=3)])
    manifest = data.resolve("prices", None)
    for _ in range(2):
        read = data.bars(manifest, "AAA", "1d")
        assert (read.symbol, read.timeframe, len(read)) == ("AAA", "1d", 100)
        for name in COLUMNS:
            column = getattr(read, name)
            assert column.tobytes() == getattr(bars, name).tobytes()
            assert column.flags.c_contiguous
            assert type(column) is np.ndarray
    assert len(data.bars(manifest, "BBB", "1d")) == 3
    assert manifest.instrument("AAA").tick == 0.01


def test_versions_count_up_and_stay(market: tuple[MarketData, Publish]) -> None:
    """The newest is what no version means; an earlier one still reads what it always did."""
    data, publish_bars = market
    first = publish_bars("prices", [make_bars(price=10.0)])
    second = publish_bars("prices", [make_bars(price=20.0)])
    assert (first.version, second.version) == (1, 2)
    assert data.resolve("prices", None) == second
    assert data.resolve("prices", 1) == first
    assert first.digest() != second.digest()
    assert data.bars(first, "AAA", "1d").close[0] == 10.0
    assert data.bars(second, "AAA", "1d").close[0] == 20.0


@pytest.mark.parametrize("dataset, version", [("nothing", None), ("nothing", 1), ("prices", 2), ("../prices", None), ("", None)])
def test_an_unknown_version_is_not_found(market: tuple[MarketData, Publish], dataset: str, version: int | None) -> None:
    """Neither a data set nor a version that was never published can be resolved."""
    data, publish_bars = market
    publish_bars("prices", [make_bars()])
    with pytest.raises(NotFoundError, match="data set"):
        data.resolve(dataset, version)


@pytest.mark.parametrize("symbol, timeframe", [("ZZZ", "1d"), ("AAA", "1h")])
def test_an_unknown_symbol_is_not_found(market: tuple[MarketData, Publish], symbol: str, timeframe: str) -> None:
    """The error says what the data set has."""
    data, publish_bars = market
    manifest = publish_bars("prices", [make_bars()])
    with pytest.raises(NotFoundError, match="it has AAA 1d"):
        data.bars(manifest, symbol, timeframe)


# --- what only the stored one can do -------------------------------------------------------------------------------


@pytest.fixture
def stored(tmp_path: Path) -> tuple[MemoryBlobStore, StoredMarketData, DataSetManifest]:
    store = MemoryBlobStore()
    manifest = publish_in(store)("prices", [make_bars()])
    return store, StoredMarketData(store, tmp_path / "cache"), manifest


Stored = tuple[MemoryBlobStore, StoredMarketData, DataSetManifest]


def test_changed_bytes_are_refused_with_both_digests(stored: Stored) -> None:
    """A file that is not what the manifest says is never used."""
    store, data, manifest = stored
    file = manifest.files[0]
    other, body = file_of_bars("prices", make_bars(price=11.0))
    store.put(file.key, body)
    with pytest.raises(IntegrityError) as caught:
        data.bars(manifest, "AAA", "1d")
    assert file.sha256 in str(caught.value) and other.sha256 in str(caught.value)
    assert not list(data.cache_folder.glob("*"))


def test_a_missing_file_of_a_known_version_is_an_integrity_error(stored: Stored) -> None:
    """The data set exists, so this is not the caller's mistake."""
    store, data, manifest = stored
    store.delete(manifest.files[0].key)
    with pytest.raises(IntegrityError, match="manifest names it"):
        data.bars(manifest, "AAA", "1d")


@pytest.mark.parametrize("body", [b"", b"{}", b"not json"])
def test_an_unreadable_manifest_is_an_integrity_error(stored: Stored, body: bytes) -> None:
    """It is named by its key."""
    store, data, _ = stored
    store.put(version_key("prices", 1), body)
    with pytest.raises(IntegrityError, match=r"00000001\.json"):
        data.resolve("prices", None)


def test_a_manifest_under_another_number_is_refused(stored: Stored) -> None:
    """A copied manifest does not pass for another version."""
    store, data, _ = stored
    store.put(version_key("prices", 2), store.get(version_key("prices", 1)))
    with pytest.raises(IntegrityError, match="says that it is prices version 1"):
        data.resolve("prices", 2)


class Unreachable(MemoryBlobStore):
    """A store that can't be reached."""

    def get(self, key: str) -> bytes:
        raise RetryableError(f"GET {key}: connection refused")


def test_an_unreachable_store_is_retryable(stored: Stored, tmp_path: Path) -> None:
    """The run waits instead of failing."""
    _, _, manifest = stored
    data = StoredMarketData(Unreachable(), tmp_path / "other")
    with pytest.raises(RetryableError):
        data.resolve("prices", 1)
    with pytest.raises(RetryableError):
        data.bars(manifest, "AAA", "1d")


def test_the_copy_is_mapped_read_only_and_needs_no_store(stored: Stored) -> None:
    """What was read once is read from the shared copy, and no simulation can change it."""
    store, data, manifest = stored
    data.bars(manifest, "AAA", "1d")
    store.delete(manifest.files[0].key)
    bars = data.bars(manifest, "AAA", "1d")
    with pytest.raises(ValueError, match="read-only"):
        bars.close[0] = 1.0
    assert os.listdir(data.cache_folder) == [f"{manifest.files[0].sha256}.bars"]


@pytest.mark.parametrize("spoil", ["truncate", "flip", "empty", "header"])
def test_a_spoiled_copy_is_made_again(stored: Stored, spoil: str) -> None:
    """A copy of the wrong size, or with other bytes than were written, is not used."""
    _, data, manifest = stored
    data.bars(manifest, "AAA", "1d")
    path = data.cache_folder / f"{manifest.files[0].sha256}.bars"
    body = bytearray(path.read_bytes())
    path.unlink()
    if spoil == "flip":
        body[2_000] ^= 1
    if spoil == "header":
        body[0] ^= 1
    path.write_bytes({"truncate": body[:-8], "empty": b""}.get(spoil, bytes(body)))
    again = data.bars(manifest, "AAA", "1d")
    assert all(getattr(again, name).tobytes() == getattr(make_bars(), name).tobytes() for name in COLUMNS)


def _read(arguments: tuple[str, Path]) -> float:
    url, cache = arguments
    data = StoredMarketData(open_blob_store(url), cache)
    return float(data.bars(data.resolve("prices", None), "AAA", "1d").close[-1])


def test_racing_processes_share_one_copy(tmp_path: Path) -> None:
    """Four processes that make the copy at the same time all read the right bars, and leave one file."""
    url = f"file://{tmp_path}/store"
    publish_in(open_blob_store(url))("prices", [make_bars(rows=1_000)])
    cache = tmp_path / "cache"
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        assert pool.map(_read, [(url, cache)] * 6) == [1_009.0] * 6
    assert len(list(cache.iterdir())) == 1


def test_the_same_content_is_the_same_version() -> None:
    """Publishing again what the newest version says already changes nothing; something else and back does."""
    publish_bars = publish_in(MemoryBlobStore())
    assert [publish_bars("prices", [make_bars(price=price)]).version for price in (10.0, 10.0, 20.0, 10.0)] == [1, 1, 2, 3]


class Overtaken(MemoryBlobStore):
    """A store in which somebody else takes each version number just before we do, twice."""

    others = 2

    def put_if_absent(self, key: str, data: bytes) -> bool:
        if key.endswith(".json") and self.others:
            self.others -= 1
            number = int(key[-13:-5])
            file, body = file_of_bars("prices", make_bars(price=100.0 + number))
            super().put_if_absent(file.key, body)
            taken = DataSetManifest(dataset="prices", version=number, adjusted=True, files=[file], instruments=[])
            assert super().put_if_absent(key, taken.model_dump_json().encode())
        return super().put_if_absent(key, data)


def test_the_loser_of_a_number_takes_the_next() -> None:
    """Two others came first: ours is version 3, and nothing of theirs is lost."""
    store = Overtaken()
    assert publish_in(store)("prices", [make_bars()]).version == 3
    assert [blob.key for blob in store.list("datasets/prices/versions/")] == [version_key("prices", n) for n in (1, 2, 3)]


def test_equal_bars_give_equal_files() -> None:
    """The bytes follow from the bars alone."""
    one, first = file_of_bars("prices", make_bars())
    two, second = file_of_bars("prices", make_bars())
    assert first == second and one == two
    assert one.key == file_key("prices", one.sha256)


SIDE = Side(
    actions=(
        CorporateAction(19_001 * DAY, "AAA", ActionKind.SPLIT, 0.25),
        CorporateAction(19_002 * DAY, "AAA", ActionKind.SYMBOL_CHANGE, None, "BBB"),
    ),
    rates=(RateSeries(RateKind.FUNDING, "AAA", np.array([19_001 * DAY + 1]), np.array([-0.0001])),),
)


@pytest.mark.parametrize("kind", ["twin", "stored"])
def test_actions_and_rates_come_back_as_they_were(kind: str, tmp_path: Path) -> None:
    """To the nanosecond, and with what is empty empty; a version without them has none."""
    data: MarketData
    if kind == "twin":
        data = twin = MemoryMarketData()
        with_side, without = twin.publish("d", [make_bars()], side=SIDE), twin.publish("e", [make_bars()])
    else:
        store = MemoryBlobStore()
        files = side_files_of("d", SIDE)
        for file, body in files.values():
            store.put_if_absent(file.key, body)
        without = publish_in(store)("d", [make_bars()])
        with_side = without.model_copy(update={name: file for name, (file, _) in files.items()})
        data = StoredMarketData(store, tmp_path / "cache")
    found = data.side(with_side)
    assert found.actions == SIDE.actions
    assert [(each.kind, each.name, each.time_ns.tolist(), each.rate.tolist()) for each in found.rates] == [
        (RateKind.FUNDING, "AAA", [19_001 * DAY + 1], [-0.0001])
    ]
    assert data.side(without) == Side()


def test_a_changed_file_of_actions_is_refused_and_a_damaged_copy_made_again(tmp_path: Path) -> None:
    """The digest in the manifest decides, for the store's bytes and for the local copy's."""
    store = MemoryBlobStore()
    files = side_files_of("d", SIDE)
    for file, body in files.values():
        store.put_if_absent(file.key, body)
    manifest = publish_in(store)("d", [make_bars()]).model_copy(update={name: file for name, (file, _) in files.items()})
    data = StoredMarketData(store, tmp_path / "cache")
    assert data.side(manifest).actions == SIDE.actions
    for copy in (tmp_path / "cache").glob("*.side"):
        copy.write_bytes(b"damaged")
    assert data.side(manifest).actions == SIDE.actions
    file, _ = files["actions"]
    store.put(file.key, b"other bytes")
    with pytest.raises(IntegrityError, match=file.sha256):
        StoredMarketData(store, tmp_path / "other").side(manifest)
