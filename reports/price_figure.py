"""This module draws the trades on the price, as candles: one for each bar, or for so many bars as there is room for."""

from collections.abc import Callable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure, FigureBase
from matplotlib.lines import Line2D
from matplotlib.transforms import ScaledTranslation

from reports import words
from reports.axes import (
    EMPTY_INCHES,
    BarScale,
    Drawn,
    Readout,
    Scene,
    Series,
    bar_axis,
    dates,
    legend_above,
    money_axis,
    panels,
    say_nothing,
    time_axis,
)
from reports.downsample import Ranges, distinct_spots, joined
from reports.theme import ACCENT, GAIN, INK, LOSS, PRICE
from reports.view import Fills, Trades
from schemas.market_data import Bars, FloatArray, TimeArray

Place = Callable[[TimeArray], FloatArray]  # where a time lies across the picture

MOST_CANDLES = 260  # a year of days; more would be thinner than their wicks, so bars are joined then
MOST_LINKS = 300  # trades whose entry and exit are joined by a line; more would hide the price
MOST_SYMBOLS = 4
SPOTS = (240, 60)  # marks closer than this grid would hide each other


def draw_trades(area: FigureBase, scene: Scene) -> Drawn:
    """Draw one panel for each of the symbols that were traded most."""
    view = scene.view
    shown = _shown(scene)
    if not shown:
        say_nothing(area, "There are no prices and no fills.")
        return Drawn("There are no prices and no fills to show.")
    left_out = len(shown) - MOST_SYMBOLS
    shown = shown[:MOST_SYMBOLS]
    all_axes = panels(area, [1.0] * len(shown), top=0.3)
    scale = _bar_scale([bars for _, bars in shown])
    readouts = [_panel(axes, scene, symbol, bars, scale) for axes, (symbol, bars) in zip(all_axes, shown, strict=True)]
    if scale is not None:
        bar_axis(all_axes[-1], scale)
    else:
        time_axis(all_axes[-1], _span(scene, [bars for _, bars in shown]))
    legend_above(all_axes[0], _legend(has_links=0 < len(view.trades) <= MOST_LINKS))
    return Drawn(
        _text(scene, [symbol for symbol, _ in shown]),
        _note(scene, shown, left_out),
        tuple(each for each in readouts if each is not None),
    )


def trades_height(scene: Scene) -> float:
    """Return the height in inches that the panels need."""
    symbols = min(MOST_SYMBOLS, len(_shown(scene)))
    if not symbols:
        return EMPTY_INCHES
    return 3.6 if symbols == 1 else 0.6 + 1.9 * symbols


def _shown(scene: Scene) -> list[tuple[str, Bars | None]]:
    """Return the symbols that have something to show, with their bars."""
    found = [(symbol, _bars_of(scene, symbol)) for symbol in _symbols_by_fills(scene)]
    traded = set(scene.view.fills.symbol)
    return [(symbol, bars) for symbol, bars in found if (bars is not None and len(bars)) or symbol in traded]


def _symbols_by_fills(scene: Scene) -> list[str]:
    """Return the run's symbols, those with most fills first; without fills in the order of the spec."""
    counts = dict.fromkeys(scene.view.symbols, 0)
    for symbol in scene.view.fills.symbol:
        counts[symbol] = counts.get(symbol, 0) + 1
    traded = [symbol for symbol, count in counts.items() if count]
    return sorted(traded or counts, key=lambda symbol: -counts[symbol])


def _bars_of(scene: Scene, symbol: str) -> Bars | None:
    bars = next((each for each in scene.bars if each.symbol == symbol), None)
    first, last = scene.view.run["first_bar"], scene.view.run["last_bar"]
    if bars is None or first is None or last is None:
        return bars
    return bars.between(first, last + 1)


def _span(scene: Scene, all_bars: list[Bars | None]) -> TimeArray:
    arrays = [bars.time_ns for bars in all_bars if bars is not None and len(bars)]
    arrays = arrays or [scene.view.fills.time_ns]
    return np.asarray([min(times[0] for times in arrays), max(times[-1] for times in arrays)], dtype=np.int64)


def _bar_scale(all_bars: list[Bars | None]) -> BarScale | None:
    """Return the scale of bars where each has a candle of its own, on one time line; else None: the scale is time."""
    found = [bars.time_ns for bars in all_bars if bars is not None and len(bars)]
    if len(found) < len(all_bars):
        return None
    times = np.unique(np.concatenate(found))
    return BarScale(times) if len(times) <= MOST_CANDLES else None


def _panel(axes: Axes, scene: Scene, symbol: str, bars: Bars | None, scale: BarScale | None) -> Readout | None:
    place = scale or dates
    readout = None
    if bars is not None and len(bars):
        shown = joined(bars, len(bars) if scale is not None else MOST_CANDLES)
        if scale is not None:
            _candles(axes, shown, scale(shown.time_ns), np.full(len(shown), 0.36))
        else:
            starts = dates(np.append(shown.time_ns, bars.time_ns[-1]))
            widths = np.maximum(np.diff(starts), 1e-9)
            _candles(axes, shown, starts[:-1] + widths / 2, 0.36 * widths)
        readout = _readout(axes, shown, place)
    _links(axes, scene.view.trades, symbol, place)
    _marks(axes, scene.view.fills, symbol, place)
    money_axis(axes, symbol if bars is None else f"{symbol}, {bars.timeframe}")
    axes.margins(y=0.08)
    axes.autoscale_view(scalex=False)
    return readout


def _candles(axes: Axes, bars: Ranges, x: FloatArray, half: FloatArray) -> None:
    """Draw wicks and bodies: hollow for a rise, filled for a fall, as is usual where colour alone must not tell.

    x, half : the middle of each candle, and half its width
    """
    rises = bars.close >= bars.open
    low, high = np.minimum(bars.open, bars.close), np.maximum(bars.open, bars.close)
    upper = np.stack([np.column_stack([x, high]), np.column_stack([x, bars.high])], axis=1)
    lower = np.stack([np.column_stack([x, bars.low]), np.column_stack([x, low])], axis=1)
    axes.add_collection(LineCollection([*upper, *lower], colors=PRICE, linewidths=0.7))
    corners = np.stack(
        [np.column_stack([x - half, low]), np.column_stack([x + half, low]), np.column_stack([x + half, high]),
         np.column_stack([x - half, high])],
        axis=1,
    )  # fmt: skip
    axes.add_collection(PolyCollection(list(corners[rises]), facecolors="none", edgecolors=PRICE, linewidths=0.7))
    axes.add_collection(PolyCollection(list(corners[~rises]), facecolors=PRICE, edgecolors=PRICE, linewidths=0.7))


def _readout(axes: Axes, shown: Ranges, place: Place) -> Readout:
    series = tuple(Series(name.capitalize(), "price", getattr(shown, name)) for name in ("open", "high", "low", "close"))
    return Readout(axes, place(shown.time_ns), shown.time_ns, series)


def _links(axes: Axes, trades: Trades, symbol: str, place: Place) -> None:
    """Join entry and exit of each trade: solid for a gain, dashed for a loss."""
    if not 0 < len(trades) <= MOST_LINKS:
        return
    opened, closed = place(trades.opened_ns), place(trades.closed_ns)
    for gained, colour, style in ((True, GAIN, "solid"), (False, LOSS, (0, (3, 1.5)))):
        chosen = np.flatnonzero((trades.symbol == symbol) & ((trades.pnl > 0) == gained))
        lines = [[(opened[at], trades.open_price[at]), (closed[at], trades.close_price[at])] for at in chosen]
        axes.add_collection(LineCollection(lines, colors=colour, linewidths=1.3, linestyles=style))


def _marks(axes: Axes, fills: Fills, symbol: str, place: Place) -> None:
    """Mark buys below their price and sells above it, so that the marks point at the price and leave it to be seen."""
    for is_buy, marker, colour in ((True, "^", ACCENT), (False, "v", INK)):
        chosen = np.flatnonzero((fills.symbol == symbol) & (fills.is_buy == is_buy))
        if not len(chosen):
            continue
        x, y = place(fills.time_ns[chosen]), fills.price[chosen]
        places = distinct_spots(x, y, width=SPOTS[0], height=SPOTS[1])
        size, points = (24, 4.5) if len(places) <= 120 else (9, 3.5)
        away = ScaledTranslation(0, (-points if is_buy else points) / 72, _root(axes).dpi_scale_trans)
        axes.scatter(
            x[places], y[places], s=size, marker=marker, color=colour, linewidths=0, zorder=3, transform=axes.transData + away
        )


def _root(axes: Axes) -> Figure:
    figure = axes.get_figure(root=True)
    assert figure is not None, "axes that are drawn have a figure"
    return figure


def _legend(*, has_links: bool) -> list[Line2D]:
    marks = [
        Line2D([], [], linestyle="none", marker="^", color=ACCENT, markersize=5, label="buy"),
        Line2D([], [], linestyle="none", marker="v", color=INK, markersize=5, label="sell"),
    ]
    if not has_links:
        return marks
    return [
        *marks,
        Line2D([], [], color=GAIN, label="trade with a gain"),
        Line2D([], [], color=LOSS, linestyle=(0, (3, 1.5)), label="with a loss"),
    ]


def _text(scene: Scene, symbols: list[str]) -> str:
    trades, fills = len(scene.view.trades), len(scene.view.fills)
    marked = f"{words.count(fills)} fills and {words.count(trades)} closed trades"
    return f"Price chart of {', '.join(symbols)} with {marked} marked on it."


def _note(scene: Scene, shown: list[tuple[str, Bars | None]], left_out: int) -> str:
    notes = []
    joins = max((-(-len(bars) // MOST_CANDLES) for _, bars in shown if bars is not None), default=1)
    if joins > 1:
        notes.append(f"A candle joins {words.count(joins)} bars at most.")
    if any(bars is None for _, bars in shown):
        notes.append("The bars are not at hand: only fills are drawn.")
    if len(scene.view.fills) > SPOTS[0]:
        notes.append("Marks that would hide each other are drawn once.")
    if left_out > 0:
        notes.append(f"{left_out} more symbols are not drawn.")
    return " ".join(notes)
