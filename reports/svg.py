"""This module makes a figure an SVG element: themed by CSS, described for those who can't see it, and measured
so that the page's script can show values under the pointer.
"""

import io
import re
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from reports.axes import Readout, Scene
from reports.figures import FigureKind
from reports.theme import COLOURS, PAGE_INCHES, drawing_rules

POINTS_PER_INCH = 72
_VARIABLES = {light: f"var(--{name})" for name, (light, _) in COLOURS.items()}
_COLOUR = re.compile("|".join(_VARIABLES))
_LONG_NUMBER = re.compile(r"(?<![\w.#-])-?\d+\.\d{3,}(?![\w.])")  # a hundredth of a point is less than can be seen
_TAG = re.compile(r"<[^>]+>")  # numbers between the tags are what people read: those stay as they are
_FONT = re.compile(r"(font: (?:bold |700 )?[\d.]+px) [^;\"]*")


@dataclass(frozen=True, slots=True)
class SvgFigure:
    """A figure as the page holds it."""

    svg: str
    text: str
    note: str
    readouts: list[dict[str, Any]]  # JSON for the page's script


def svg_figure(kind: FigureKind, scene: Scene) -> SvgFigure:
    """Draw one figure. The same scene gives the same text, byte for byte."""
    sink = io.StringIO()
    with drawing_rules():
        figure = Figure(figsize=(PAGE_INCHES, kind.height(scene)))
        drawn = kind.draw(figure, scene)
        FigureCanvasSVG(figure)
        figure.savefig(sink, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
        readouts = [_measured(readout, figure) for readout in drawn.readouts]
    return SvgFigure(_element(sink.getvalue(), kind, drawn.text), drawn.text, drawn.note, readouts)


def _element(document: str, kind: FigureKind, text: str) -> str:
    """Return the SVG element alone, with ids of its own, CSS variables for colours, and the reader's font."""
    body = document[document.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r"<!--.*?-->", "", body, flags=re.DOTALL)
    view_box = re.search(r'viewBox="([^"]+)"', body)
    assert view_box is not None, "matplotlib writes a viewBox"
    body = body[body.index(">") + 1 :]
    body = body.replace("xlink:href", "href")
    prefix = kind.name
    body = re.sub(r'\bid="', f'id="{prefix}-', body)
    body = body.replace('href="#', f'href="#{prefix}-').replace("url(#", f"url(#{prefix}-")
    body = _COLOUR.sub(lambda found: _VARIABLES[found[0]], body)
    body = _FONT.sub(r"\1 var(--font)", body)
    body = _TAG.sub(lambda tag: _LONG_NUMBER.sub(_rounded_text, tag[0]), body)
    body = re.sub(r"\s*\n\s*", "\n", body)
    title = f'<title id="{prefix}-title">{escape(kind.title)}</title><desc id="{prefix}-text">{escape(text)}</desc>'
    opening = f'<svg viewBox="{view_box[1]}" role="img" aria-labelledby="{prefix}-title {prefix}-text" data-figure="{prefix}">'
    return opening + title + body


def _measured(readout: Readout, figure: Figure) -> dict[str, Any]:
    """Return where the axes lie in the SVG's points, and their values by pixel: x ascending."""
    width, height = figure.get_size_inches() * POINTS_PER_INCH
    box = readout.axes.get_position()
    first, last = readout.axes.get_xlim()
    x = box.x0 * width + (readout.x - first) / (last - first) * box.width * width
    return {
        "left": round(float(box.x0 * width), 1),
        "right": round(float(box.x1 * width), 1),
        "top": round(float((1 - box.y1) * height), 1),
        "bottom": round(float((1 - box.y0) * height), 1),
        "x": [round(float(value), 1) for value in x],
        "seconds": (readout.time_ns // 1_000_000_000).tolist(),
        "series": [
            {"label": series.label, "unit": series.unit, "values": [_rounded(value) for value in series.values]}
            for series in readout.series
        ],
    }


def _rounded_text(number: re.Match[str]) -> str:
    return f"{float(number[0]):.2f}".rstrip("0").rstrip(".")


def _rounded(value: float) -> float | None:
    """Return seven significant digits: more than is shown, and half the size of the page."""
    return float(f"{value:.7g}") if np.isfinite(value) else None
