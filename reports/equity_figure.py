"""This module draws equity, and below it on the same time axis the drawdown."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase

from reports import words
from reports.axes import Drawn, Readout, Scene, Series, dates, money_axis, panels, percent_axis, say_nothing, time_axis
from reports.downsample import kept_places, lowest_places
from reports.theme import ACCENT, COLUMNS, LOSS, MUTED
from reports.view import RunView
from schemas.market_data import FloatArray, TimeArray


def draw_equity(area: FigureBase, scene: Scene) -> Drawn:
    """Draw the equity curve with the initial cash, and the drawdown with its deepest point."""
    view = scene.view
    if not len(view.curve):
        say_nothing(area, "There are no equity marks.")
        return Drawn("No equity was marked.")
    upper, lower = panels(area, (2.6, 1))
    readouts = (_equity(upper, view), _drawdown(lower, view))
    time_axis(lower, view.curve.time_ns)
    return Drawn(_text(view), readouts=readouts)


def _equity(axes: Axes, view: RunView) -> Readout:
    curve = view.curve
    places = kept_places(curve.equity, COLUMNS)
    marker = "o" if len(places) == 1 else ""
    axes.plot(dates(curve.time_ns[places]), curve.equity[places], color=ACCENT, marker=marker, markersize=4)
    if view.initial_cash is not None:
        axes.axhline(view.initial_cash, color=MUTED, linewidth=0.8, linestyle=(0, (4, 3)))
        axes.fill_between(
            dates(curve.time_ns[places]), curve.equity[places], view.initial_cash, color=ACCENT, alpha=0.09, linewidth=0
        )
    money_axis(axes, f"Equity, {view.currency}".rstrip(", "))
    axes.tick_params(axis="x", length=0)
    shown = Series("Equity", "money", curve.equity[places])
    return Readout(axes, dates(curve.time_ns[places]), curve.time_ns[places], (shown,))


def _drawdown(axes: Axes, view: RunView) -> Readout:
    times, y = _with_trough(view)
    x = dates(times)
    axes.fill_between(x, y, 0.0, color=LOSS, alpha=0.22, linewidth=0)
    axes.plot(x, y, color=LOSS, linewidth=1.0)
    percent_axis(axes, "Drawdown", ticks=4)
    deepest = float(y.min())
    axes.set_ylim(min(deepest * 1.4, -0.01), 0.0)
    if deepest < 0.0:
        trough = int(np.argmin(y))
        across = (x[trough] - x[0]) / max(x[-1] - x[0], 1e-9)
        align = "left" if across < 0.04 else "right" if across > 0.96 else "center"
        axes.plot([x[trough]], [deepest], marker="o", markersize=3.5, color=LOSS)
        axes.annotate(
            words.percent(deepest), (x[trough], deepest), xytext=(0, -5), textcoords="offset points",
            ha=align, va="top", fontsize=8.5, color=LOSS,
        )  # fmt: skip
    return Readout(axes, x, times, (Series("Drawdown", "percent", y),))


def _with_trough(view: RunView) -> tuple[TimeArray, FloatArray]:
    """Return the drawdown's points. The deepest may lie between two marks: the statistics, which use every bar, know it."""
    curve = view.curve
    places = lowest_places(curve.drawdown, COLUMNS)
    times, values = curve.time_ns[places], curve.drawdown[places]
    deepest, trough = view.run["max_drawdown"], view.moment("max_drawdown_trough_ns")
    if deepest is None or trough is None or not times[0] <= trough <= times[-1]:
        return times, values
    at = int(np.searchsorted(times, trough))
    return np.insert(times, at, trough), np.insert(values, at, deepest)


def _text(view: RunView) -> str:
    curve = view.curve
    first, last = view.time(int(curve.time_ns[0])), view.time(int(curve.time_ns[-1]))
    deepest = view.run["max_drawdown"] if view.run["max_drawdown"] is not None else float(curve.drawdown.min())
    start = view.initial_cash if view.initial_cash is not None else float(curve.equity[0])
    return (
        f"Line chart of equity from {words.money(start)} to {words.money(float(curve.equity[-1]))} {view.currency} "
        f"between {first} and {last}; the deepest drawdown was {words.percent(deepest)}."
    )
