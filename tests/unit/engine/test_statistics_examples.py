"""Every statistic's docstring says ddof, annualisation and source and has an example; the examples are run."""

import doctest
import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from engine import benchmarking, peer_statistics, rendering, risk, statistics, summary
from reports import monthly

MODULES = (statistics, risk, benchmarking, peer_statistics, summary, rendering, monthly)
# Their public functions are statistics, all of them. Elsewhere those are that compute some beside other work.
OF_STATISTICS = (statistics, risk, benchmarking, peer_statistics)
BESIDE = (
    summary._activity, summary._by_symbol, summary._drawdown, summary._growth, summary._months, summary._trades,
    rendering.return_fraction, monthly.monthly_returns,
)  # fmt: skip
ASSEMBLED = {"_statistics", "_benchmark"}  # these call the others; of their own they have the days of a run


def public_functions(module: ModuleType) -> list[Callable[..., Any]]:
    """Return the functions that the module defines and does not hide."""
    found = inspect.getmembers(module, inspect.isfunction)
    return [function for name, function in found if function.__module__ == module.__name__ and not name.startswith("_")]


STATISTICS = [function for module in OF_STATISTICS for function in public_functions(module)] + list(BESIDE)


def gaps(function: Callable[..., Any]) -> list[str]:
    """Return what the function's docstring leaves out."""
    text = inspect.getdoc(function) or ""
    said = [name for name in ("ddof", "Annualisation", "Source") if f"{name}: " not in text]
    examples = doctest.DocTestParser().get_examples(text)
    calls_it = any(f"{function.__name__}(" in example.source for example in examples)
    has_arithmetic = any("#" in example.source for example in examples)
    return said + ["example"] * (not calls_it) + ["arithmetic of the example, as a comment"] * (not has_arithmetic)


def name_of(function: Callable[..., Any]) -> str:
    return f"{function.__module__}.{function.__name__}"


@pytest.mark.parametrize("function", STATISTICS, ids=name_of)
def test_a_statistic_says_ddof_annualisation_source_and_has_an_example(function: Callable[..., Any]) -> None:
    """Write the missing parts as engine/statistics.py does; "none" is said too."""
    assert gaps(function) == []


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_the_examples_of_the_docstrings_hold(module: ModuleType) -> None:
    tests = [test for test in doctest.DocTestFinder(exclude_empty=True).find(module) if test.examples]
    assert tests, "a module without examples is not listed"
    report: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.REPORT_NDIFF)
    for test in tests:
        runner.run(test, out=report.append)
    assert runner.failures == 0, "".join(report)


def test_what_a_run_reports_comes_from_a_function_with_an_example() -> None:
    """A function of engine/summary.py that returns statistics is one of the above, or only calls them."""
    kinds = (summary.Statistics, summary.SymbolStatistics)
    found = inspect.getmembers(summary, inspect.isfunction)
    answers = {name for name, function in found if inspect.signature(function).return_annotation in kinds}
    assert answers
    assert answers <= {function.__name__ for function in BESIDE} | ASSEMBLED


def test_a_docstring_that_leaves_something_out_is_found() -> None:
    def bare(returns: list[float]) -> float:
        """Return their sum. ddof: none. Source: ours.

        >>> len([1, 2])
        2
        """
        return sum(returns)

    assert gaps(bare) == ["Annualisation", "example", "arithmetic of the example, as a comment"]
