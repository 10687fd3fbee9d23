"""This module lists the figures and makes pictures of them: one by one, or the overview of the most important.

A ``Picture`` is a matplotlib figure of its own: nothing is registered with pyplot, nothing is kept.
"""

import io
from collections.abc import Callable, Sized
from dataclasses import dataclass
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from reports import words
from reports.axes import EMPTY_INCHES, Draw, Scene
from reports.equity_figure import draw_equity
from reports.exposure_figure import draw_exposure
from reports.monthly_figure import draw_monthly_returns, monthly_height
from reports.pnl_figure import draw_trade_pnl
from reports.price_figure import draw_trades, trades_height
from reports.theme import MUTED, PAGE_INCHES, PNG_DPI, drawing_rules


@dataclass(frozen=True, slots=True)
class FigureKind:
    """One kind of figure: its name, title, how it is drawn and how high it is in inches."""

    name: str
    title: str
    draw: Draw
    height: Callable[[Scene], float]


def _height(inches: float, rows: Sized) -> float:
    return inches if len(rows) else EMPTY_INCHES


FIGURES: tuple[FigureKind, ...] = (
    FigureKind("equity", "Equity and drawdown", draw_equity, lambda scene: _height(4.3, scene.view.curve)),
    FigureKind("trades", "Trades on price", draw_trades, trades_height),
    FigureKind("monthly_returns", "Monthly returns", draw_monthly_returns, monthly_height),
    FigureKind("trade_pnl", "Distribution of trade PnL", draw_trade_pnl, lambda scene: _height(2.9, scene.view.trades)),
    FigureKind("exposure", "Exposure", draw_exposure, lambda scene: _height(2.0, scene.view.curve)),
)
BY_NAME = {kind.name: kind for kind in FIGURES}
OVERVIEW = ("equity", "trades", "exposure")

TITLE_INCHES = 0.34


class Picture(Figure):
    """A figure that notebooks show and that saves itself as PNG."""

    def png(self) -> bytes:
        """Return the picture as a PNG file."""
        sink = io.BytesIO()
        with drawing_rules():
            FigureCanvasAgg(self)
            self.savefig(sink, format="png", dpi=PNG_DPI, metadata={"Software": None})
        return sink.getvalue()

    def _repr_png_(self) -> bytes:
        return self.png()


def picture(scene: Scene, kind: str = "overview") -> Picture:
    """Return the picture of one kind, or the overview. Raises ValueError for a kind that there is not."""
    if kind != "overview" and kind not in BY_NAME:
        raise ValueError(f"kind {kind!r} is not allowed: overview, {', '.join(BY_NAME)}")
    kinds = [BY_NAME[name] for name in (OVERVIEW if kind == "overview" else (kind,))]
    heights = [each.height(scene) for each in kinds]
    with drawing_rules():
        made = Picture(figsize=(PAGE_INCHES, TITLE_INCHES + sum(_with_titles(heights))))
        rows: Any = made.subfigures(1 + 2 * len(kinds), 1, height_ratios=[TITLE_INCHES, *_with_titles(heights)])
        rows[0].text(0.01, 0.35, _headline(scene), fontsize=11, fontweight="bold", va="center")
        for each, title, area in zip(kinds, rows[1::2], rows[2::2], strict=True):
            title.text(0.01, 0.3, each.title, fontsize=9.5, color=MUTED, va="center")
            each.draw(area, scene)
    return made


def _with_titles(heights: list[float]) -> list[float]:
    return [inches for height in heights for inches in (TITLE_INCHES, height)]


def _headline(scene: Scene) -> str:
    run = scene.view.run
    symbols = scene.view.symbols
    named = ", ".join(symbols[:4]) + (f" and {len(symbols) - 4} more" if len(symbols) > 4 else "")
    parts = [run["strategy"] or scene.view.backtest_id, named, run["timeframe"] or ""]
    if run["total_return"] is not None:
        parts.append(f"return {words.percent(run['total_return'])}")
    return " · ".join(part for part in parts if part)
