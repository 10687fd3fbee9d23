"""This module puts the market of a run together from a version of a data set: every file that the run's spec needs."""

from collections.abc import Callable

from schemas.actions import Side
from schemas.market_data import Bars, DataSetManifest, Market
from schemas.spec import BacktestSpec

ReadBars = Callable[[str, str], Bars]  # symbol, timeframe


def assemble(spec: BacktestSpec, manifest: DataSetManifest, side: Side, read: ReadBars) -> Market:
    """Return the market of the spec's symbols, and its benchmark. What ``read`` raises passes through.

    Further time frames come from the data set where it has them; ``timeline.select`` makes the others. A detail time frame
    can't be made: a symbol without it is played along its bars as they are, but one of the symbols must have it.
    """
    data, detail = spec.data, spec.execution.detail_timeframe
    bars = tuple(read(symbol, data.timeframe) for symbol in spec.needed_symbols)
    further = [timeframe for timeframe in data.frames if timeframe != data.timeframe]
    if detail is not None and detail not in (data.timeframe, *further):
        further.append(detail)
        if not any(manifest.file(symbol, detail) for symbol in data.symbols):
            read(data.symbols[0], detail)  # says what the data set has instead
    frames = tuple(
        read(symbol, timeframe)
        for symbol in data.symbols
        for timeframe in further
        if manifest.file(symbol, timeframe) is not None
    )
    return Market(
        bars=bars,
        instruments=tuple(manifest.instrument(symbol) for symbol in spec.needed_symbols),
        dataset=manifest.dataset,
        version=manifest.version,
        digest=manifest.digest(),
        adjusted=manifest.adjusted,
        actions=side.actions,
        rates=side.rates,
        frames=frames,
        calendars=tuple(manifest.calendars),
    )
