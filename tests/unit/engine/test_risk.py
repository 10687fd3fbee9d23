"""Statistics of tails and moments, against values worked out by hand or by other libraries."""

import math

import pytest

from engine import benchmarking, risk
from engine import statistics as stats

TEN = [-0.05 + 0.01 * place for place in range(10)]


@pytest.mark.parametrize(
    ("tail", "expected"),
    [
        (5, 0.05),  # k = ceil(0.5) = 1
        (15, 0.04),  # k = ceil(1.5) = 2
        (20, 0.04),  # k = 2, to the number
        (100, -0.04),  # the best period: a gain
    ],
)
def test_value_at_risk_is_the_kth_smallest_return(tail: int, expected: float) -> None:
    assert risk.value_at_risk(TEN, tail) == pytest.approx(expected)


def test_expected_shortfall_is_the_mean_beyond_it() -> None:
    assert risk.expected_shortfall(TEN, 15) == pytest.approx(0.045)


def test_the_tail_is_counted_in_whole_numbers() -> None:
    """0.05 * 100 is a little more than 5 in floats, which would take a sixth return into the tail."""
    returns = [float(place) for place in range(100)]
    assert risk.value_at_risk(returns, 5) == -4.0


def test_omega_is_gains_over_losses() -> None:
    assert risk.omega([0.03, -0.01, -0.01]) == pytest.approx(1.5)
    assert risk.omega([0.03]) is None


def test_moments_by_hand() -> None:
    assert risk.skewness([0.0, 0.0, 3.0]) == pytest.approx(2.0 / (2.0 * math.sqrt(2.0)))
    assert risk.kurtosis([0.0, 0.0, 3.0]) == pytest.approx(1.5)
    assert risk.skewness([1.0, 1.0]) is None
    assert risk.kurtosis([]) is None


@pytest.mark.parametrize(
    ("deviations", "expected"),
    [
        (0.0, 0.5),
        (1.96, 0.9750021048517795),
        (-1.0, 0.15865525393145707),
        (3.0, 0.9986501019683699),
        (-6.0, 9.865876450376946e-10),  # keeps its digits in the lower tail
    ],
)
def test_the_normal_distribution_agrees_with_tables(deviations: float, expected: float) -> None:
    assert risk.normal_probability(deviations) == pytest.approx(expected, rel=1e-12)


def test_the_normal_distribution_has_ends() -> None:
    assert risk.normal_probability(40.0) == 1.0
    assert risk.normal_probability(-40.0) == 0.0


def test_probabilistic_sharpe_of_a_symmetric_coin_is_a_half() -> None:
    assert risk.probabilistic_sharpe([0.01, -0.01]) == pytest.approx(0.5)


def test_probabilistic_sharpe_by_hand() -> None:
    """[0, 0, 3]: SR = 1 / sqrt(3), g3 = 0.7071, g4 = 1.5: 0.57735 * sqrt(2) / sqrt(1 - 0.40825 + 0.125 / 3)."""
    ratio = 1.0 / math.sqrt(3.0)
    width = 1.0 - ratio / math.sqrt(2.0) + 0.125 / 3.0
    expected = 0.5 * (1.0 + math.erf(ratio * math.sqrt(2.0) / math.sqrt(width) / math.sqrt(2.0)))
    assert risk.probabilistic_sharpe([0.0, 0.0, 3.0]) == pytest.approx(expected, rel=1e-12)


def test_beta_alpha_and_their_ratios_by_hand() -> None:
    benchmark = [0.01, -0.01, 0.015]
    twice = [2.0 * value + 0.001 for value in benchmark]
    assert benchmarking.beta(twice, benchmark) == pytest.approx(2.0)
    assert benchmarking.alpha(twice, benchmark, 252) == pytest.approx(0.252)
    assert benchmarking.correlation(twice, benchmark) == pytest.approx(1.0)
    assert benchmarking.treynor([0.02, -0.02, 0.03], benchmark, 252) == pytest.approx(1.26)
    assert benchmarking.information_ratio([0.01, 0.03], [0.0, 0.0], 4) == pytest.approx(2.8284271247461903)


@pytest.mark.parametrize("function", [benchmarking.alpha, benchmarking.information_ratio, benchmarking.treynor])
def test_nothing_is_said_against_a_benchmark_that_stands_still(function: object) -> None:
    assert callable(function)
    assert function([0.0, 0.0], [0.0, 0.0], 252) is None


def test_recovery_factor_needs_a_drawdown() -> None:
    assert stats.recovery_factor(0.3, -0.1) == pytest.approx(3.0)
    assert stats.recovery_factor(0.3, 0.0) is None
