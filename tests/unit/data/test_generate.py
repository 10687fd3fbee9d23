"""This module tells what generated bars are: the same on every machine, and bars."""

import hashlib

import numpy as np
import pytest

from adapters.memory_blobs import MemoryBlobStore
from backtape.data import generate_bars, generate_dataset
from backtape.data.generate import CHUNK_BARS
from schemas.market_data import Bars

COLUMNS = ("time_ns", "open", "high", "low", "close", "volume")


def digest(bars: Bars) -> str:
    """Return one digest of all columns."""
    return hashlib.sha256(b"".join(getattr(bars, name).tobytes() for name in COLUMNS)).hexdigest()


def test_generated_bytes_stay_what_they_were() -> None:
    """A changed digest would change every recorded run on generated data: make a new generator instead."""
    assert digest(generate_bars(bars=10_000, seed=7)) == "71a64cc6bade27facc61570ce4262961ff8cadb960c09e2e2fb8b4ac241abafd"


def test_chunks_do_not_show() -> None:
    """Longer data begins with the shorter one's bars, across the border of a chunk."""
    long = generate_bars(bars=CHUNK_BARS + 5_000, seed=1)
    assert np.array_equal(long.open[1:], long.close[:-1])
    assert digest(long.between(None, int(long.time_ns[CHUNK_BARS]))) == digest(generate_bars(bars=CHUNK_BARS, seed=1))


def test_generated_bars_are_bars() -> None:
    """Prices are positive, on the tick, inside high and low; times go up by the timeframe."""
    bars = generate_bars(bars=100_000, seed=3, timeframe="5m")
    assert (np.diff(bars.time_ns) == 300_000_000_000).all()
    assert (bars.low <= np.minimum(bars.open, bars.close)).all() and (bars.high >= np.maximum(bars.open, bars.close)).all()
    assert bars.low.min() >= 12.5 and bars.high.max() <= 800.0
    assert (np.round(bars.close, 2) == bars.close).all()
    assert (bars.volume > 0).all()
    assert len(np.unique(bars.close)) > 500


def test_seed_and_symbol_make_the_difference() -> None:
    """Four combinations, four walks."""
    made = {digest(generate_bars(bars=100, seed=seed, symbol=symbol)) for seed in (1, 2) for symbol in ("A", "B")}
    assert len(made) == 4


def test_no_bars_are_refused() -> None:
    """At least one."""
    with pytest.raises(ValueError, match="0 bars"):
        generate_bars(bars=0, seed=1)


def test_the_same_generated_data_set_is_one_version() -> None:
    """Generating again changes nothing."""
    store = MemoryBlobStore()
    done = [generate_dataset(store, dataset="g", bars=500, seed=1, symbols=["A", "B"]) for _ in range(2)]
    assert [each.is_new for each in done] == [True, False]
    assert done[0].manifest.source == "generated: bars=500 seed=1 timeframe=1m start=2020-01-01"
