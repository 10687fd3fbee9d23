"""This module tells a backtest's returns by month: of a completed one exactly, of another one as far as its marks tell."""

from typing import Any

from projections import queries
from reports.monthly import monthly_returns
from reports.view import Curve
from web.curves import marks_of
from web.services import Services


async def monthly_table(services: Services, backtest_id: str) -> dict[str, Any]:
    """Return the answer ``MonthlyTable``: of a completed run as the engine recorded it, else from the marks there are."""
    (row,) = await services.ask(queries.backtest(backtest_id))
    recorded = await services.ask(queries.monthly_returns(backtest_id))
    if recorded:
        return {**calendar_of(recorded, row["initial_cash"]), "is_exact": True}
    marks = await marks_of(services, backtest_id)
    columns = marks.columns
    curve = Curve(marks.time_ns, columns["equity"], columns["exposure"], columns["drawdown"])
    table = monthly_returns(curve, row["initial_cash"])
    return {"years": list(table.years), "months": table.months.tolist(), "totals": table.totals.tolist(), "is_exact": False}


def calendar_of(rows: list[dict[str, Any]], initial_cash: float) -> dict[str, Any]:
    """Return months by years, from rows with ``month`` ("2012-03"), ``equity`` and ``return_fraction``, ascending."""
    first, last = (int(rows[place]["month"][:4]) for place in (0, -1))
    years = list(range(first, last + 1))
    months: list[list[float | None]] = [[None] * 12 for _ in years]
    ends: dict[int, float] = {}
    for row in rows:
        year, month = int(row["month"][:4]), int(row["month"][5:])
        months[year - first][month - 1] = row["return_fraction"]
        ends[year] = row["equity"]
    totals: list[float | None] = []
    before = initial_cash
    for year in years:
        totals.append(ends[year] / before - 1.0 if year in ends and before > 0 else None)
        before = ends.get(year, before)
    return {"years": years, "months": months, "totals": totals}
