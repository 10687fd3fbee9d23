"""Pictures are really drawn, whatever there is to draw, and leave nothing behind."""

import struct
import sys

import matplotlib
import numpy as np
import pytest

from projections.fold import fold_run
from reports.axes import Scene
from reports.figures import BY_NAME, FIGURES, picture
from reports.pnl_figure import bin_edges, round_up
from reports.theme import PAGE_INCHES, PNG_DPI
from reports.view import view_of
from tests.factories import Log
from tests.unit.reports.runs import completed_run, daily_bars


def size_of(png: bytes) -> tuple[int, int]:
    assert png.startswith(b"\x89PNG")
    return struct.unpack(">II", png[16:24])


@pytest.mark.parametrize("kind", ["overview", *BY_NAME])
def test_each_kind_is_drawn_at_the_width_of_the_page(kind):
    png = picture(Scene(view_of(completed_run()), (daily_bars(),)), kind).png()
    width, height = size_of(png)
    assert width == round(PAGE_INCHES * PNG_DPI)
    assert height > 150
    assert len(png) > 8_000  # an empty canvas of this size has about 3,000 bytes


@pytest.mark.parametrize("kind", ["overview", *BY_NAME])
def test_a_run_that_has_only_been_accepted_says_that_there_is_nothing(kind):
    tables = fold_run(Log().accept().bodies)
    assert size_of(picture(Scene(view_of(tables)), kind).png())[0] == round(PAGE_INCHES * PNG_DPI)


@pytest.mark.parametrize("trades", [0, 1, 2, 700])
def test_no_one_and_many_trades_are_drawn(trades):
    scene = Scene(view_of(completed_run(trades)), (daily_bars(),))
    for kind in FIGURES:
        assert picture(scene, kind.name).png()


def test_fills_are_drawn_without_bars():
    assert picture(Scene(view_of(completed_run())), "trades").png()


def test_many_bars_are_drawn_as_a_line():
    assert picture(Scene(view_of(completed_run(5, marks=2_000)), (daily_bars(2_000),)), "trades").png()


def test_drawing_leaves_the_users_style_and_pyplot_alone():
    had_pyplot = "matplotlib.pyplot" in sys.modules
    with matplotlib.rc_context({"axes.facecolor": "red", "font.size": 3.0}):
        dark = picture(Scene(view_of(completed_run())), "equity").png()
        assert matplotlib.rcParams["font.size"] == 3.0
    assert dark == picture(Scene(view_of(completed_run())), "equity").png()
    assert had_pyplot or "matplotlib.pyplot" not in sys.modules


def test_an_unknown_kind_names_the_known_ones():
    with pytest.raises(ValueError, match="'pie' is not allowed: overview, equity, trades"):
        picture(Scene(view_of(completed_run())), "pie")


def test_no_bar_of_the_histogram_holds_gains_and_losses():
    """Zero is an edge; widths are 1, 2 or 5 times a power of ten."""
    edges = bin_edges(np.array([-31.0, -4.0, 3.0, 55.0]))
    assert 0.0 in edges.tolist()
    assert edges[0] <= -31 and edges[-1] >= 55
    assert [round_up(value) for value in (0.03, 7.0, 1.0, 2.1)] == pytest.approx([0.05, 10.0, 1.0, 5.0])
    assert len(bin_edges(np.array([5.0, 5.0]))) >= 2
    assert len(bin_edges(np.zeros(3))) >= 2
