"""This module puts backtests side by side: growth from 1, statistics, and what their specs have different."""

from collections.abc import Iterator, Sequence
from typing import Any

from projections import run_queries
from web.access import Principal
from web.answers import statistics_of
from web.curves import marks_of
from web.problems import not_found
from web.services import Services

NS_PER_MS = 1_000_000


async def compare(services: Services, principal: Principal, ids: Sequence[str], points: int) -> dict[str, Any]:
    """Return the answer ``Comparison``. Raises ProblemError 404 for one that there is not, or is not seen."""
    chosen = list(dict.fromkeys(ids))
    rows = {row["backtest_id"]: row for row in await services.ask(run_queries.compared(chosen))}
    for name in chosen:
        if name not in rows or not (principal.sees_all or rows[name]["submitter"] == principal.name):
            raise not_found(f"there is no backtest {name!r}")
    statistics = await services.ask(run_queries.statistics_of(chosen))
    runs = [
        await _run(services, rows[name], statistics_of([each for each in statistics if each["backtest_id"] == name]), points)
        for name in chosen
    ]
    return {"runs": runs, "differences": list(differences([rows[name]["spec"] or {} for name in chosen]))}


async def _run(services: Services, row: dict[str, Any], statistics: dict[str, Any], points: int) -> dict[str, Any]:
    marks = await marks_of(services, row["backtest_id"])
    places = marks.places(points)
    equity, drawdown = marks.columns["equity"][places], marks.columns["drawdown"][places]
    first = row["initial_cash"] or (float(equity[0]) if len(equity) else 1.0)
    return {
        **{name: row[name] for name in ("backtest_id", "strategy", "symbols", "status")},
        "time_ms": (marks.time_ns[places] // NS_PER_MS).tolist(),
        "growth": (equity / first).tolist(),
        "drawdown": drawdown.tolist(),
        "statistics": statistics,
    }


def differences(specs: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield each field that is not the same in all specs, by its path, in order."""
    flat = [dict(_leaves(spec, "")) for spec in specs]
    for path in sorted({path for each in flat for path in each}):
        values = [each.get(path) for each in flat]
        if any(value != values[0] for value in values):
            yield {"path": path, "values": values}


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for name, each in value.items():
            yield from _leaves(each, f"{path}.{name}" if path else name)
    else:
        yield path, value
