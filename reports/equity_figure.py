"""This module draws equity, and below it on the same time axis the drawdown."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase

from reports import words
from reports.axes import Drawn, Readout, Scene, Series, dates, money_axis, panels, percent_axis, say_nothing, time_axis
from reports.downsample import kept_places, lowest_places
from reports.theme import ACCENT, COLUMNS, LOSS, MUTED
from reports.view import Curve, RunView


def draw_equity(area: FigureBase, scene: Scene) -> Drawn:
    """Draw the equity curve with the initial cash, and the drawdown with its deepest point."""
    view = scene.view
    if not len(view.curve):
        say_nothing(area, "There are no equity marks.")
        return Drawn("No equity was marked.")
    upper, lower = panels(area, (2.6, 1))
    readouts = (_equity(upper, view), _drawdown(lower, view.curve))
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
    return Readout(axes, curve.time_ns[places], (shown,))


def _drawdown(axes: Axes, curve: Curve) -> Readout:
    places = lowest_places(curve.drawdown, COLUMNS)
    x, y = dates(curve.time_ns[places]), curve.drawdown[places]
    axes.fill_between(x, y, 0.0, color=LOSS, alpha=0.22, linewidth=0)
    axes.plot(x, y, color=LOSS, linewidth=1.0)
    percent_axis(axes, "Drawdown", ticks=4)
    deepest = float(y.min())
    axes.set_ylim(min(deepest * 1.3, -0.001), 0.0)
    if deepest < 0.0:
        trough = int(np.argmin(y))
        is_right = trough > 0.8 * len(y)
        axes.plot([x[trough]], [deepest], marker="o", markersize=3.5, color=LOSS)
        axes.annotate(
            words.percent(deepest), (x[trough], deepest), xytext=(-6 if is_right else 6, -2), textcoords="offset points",
            ha="right" if is_right else "left", va="center", fontsize=8.5, color=LOSS,
        )  # fmt: skip
    return Readout(axes, curve.time_ns[places], (Series("Drawdown", "percent", y),))


def _text(view: RunView) -> str:
    curve = view.curve
    first, last = view.time(int(curve.time_ns[0])), view.time(int(curve.time_ns[-1]))
    start = view.initial_cash if view.initial_cash is not None else float(curve.equity[0])
    return (
        f"Line chart of equity from {words.money(start)} to {words.money(float(curve.equity[-1]))} {view.currency} "
        f"between {first} and {last}; the deepest drawdown was {words.percent(float(curve.drawdown.min()))}."
    )
