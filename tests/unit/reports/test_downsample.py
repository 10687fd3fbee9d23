"""Thinning hides nothing that a picture could show."""

import numpy as np

from reports.downsample import distinct_spots, joined, kept_places, lowest_places, spans
from tests.unit.reports.runs import daily_bars


def test_first_lowest_highest_and_last_of_each_column_are_kept():
    """Six values in one column: places 0, 2 (lowest), 4 (highest), 5."""
    assert kept_places(np.array([5.0, 6.0, 1.0, 2.0, 9.0, 4.0]), 1).tolist() == [0, 2, 4, 5]


def test_a_peak_of_one_bar_in_a_million_is_drawn_as_high_as_it_was():
    values = np.zeros(1_000_000)
    values[777_777], values[123_456] = 50.0, -50.0
    places = kept_places(values, 700)
    assert 777_777 in places and 123_456 in places
    assert len(places) <= 4 * 700
    assert (np.diff(places) > 0).all()


def test_few_values_are_all_kept():
    assert kept_places(np.arange(10.0), 720).tolist() == list(range(10))
    assert lowest_places(np.arange(10.0), 720).tolist() == list(range(10))
    assert kept_places(np.zeros(0), 720).tolist() == []


def test_each_column_of_a_drawdown_keeps_its_lowest():
    values = np.array([0.0, -3.0, -1.0, 0.0, -2.0, -5.0, 0.0, 0.0])
    assert lowest_places(values, 2).tolist() == [0, 1, 5, 7]


def test_joined_bars_span_what_they_replace():
    bars = daily_bars(1_000)
    ranges = joined(bars, 100)
    assert len(ranges) == 100
    assert ranges.high.max() == bars.high.max() and ranges.low.min() == bars.low.min()
    assert ranges.open[0] == bars.open[0] and ranges.close[-1] == bars.close[-1]
    assert ranges.high[3] == bars.high[30:40].max()


def test_marks_on_one_spot_are_drawn_once_and_undefined_ones_never():
    x = np.array([0.0, 0.001, 5.0, 10.0, np.nan])
    y = np.array([1.0, 1.001, 3.0, 9.0, 2.0])
    assert distinct_spots(x, y, width=100, height=100).tolist() == [0, 2, 3]
    assert distinct_spots(np.array([np.nan]), np.array([1.0]), width=10, height=10).tolist() == []


def test_spans_hold_lowest_highest_and_average():
    """[1, 3, 5, 5] in two columns: 1 to 3 around 2, and 5."""
    found = spans(np.array([1.0, 3.0, 5.0, 5.0]), 2)
    assert found.lowest.tolist() == [1.0, 5.0]
    assert found.highest.tolist() == [3.0, 5.0]
    assert found.average.tolist() == [2.0, 5.0]
    assert spans(np.array([7.0]), 100).average.tolist() == [7.0]
