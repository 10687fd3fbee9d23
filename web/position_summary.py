"""This module puts the database's sums over a backtest's positions together."""

from typing import Any

from projections import run_queries
from web.models.rows import SideSummary
from web.services import Services

_EMPTY: dict[str, Any] = {
    "trades": 0, "wins": 0, "losses": 0, "expectancy": None, "average_win": None, "average_loss": None, "realized_pnl": 0.0,
    "gross_pnl": 0.0, "commission": 0.0, "profit_factor": None, "average_bars_held": None,
}  # fmt: skip


async def summary_of(services: Services, backtest_id: str) -> dict[str, Any]:
    """Return the answer ``PositionSummary``."""
    (totals,) = await services.ask(run_queries.position_totals(backtest_id))
    sides = {row["side"]: row for row in await services.ask(run_queries.trades_by_side(backtest_id))}
    return {
        **totals,
        "all": _side(sides.get(None)),
        "long": _side(sides.get("buy")),
        "short": _side(sides.get("sell")),
        "symbols": await services.ask(run_queries.positions_by_symbol(backtest_id)),
    }


def _side(row: dict[str, Any] | None) -> dict[str, Any]:
    known = row or _EMPTY
    rate = known["wins"] / known["trades"] if known["trades"] else None
    return {name: rate if name == "win_rate" else known[name] for name in SideSummary.model_fields}
