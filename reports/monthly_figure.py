"""This module draws the table of monthly returns, coloured by sign and size, with a total for each year."""

import math

from matplotlib.axes import Axes
from matplotlib.figure import FigureBase
from matplotlib.patches import Rectangle

from reports import words
from reports.axes import EMPTY_INCHES, MONTHS, Drawn, Scene, panels, say_nothing
from reports.monthly import MonthlyReturns, monthly_returns
from reports.theme import GAIN, INK, LOSS, MUTED

YEAR_COLUMN = 12.35  # a gap before the year's total
STRONGEST = 0.5  # opacity of the largest return: text on it keeps a contrast of 4.5 in both themes


def draw_monthly_returns(area: FigureBase, scene: Scene) -> Drawn:
    """Draw one row for each year, newest last."""
    found = monthly_returns(scene.view.months, scene.view.initial_cash)
    if not found.years:
        say_nothing(area, "There are no bars.")
        return Drawn("There are no returns to show.")
    [axes] = panels(area, top=0.3, bottom=0.05)
    axes.set_xlim(0, YEAR_COLUMN + 1.25)
    axes.set_ylim(len(found.years), -0.05)
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    scale = _largest(found)
    for row in range(len(found.years)):
        cells = [*((float(month), 1.0, found.months[row, month], "normal") for month in range(12))]
        cells.append((YEAR_COLUMN, 1.25, found.totals[row], "bold"))
        for x, width, value, weight in cells:
            _draw_cell(axes, x, row, width, float(value), scale, weight)
    axes.set_yticks([row + 0.5 for row in range(len(found.years))], [str(year) for year in found.years])
    axes.set_xticks([*(month + 0.5 for month in range(12)), YEAR_COLUMN + 0.625], [*MONTHS, "Year"])
    axes.xaxis.tick_top()
    axes.tick_params(length=0, labelsize=8.5)
    return Drawn(_text(found), note="Percent, by UTC months; the first and the last may be parts of one.")


def monthly_height(scene: Scene) -> float:
    """Return the height in inches that the years need."""
    numbers = scene.view.months.number
    if not len(numbers):
        return EMPTY_INCHES
    return 0.45 + 0.29 * (int(numbers[-1]) // 12 - int(numbers[0]) // 12 + 1)


def _draw_cell(axes: Axes, x: float, row: int, width: float, value: float, scale: float, weight: str) -> None:
    box = (x + 0.03, row + 0.05), width - 0.06, 0.9
    if math.isnan(value):
        axes.add_patch(Rectangle(*box, facecolor=MUTED, alpha=0.06, linewidth=0))
        return
    colour = GAIN if value > 0 else LOSS if value < 0 else MUTED
    strength = 0.06 + (STRONGEST - 0.06) * min(abs(value) / scale, 1.0)
    axes.add_patch(Rectangle(*box, facecolor=colour, alpha=strength, linewidth=0))
    text = words.percent(value).removesuffix("%") if abs(value) < 1 else words.count(value * 100)
    axes.text(x + width / 2, row + 0.52, text, ha="center", va="center", fontsize=8.2, fontweight=weight, color=INK)


def _largest(found: MonthlyReturns) -> float:
    """Return the return that is drawn strongest: the largest month, so that years don't pale the months."""
    sizes = [abs(float(value)) for value in found.months.ravel() if not math.isnan(value)]
    return max(sizes, default=0.0) or 1.0


def _text(found: MonthlyReturns) -> str:
    named = [
        (float(found.months[row, month]), f"{MONTHS[month]} {year}")
        for row, year in enumerate(found.years)
        for month in range(12)
        if not math.isnan(found.months[row, month])
    ]
    if not named:
        return "Table of monthly returns without a defined one."
    best, worst = max(named), min(named)
    gains = sum(value > 0 for value, _ in named)
    return (
        f"Table of monthly returns: {gains} of {len(named)} months gained; "
        f"the best was {best[1]} with {words.percent(best[0])}, the worst {worst[1]} with {words.percent(worst[0])}."
    )
