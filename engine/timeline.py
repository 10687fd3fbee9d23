"""This module says what a run will see: the market cut to the spec's range, and the event that records it."""

from dataclasses import replace

from engine.currencies import check_rates
from engine.errors import NoDataError, UnknownSymbolError
from engine.happenings import happenings_of
from engine.market import merged_times
from schemas.events import BacktestStarted
from schemas.market_data import Market
from schemas.spec import BacktestSpec
from schemas.times import parse_time

KEPT_MARKS = 10_000  # equity marks of a run whose spec does not say how many


def select(spec: BacktestSpec, market: Market) -> Market:
    """Return the market with the spec's symbols in the spec's order, cut to its start (inclusive) and end (exclusive).

    Bars of the spec's benchmark go apart, cut in the same way.
    Raises UnknownSymbolError for a symbol (or a benchmark) without bars, NoDataError if no bar of any symbol is left.
    """
    by_symbol = {bars.symbol: place for place, bars in enumerate(market.bars)}
    unknown = [symbol for symbol in spec.needed_symbols if symbol not in by_symbol]
    if unknown:
        raise UnknownSymbolError(f"data set {market.dataset} has no {spec.data.timeframe} bars of {', '.join(unknown)}")
    start = None if spec.data.start is None else parse_time(spec.data.start)
    end = None if spec.data.end is None else parse_time(spec.data.end)
    places = [by_symbol[symbol] for symbol in spec.data.symbols]
    benchmark = spec.statistics.benchmark
    cut = tuple(market.bars[place].between(start, end) for place in places)
    if not any(len(bars) for bars in cut):
        raise NoDataError(
            f"data set {market.dataset} has no bars of {', '.join(spec.data.symbols)} "
            f"from {spec.data.start or 'its start'} to {spec.data.end or 'its end'}"
        )
    return replace(
        market,
        bars=cut,
        instruments=tuple(market.instruments[place] for place in places),
        benchmark=None if benchmark is None else market.bars[by_symbol[benchmark]].between(start, end),
    )


def started(spec: BacktestSpec, market: Market, sequence: int) -> BacktestStarted:
    """Return the event that records what the run will see.

    Raises like ``select``; CurrencyError for a missing conversion rate, and like ``happenings_of`` for actions that don't fit.
    """
    selected = select(spec, market)
    times = merged_times(selected)
    check_rates(selected, spec.account.currency, int(times[0]))
    happenings_of(selected, times)
    multipliers = tuple(instrument.multiplier for instrument in selected.instruments)
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
        margined=tuple(each.symbol for each in selected.instruments if each.settlement == "margin"),
        inverse=tuple(each.symbol for each in selected.instruments if each.contract == "inverse"),
    )


def equity_every(spec: BacktestSpec, bars: int) -> int:
    """Return the bars between two equity marks: the spec's, or so many that at most 10,000 marks are kept."""
    if spec.recording.equity_every is not None:
        return spec.recording.equity_every
    return max(1, -(-bars // KEPT_MARKS))
