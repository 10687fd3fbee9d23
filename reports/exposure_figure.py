"""This module draws exposure: what was at work in the market, as a share of equity."""

import numpy as np
from matplotlib.figure import FigureBase

from reports import words
from reports.axes import Drawn, Readout, Scene, Series, dates, panels, percent_axis, say_nothing, time_axis
from reports.downsample import spans
from reports.theme import COLUMNS, EXPOSURE


def draw_exposure(area: FigureBase, scene: Scene) -> Drawn:
    """Draw exposure / equity over time; where equity is not positive there is a gap."""
    curve = scene.view.curve
    usable = np.flatnonzero(curve.equity > 0)
    if not len(usable):
        say_nothing(area, "There are no equity marks." if not len(curve) else "Equity was never above zero.")
        return Drawn("There is no exposure to show.")
    share = curve.exposure[usable] / curve.equity[usable]
    times = curve.time_ns[usable]
    shown = spans(share, COLUMNS // 2)
    [axes] = panels(area)
    times = times[shown.first]
    x = dates(times)
    is_thinned = len(share) > len(x)
    axes.fill_between(x, shown.average, 0.0, color=EXPOSURE, alpha=0.25, linewidth=0)
    if is_thinned:
        axes.fill_between(x, shown.lowest, shown.highest, color=EXPOSURE, alpha=0.18, linewidth=0)
    axes.plot(x, shown.average, color=EXPOSURE, linewidth=0.9)
    percent_axis(axes, "Exposure / equity", ticks=4)
    highest = float(share.max())
    axes.set_ylim(0.0, 1.05 if highest <= 1.0 else highest * 1.08)
    time_axis(axes, curve.time_ns)
    average = words.percent(float(share.mean()))
    text = f"Area chart of exposure as a share of equity: at most {words.percent(highest)}, on average {average}."
    note = "The band spans each stretch's lowest to highest exposure, the line is its average." if is_thinned else ""
    readout = Readout(axes, x, times, (Series("Exposure / equity", "percent", shown.average),))
    return Drawn(text, note, (readout,))
