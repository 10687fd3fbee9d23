"""This module makes a market of the sample stocks without a store: what conformance cases of the kind ``run`` trade.

The file is the one that ``backtape.data.samples`` imports, but its prices stay raw, as traded on the day: another engine's
figures were measured on them.
"""

import gzip
from io import BytesIO

import numpy as np
import pandas as pd

from adapters.errors import NotFoundError
from backtape.data.samples import STOCK_SYMBOLS, data_file
from schemas.market_data import Bars, Instrument, Market
from schemas.spec import BacktestSpec

RAW_STOCKS = "stocks-daily-raw"
TIMEFRAME = "1d"


def sample_market(spec: BacktestSpec) -> Market:
    """Return the market of the spec's symbols. Raises NotFoundError for other data, or a package that is not installed."""
    data = spec.data
    unknown = [symbol for symbol in data.symbols if symbol not in STOCK_SYMBOLS]
    if data.dataset != RAW_STOCKS or data.timeframe != TIMEFRAME or unknown:
        raise NotFoundError(f"cases run on {RAW_STOCKS}, {TIMEFRAME} bars of {', '.join(STOCK_SYMBOLS)}")
    prices = pd.read_csv(BytesIO(gzip.decompress(data_file("bokeh-sampledata", "stocks.csv.gz"))))
    return Market(
        bars=tuple(_bars(symbol, prices[prices["Ticker"] == symbol]) for symbol in data.symbols),
        instruments=tuple(Instrument(symbol=symbol, tick=0.0001, lot=1.0) for symbol in data.symbols),
        dataset=RAW_STOCKS,
        adjusted=False,
    )


def _bars(symbol: str, frame: pd.DataFrame) -> Bars:
    frame = frame.assign(Date=pd.to_datetime(frame["Date"])).sort_values("Date")
    times = frame["Date"].to_numpy(dtype="datetime64[ns]").astype(np.int64)
    names = ("Open", "High", "Low", "Close", "Volume")
    columns = {name.lower(): np.ascontiguousarray(frame[name].to_numpy(dtype=np.float64)) for name in names}
    return Bars(symbol=symbol, timeframe=TIMEFRAME, time_ns=times, **columns)
