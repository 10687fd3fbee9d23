"""This module tells what the demo's real data is."""

import importlib.metadata
from pathlib import Path

import numpy as np
import pytest

from adapters.errors import NotFoundError
from adapters.market_data import StoredMarketData
from adapters.memory_blobs import MemoryBlobStore
from backtape.data import import_files, import_samples
from backtape.data.samples import EURUSD, STOCK_SYMBOLS, STOCKS, data_file

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"


def is_installed() -> bool:
    try:
        return bool(importlib.metadata.version("bokeh-sampledata") and importlib.metadata.version("gym-anytrading"))
    except importlib.metadata.PackageNotFoundError:
        return False


@pytest.mark.skipif(not is_installed(), reason="the packages of deploy/demo-data.txt are not installed")
def test_the_samples_are_imported_without_repairs(tmp_path: Path) -> None:
    """Four adjusted stocks and one currency; the first and last closes are those of the sources."""
    store = MemoryBlobStore()
    done = import_samples(store)
    assert [each.manifest.dataset for each in done] == [STOCKS, EURUSD]
    assert all(each.manifest.adjusted and each.repairs == () for each in done)
    data = StoredMarketData(store, tmp_path)
    stocks = done[0].manifest
    assert tuple(file.symbol for file in stocks.files) == STOCK_SYMBOLS
    apple = data.bars(stocks, "AAPL", "1d")
    assert len(apple) == 3_270
    assert apple.close[0] == 4.1867  # Adj Close 4.186662803811
    assert apple.close[-1] == 56.1374  # Adj Close 56.137353095488
    assert np.abs(apple.close[1:] / apple.close[:-1] - 1).max() < 0.53  # 2000-09-29 fell by 52 %; the splits are gone
    euro = data.bars(done[1].manifest, "EURUSD", "1h")
    assert (len(euro), euro.open[0], euro.close[-1]) == (6_225, 1.05236, 1.20075)
    assert not any(each.is_new for each in import_samples(store))


def test_a_missing_package_is_named() -> None:
    """The message says what to install."""
    with pytest.raises(NotFoundError, match=r"no-such-package-here.*demo-data\.txt"):
        data_file("no-such-package-here", "x.csv")


@pytest.mark.skipif(not SHARED.is_dir(), reason="the folder of real test data is not beside this checkout")
def test_real_data_of_many_markets_passes_the_checks() -> None:
    """Stocks, hourly stocks, a currency and crypto pairs are taken as they are: the checks refuse nothing that is right."""
    for name in ("AAPL.1d", "AAPL.1h", "BTC-PERP.1m", "ETH-BTC.5m", "GBPUSD.1m"):
        done = import_files(MemoryBlobStore(), [SHARED / f"{name}.parquet"], dataset="d")
        assert done.repairs == () and done.manifest.files[0].rows > 5_000
