"""This module makes bars of any length from a seed: for long runs, load and tests, not to be mistaken for a market.

A price is a walk of integers: four steps a bar, whose size follows a random level that changes once a day, reflected between an
eighth and eight times the start so that no length runs out of float64. The chance is PCG64's raw output, which numpy keeps
the same for ever (its distributions it does not), and the arithmetic is integer but for one division: the same seed gives the
same bytes on every machine.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from adapters.ports import BlobStore
from backtape.data.importing import Imported, store_bars
from schemas.ids import sha256
from schemas.market_data import Bars, Instrument
from schemas.times import parse_time, timeframe_ns

TICK = 0.01
TICKS_PER_UNIT = 100  # 1 / TICK, exactly: dividing by it gives the float nearest to the decimal price
FIRST_PRICE = 100
START = "2020-01-01"

STEPS = 4  # of the walk in one bar
PART_BITS = 16  # finer than a tick: the walk counts in 1 / 65,536 of one
BARS_PER_LEVEL = 1_440
CHUNK_BARS = BARS_PER_LEVEL * 512  # bounds the memory: the walk needs 100 bytes a bar while it is made

Integers = NDArray[np.int64]


def generate_bars(*, bars: int, seed: int, timeframe: str = "1m", symbol: str = "SIM", start: str = START) -> Bars:
    """Return that many bars without gaps. Equal arguments give equal bytes; another symbol is another walk."""
    if bars < 1:
        raise ValueError(f"{bars} bars can't be generated: at least 1")
    chance = np.random.PCG64(int(sha256(f"{seed}/{symbol}".encode())[:16], 16))
    prices = np.empty((4, bars), dtype=np.float64)
    volume = np.empty(bars, dtype=np.float64)
    walk = (FIRST_PRICE * TICKS_PER_UNIT) << PART_BITS
    for first in range(0, bars, CHUNK_BARS):
        part = slice(first, min(first + CHUNK_BARS, bars))
        ticks, volume[part], walk = _chunk(chance, part.stop - part.start, walk)
        prices[:, part] = ticks / TICKS_PER_UNIT
    time_ns = parse_time(start) + np.arange(bars, dtype=np.int64) * timeframe_ns(timeframe)
    return Bars(symbol, timeframe, time_ns, prices[0], prices[1], prices[2], prices[3], volume)


def generate_dataset(
    store: BlobStore,
    *,
    dataset: str,
    bars: int,
    seed: int,
    timeframe: str = "1m",
    symbols: Sequence[str] = ("SIM",),
    start: str = START,
) -> Imported:
    """Store generated bars of some symbols as a version of a data set."""
    made = [generate_bars(bars=bars, seed=seed, timeframe=timeframe, symbol=symbol, start=start) for symbol in symbols]
    instruments = [Instrument(symbol=symbol, tick=TICK, lot=1e-4, calendar="always") for symbol in symbols]
    note = f"generated: bars={bars} seed={seed} timeframe={timeframe} start={start}"
    return store_bars(store, made, dataset=dataset, instruments=instruments, adjusted=True, note=note)


def _chunk(chance: np.random.PCG64, bars: int, walk: int) -> tuple[Integers, NDArray[np.float64], int]:
    """Return the next bars' open, high, low, close in ticks, their volumes, and where the walk is then."""
    levels = chance.random_raw(-(-bars // BARS_PER_LEVEL)).astype(np.uint64)
    sizes = 2 + (levels >> np.uint64(62)).astype(np.int64) + ((levels >> np.uint64(56)) & np.uint64(3)).astype(np.int64)
    sizes = np.repeat(sizes, BARS_PER_LEVEL)[:bars]
    steps = _parts(chance, bars) * sizes[:, None]  # each part is odd and lies in ±65,535: one to eight ticks at most
    path = walk + np.cumsum(steps.ravel()).reshape(bars, STEPS)
    ticks = _reflected((path + (1 << (PART_BITS - 1))) >> PART_BITS)
    opening = np.concatenate(([_reflected(np.array([(walk + (1 << (PART_BITS - 1))) >> PART_BITS]))[0]], ticks[:-1, -1]))
    high = np.maximum(opening, ticks.max(axis=1))
    low = np.minimum(opening, ticks.min(axis=1))
    raw = (chance.random_raw(bars) >> np.uint64(52)).astype(np.int64)
    volume = ((100 + raw) * sizes + 50 * (high - low)).astype(np.float64)
    return np.stack([opening, high, low, ticks[:, -1]]), volume, int(path[-1, -1])


def _parts(chance: np.random.PCG64, bars: int) -> Integers:
    """Return four odd numbers in ±65,535 for each bar, symmetric around zero."""
    raw = chance.random_raw(bars).astype("<u8").view("<u2").reshape(bars, STEPS)
    return 2 * raw.astype(np.int64) - 65_535


def _reflected(ticks: Integers) -> Integers:
    """Fold a walk into the allowed prices: it turns round at the borders."""
    low, high = FIRST_PRICE * TICKS_PER_UNIT // 8, FIRST_PRICE * TICKS_PER_UNIT * 8
    span = high - low
    return np.asarray(low + np.abs((ticks - low + span) % (2 * span) - span))
