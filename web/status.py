"""This module tells how far a backtest is."""

from typing import Any

from projections import run_queries
from web.lookup import Found
from web.services import Services

RESULT = (
    "initial_cash", "final_equity", "total_return", "cagr", "sharpe", "sortino", "max_drawdown", "win_rate", "profit_factor",
    "trades", "fills", "currency",
)  # fmt: skip
PARTS = ("orders", "fills", "positions", "trades", "equity", "events", "report", "snapshot", "stream", "audit", "replay")


async def task_status(services: Services, found: Found) -> dict[str, Any]:
    """Return the answer ``TaskStatus``."""
    row, receipt, submission = found.row or {}, found.receipt, found.submission or {}
    return {
        "task_id": found.backtest_id,
        "backtest_id": found.backtest_id,
        "status": found.state,
        "is_finished": found.is_over,
        "progress": progress(row),
        "bars_done": row.get("bars_done", 0),
        "bars": row.get("bars"),
        "queue_position": await queue_position(services, row),
        "equity": row.get("equity"),
        "submitted_at": row.get("issued_at") or submission.get("issued_at"),
        "accepted_at": row.get("accepted_at"),
        "started_at": row.get("started_at"),
        "finished_at": row.get("finished_at"),
        "last_sequence": row.get("last_sequence", 0),
        "failure_reason": row.get("failure_reason"),
        "failure_detail": row.get("failure_detail"),
        "cancel_reason": row.get("cancel_reason"),
        "receipt": None if receipt is None else {name: receipt[name] for name in RECEIPT},
        "result": {name: row[name] for name in RESULT} if row.get("status") == "completed" else None,
        "links": links(found.backtest_id),
    }


RECEIPT = ("command_id", "command_type", "outcome", "reason", "detail", "recorded_at")


def progress(row: dict[str, Any]) -> float | None:
    """Return bars done / bars; None before the start."""
    if not row.get("bars"):
        return None
    return float(min(1.0, row["bars_done"] / row["bars"]))


async def queue_position(services: Services, row: dict[str, Any]) -> int | None:
    """Return a queued backtest's place among those of its partition."""
    if row.get("status") != "queued":
        return None
    query = run_queries.queue_position(partition=row["partition"], priority=row["priority"], first_offset=row["first_offset"])
    (answer,) = await services.ask(query)
    return int(answer["position"])


def links(backtest_id: str) -> dict[str, str]:
    """Return where more about a backtest is."""
    base = f"/api/backtests/{backtest_id}"
    return {
        "self": base,
        "status": f"/api/backtests/status/{backtest_id}",
        "cancel": f"/api/backtests/tasks/{backtest_id}",
        **{part: f"{base}/{part}" for part in PARTS},
    }
