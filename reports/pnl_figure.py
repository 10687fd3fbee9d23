"""This module draws how the trades' profits and losses are distributed."""

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase
from matplotlib.ticker import MaxNLocator

from reports import words
from reports.axes import ROUND_STEPS, Drawn, Scene, ThousandsFormatter, panels, say_nothing
from reports.theme import GAIN, INK, LOSS, MUTED
from schemas.market_data import FloatArray

FEWEST_BINS = 12
MOST_BINS = 48
MOST_LABELLED_BINS = 26


def draw_trade_pnl(area: FigureBase, scene: Scene) -> Drawn:
    """Draw a histogram of realised PnL by trade. Zero is an edge, so that no bar holds gains and losses."""
    view = scene.view
    pnl = view.trades.pnl[np.isfinite(view.trades.pnl)]
    if not len(pnl):
        say_nothing(area, "No trade was closed.")
        return Drawn("No trade was closed.")
    edges = bin_edges(pnl)
    counts, _ = np.histogram(pnl, edges)
    [axes] = panels(area, bottom=0.5)
    width = float(edges[1] - edges[0])
    colours = [GAIN if left >= -1e-9 * width else LOSS for left in edges[:-1]]
    drawn = axes.bar(edges[:-1] + width / 2, counts, width=width * 0.95, color=colours, linewidth=0)
    if len(counts) <= MOST_LABELLED_BINS:
        labels = [str(count) if count else "" for count in counts]
        axes.bar_label(drawn, labels=labels, fontsize=8, color=MUTED, padding=1.5)
    axes.axvline(0.0, color=INK, linewidth=0.8)
    _mark_mean(axes, float(pnl.mean()))
    axes.set_ylim(0, counts.max() * 1.22)
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True, steps=ROUND_STEPS))
    axes.yaxis.set_major_formatter(ThousandsFormatter())
    axes.set_xlim(float(edges[0]) - 0.3 * width, float(edges[-1]) + 0.3 * width)
    axes.xaxis.set_major_locator(MaxNLocator(10, steps=ROUND_STEPS))
    axes.xaxis.set_major_formatter(ThousandsFormatter())
    axes.grid(visible=False, axis="x")
    axes.set_xlabel(f"Realised PnL of a trade, {view.currency}".rstrip(", "))
    axes.set_ylabel("Trades")
    return Drawn(_text(pnl, view.currency))


def bin_edges(pnl: FloatArray) -> FloatArray:
    """Return equal bins of a round width that cover all values, with zero among the edges or outside of them.

    The widths are by Freedman and Diaconis (1981), 2 * interquartile range / n^(1/3), but between a 12th and a 48th of the
    range, and then rounded up to 1, 2 or 5 times a power of 10.
    """
    low, high = float(pnl.min()), float(pnl.max())
    reach = max(high, 0.0) - min(low, 0.0) if low < 0 < high else high - low
    quartiles = np.percentile(pnl, [25, 75])
    width = 2.0 * float(quartiles[1] - quartiles[0]) / len(pnl) ** (1 / 3)
    width = max(min(width, reach / FEWEST_BINS), reach / MOST_BINS, abs(high) * 1e-6, abs(low) * 1e-6)
    width = round_up(width or 1.0)
    first, last = math.floor(low / width), math.floor(high / width) + 1
    return np.asarray(np.arange(first, last + 1) * width, dtype=np.float64)


def round_up(value: float) -> float:
    """Return the next of 1, 2, 5 times a power of ten. 0.03 gives 0.05, 7 gives 10."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1.0, 2.0, 5.0, 10.0) if step * power >= value * (1 - 1e-9))


def _mark_mean(axes: Axes, mean: float) -> None:
    axes.axvline(mean, ymin=0.86, color=INK, linewidth=1.4)
    axes.annotate(
        f"average {words.money(mean)}", (mean, 1.0), xycoords=("data", "axes fraction"),
        xytext=(5 if mean >= 0 else -5, -2), textcoords="offset points", ha="left" if mean >= 0 else "right", va="top",
        fontsize=8.5, color=INK,
    )  # fmt: skip


def _text(pnl: FloatArray, currency: str) -> str:
    return (
        f"Histogram of the realised PnL of {words.count(len(pnl))} trades: {words.count(int((pnl > 0).sum()))} gained, "
        f"{words.count(int((pnl < 0).sum()))} lost; from {words.money(float(pnl.min()))} to {words.money(float(pnl.max()))}, "
        f"on average {words.money(float(pnl.mean()))} {currency}."
    )
