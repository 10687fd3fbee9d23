"""This module says what a run will see: bars cut to the spec's range, resampled, in further time frames; and records it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from engine.currencies import check_rates
from engine.detail import Played, played_along
from engine.errors import NoDataError, ParametersError, UnknownSymbolError
from engine.happenings import happenings_of
from engine.market import live_part, merged_times
from engine.resample import Frame, as_frame, by_time, resampled
from engine.sessions import session_of
from schemas.events import BacktestStarted
from schemas.market_data import Bars, Market
from schemas.spec import BacktestSpec, DataSpec
from schemas.times import parse_time, timeframe_ns

KEPT_MARKS = 10_000  # equity marks of a run whose spec does not say how many


@dataclass(frozen=True, slots=True)
class Scene:
    """What one run sees.

    market : its ``bars`` make the run's time line: orders are matched in them. Those before ``live_ns`` are warm-up
    frames : further time frames that strategies may look at, by name; one Frame for each symbol
    played : with a detail time frame: the bars that strategies see, and when; None: they see the time line's own
    """

    market: Market
    frames: Mapping[str, tuple[Frame, ...]]
    played: Played | None = None


def scene_of(spec: BacktestSpec, market: Market) -> Scene:
    """Return what the run of a spec sees of a market. Pure: equal arguments give equal bars.

    Bars of the spec's benchmark go apart, cut in the same way.
    Raises UnknownSymbolError for a symbol (or a benchmark) without bars, NoDataError if no bar of any symbol is left,
    ParametersError for a time frame that can't be made.
    """
    source, live_ns = _with_warmup(spec, select(spec, market))
    data = spec.data
    tables = [source.sessions(instrument.calendar) for instrument in source.instruments]
    bars = source.bars
    for each, table in zip(bars, tables, strict=True):
        if table is not None and len(each):
            session_of(table, each.time_ns[[0, -1]])  # a run never guesses a session
    if data.resample is not None:
        bars = tuple(resampled(each, data.resample, table) for each, table in zip(bars, tables, strict=True))
        bars, live_ns = _live(data, bars, _start(data))
    frames = {name: _frames(name, source, data) for name in data.frames}
    begin = live_ns if live_ns is not None else _start(data)
    benchmark = None if source.benchmark is None else source.benchmark.between(begin, None)
    seen = replace(source, bars=bars, frames=(), live_ns=live_ns, benchmark=benchmark)
    detail = spec.execution.detail_timeframe
    if detail is None:
        return Scene(seen, frames)
    finer = source.bars if detail == data.timeframe else tuple(source.frame(symbol, detail) for symbol in data.symbols)
    played = played_along(bars, finer, detail, timeframe_ns(data.bar_timeframe))
    return Scene(replace(seen, bars=played.line), frames, played)


def select(spec: BacktestSpec, market: Market) -> Market:
    """Return the market with the spec's symbols in the spec's order, cut to its end (exclusive) alone."""
    by_symbol = {bars.symbol: place for place, bars in enumerate(market.bars)}
    unknown = [symbol for symbol in spec.needed_symbols if symbol not in by_symbol]
    if unknown:
        raise UnknownSymbolError(f"data set {market.dataset} has no {spec.data.timeframe} bars of {', '.join(unknown)}")
    end = None if spec.data.end is None else parse_time(spec.data.end)
    places = [by_symbol[symbol] for symbol in spec.data.symbols]
    benchmark = spec.statistics.benchmark
    return replace(
        market,
        bars=tuple(market.bars[place].between(None, end) for place in places),
        instruments=tuple(market.instruments[place] for place in places),
        frames=tuple(each.between(None, end) for each in market.frames),
        benchmark=None if benchmark is None else market.bars[by_symbol[benchmark]].between(None, end),
    )


def _start(data: DataSpec) -> int | None:
    return None if data.start is None else parse_time(data.start)


def _with_warmup(spec: BacktestSpec, market: Market) -> tuple[Market, int | None]:
    """Return the market cut to the spec's start, less the warm-up; and where the warm-up ends.

    A resampled run's warm-up is counted after resampling: all bars before the start are kept for it.
    """
    data, start = spec.data, _start(spec.data)
    if data.resample is not None:
        first = None if data.warmup else start
        return _cut(spec, market, first), None
    bars, live_ns = _live(data, market.bars, start)
    first = int(min(each.time_ns[0] for each in bars if len(each)))
    return _cut(spec, market, first), live_ns


def _cut(spec: BacktestSpec, market: Market, first: int | None) -> Market:
    bars = tuple(each.between(first, None) for each in market.bars)
    if not any(len(each) for each in bars):
        raise _no_data(spec.data)
    return replace(market, bars=bars, frames=tuple(each.between(first, None) for each in market.frames))


def _live(data: DataSpec, bars: tuple[Bars, ...], start: int | None) -> tuple[tuple[Bars, ...], int | None]:
    """Return the bars from the first one of the warm-up on, and the time of the first one after it (None: no warm-up).

    The warm-up is the ``warmup`` bars of the merged time line before the start; where there are fewer, the run begins later.
    """
    times = merged_times(bars)
    begin = 0 if start is None else int(np.searchsorted(times, start, side="left"))
    live = max(begin, data.warmup)
    if live >= len(times):
        raise _no_data(data)
    first = int(times[live - data.warmup])
    return tuple(each.between(first, None) for each in bars), int(times[live]) if data.warmup else None


def _no_data(data: DataSpec) -> NoDataError:
    what = "" if data.resample is None else f" by {data.resample.type}"
    after = f", after {data.warmup} bars of warm-up" if data.warmup else ""
    return NoDataError(
        f"data set {data.dataset} has no bars{what} of {', '.join(data.symbols)} "
        f"from {data.start or 'its start'} to {data.end or 'its end'}{after}"
    )


def _frames(timeframe: str, market: Market, data: DataSpec) -> tuple[Frame, ...]:
    """Return a further time frame of each symbol: the data set's own, else made of the bars that are read."""
    result = []
    for bars, instrument in zip(market.bars, market.instruments, strict=True):
        table = market.sessions(instrument.calendar)
        own = bars if timeframe == data.timeframe else market.frame(bars.symbol, timeframe)
        if own is not None:
            result.append(as_frame(own, table))
            continue
        base, length = timeframe_ns(data.timeframe), timeframe_ns(timeframe)
        if length <= base or length % base:
            raise ParametersError(
                f"data.frames: the data set has no {timeframe} bars of {bars.symbol}, "
                f"and they can't be made of {data.timeframe} bars: a multiple of that is needed"
            )
        result.append(by_time(bars, timeframe, table))
    return tuple(result)


def started(spec: BacktestSpec, market: Market, sequence: int) -> BacktestStarted:
    """Return the event that records what the run will see.

    Raises like ``scene_of``; CurrencyError for a missing conversion rate, and like ``happenings_of`` for actions that don't fit.
    """
    seen = scene_of(spec, market).market
    times = merged_times(seen.bars, seen.live_ns)
    check_rates(seen, spec.account.currency, int(times[0]))
    happenings_of(live_part(seen), times)
    multipliers = tuple(instrument.multiplier for instrument in seen.instruments)
    return BacktestStarted(
        sequence=sequence,
        time_ns=int(times[0]),
        dataset=market.dataset,
        dataset_version=market.version,
        data_digest=market.digest,
        symbols=tuple(spec.data.symbols),
        timeframe=spec.data.timeframe,
        first_bar_ns=int(times[0]),
        last_bar_ns=int(times[-1]),
        bars=len(times),
        equity_every=equity_every(spec, len(times)),
        multipliers=multipliers if any(each != 1.0 for each in multipliers) else (),
        margined=tuple(each.symbol for each in seen.instruments if each.settlement == "margin"),
        inverse=tuple(each.symbol for each in seen.instruments if each.contract == "inverse"),
    )


def equity_every(spec: BacktestSpec, bars: int) -> int:
    """Return the bars between two equity marks: the spec's, or so many that at most 10,000 marks are kept."""
    if spec.recording.equity_every is not None:
        return spec.recording.equity_every
    return max(1, -(-bars // KEPT_MARKS))
