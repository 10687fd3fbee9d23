"""This module tells a backtest's returns by month: of a completed one exactly, of another one as far as its marks tell."""

from typing import Any

import numpy as np

from projections import queries
from reports.monthly import monthly_returns
from reports.view import Curve, Months, month_ends
from web.curves import marks_of
from web.services import Services


async def monthly_table(services: Services, backtest_id: str) -> dict[str, Any]:
    """Return the answer ``MonthlyTable``."""
    (row,) = await services.ask(queries.backtest(backtest_id))
    recorded = await services.ask(queries.monthly_returns(backtest_id))
    ends = recorded_ends(recorded) if recorded else await _ends_of_marks(services, backtest_id)
    table = monthly_returns(ends, row["initial_cash"])
    return {
        "years": list(table.years),
        "months": table.months.tolist(),
        "totals": table.totals.tolist(),
        "is_exact": bool(recorded),
    }


def recorded_ends(rows: list[dict[str, Any]]) -> Months:
    """Return the ends of months from rows of the view monthly_returns, ascending."""
    months = np.array([row["month"] for row in rows], dtype="datetime64[M]")
    return Months(months.astype(np.int64), np.array([row["equity"] for row in rows], dtype=np.float64))


async def _ends_of_marks(services: Services, backtest_id: str) -> Months:
    marks = await marks_of(services, backtest_id)
    columns = marks.columns
    return month_ends(Curve(marks.time_ns, columns["equity"], columns["exposure"], columns["drawdown"]))
