"""This module holds how figures look: colours with their names, and the rules of drawing.

Figures are drawn once, in the light colours. In the page every colour becomes its CSS variable (svg.py), so that one drawing
serves light, dark and print; hence each colour here is used for one thing only, and no two are equal.

Gains are teal and losses vermilion: told apart also by those who don't see red and green, and never by colour alone.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib

INK = "#1b1f24"
MUTED = "#59636e"
GRID = "#e2e6ea"
SURFACE = "#ffffff"
ACCENT = "#1f5fa8"
GAIN = "#11806a"
LOSS = "#c2410c"
EXPOSURE = "#76549e"
PRICE = "#48515b"

# name in CSS -> light, dark
COLOURS: dict[str, tuple[str, str]] = {
    "ink": (INK, "#e6e9ed"),
    "muted": (MUTED, "#a3adb8"),
    "grid": (GRID, "#2d343c"),
    "surface": (SURFACE, "#14181d"),
    "accent": (ACCENT, "#6fadf2"),
    "gain": (GAIN, "#41c4a4"),
    "loss": (LOSS, "#f28d5c"),
    "exposure": (EXPOSURE, "#b79de4"),
    "price": (PRICE, "#c3cbd4"),
}
assert len({light for light, _ in COLOURS.values()}) == len(COLOURS), "a colour stands for one name"

PAGE_INCHES = 10.8  # width of a figure; at 72 points an inch, what the SVG's coordinates count in
PNG_DPI = 150
COLUMNS = 720  # columns that a curve is thinned to: about one for each point of the width

_RULES: dict[str, object] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9.0,
    "axes.titlesize": 9.0,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": MUTED,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.width": 0.6,
    "xtick.major.size": 3.0,
    "ytick.major.size": 0.0,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "legend.labelcolor": MUTED,
    "lines.linewidth": 1.3,
    "lines.solid_joinstyle": "round",
    "figure.facecolor": SURFACE,
    "axes.facecolor": "none",
    "savefig.facecolor": SURFACE,
    "path.simplify": False,  # downsample.py decides what is left out
    "svg.fonttype": "none",  # text stays text: searchable, and in the reader's own font
    "svg.hashsalt": "backtape",  # ids that follow from the content: the same run gives the same page
    "timezone": "UTC",
}
_LOCK = threading.RLock()


@contextmanager
def drawing_rules() -> Iterator[None]:
    """Draw by our rules alone, whatever style the program around has set, and give it back unchanged.

    matplotlib's rules are one set for the process, hence the lock. pyplot, which also keeps figures, is not used.
    """
    with _LOCK, matplotlib.rc_context():
        epoch = matplotlib.rcParams["date.epoch"]
        matplotlib.rcdefaults()
        # The epoch of date numbers is fixed by the first date that the process draws: it must stay what it is.
        rules: dict[Any, Any] = {**_RULES, "date.epoch": epoch}
        matplotlib.rcParams.update(rules)
        yield
