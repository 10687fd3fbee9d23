"""This module finds a backtest for whoever asks: in the read model, among rejected commands, or among what was just submitted.

Who may not see a backtest is told the same as of one that does not exist.
"""

from dataclasses import dataclass
from typing import Any

from projections import run_queries
from schemas.run_state import RunStatus
from web.access import Principal
from web.problems import ProblemError, not_found
from web.services import Services

# Receipts and events lie on two topics: that a command was accepted may be known before the backtest is.
REFUSALS = ("rejected", "expired", "queue_full", "dead")


@dataclass(frozen=True, slots=True)
class Found:
    """What is known of a backtest.

    row : of the view backtests, None while it was not accepted, or never will be
    receipt : what became of the newest command about it
    submission : what this service sent; None where the command came another way
    """

    backtest_id: str
    row: dict[str, Any] | None
    receipt: dict[str, Any] | None = None
    submission: dict[str, Any] | None = None

    @property
    def state(self) -> str:
        if self.row is not None:
            return str(self.row["status"])
        return "rejected" if self.receipt is not None and self.receipt["outcome"] in REFUSALS else "submitted"

    @property
    def is_over(self) -> bool:
        return self.state == "rejected" or (self.row is not None and RunStatus(self.row["status"]).is_finished)

    @property
    def in_words(self) -> str:
        return self.state


async def find(services: Services, principal: Principal, backtest_id: str) -> Found:
    """Return what is known of a backtest. Raises ProblemError 404 when there is none that the principal sees."""
    rows = await services.ask(run_queries.status(backtest_id))
    receipts = await services.ask(run_queries.newest_receipt(backtest_id))
    receipt = receipts[0] if receipts else None
    if rows:
        _check_seen(principal, rows[0]["submitter"], backtest_id)
        return Found(backtest_id, rows[0], receipt)
    submission = await services.submissions.newest(backtest_id)
    if submission is not None and receipt is not None and _is_newer(submission, receipt):
        receipt = None
    if (submission is None and receipt is None) or (receipt is not None and _is_deletion(receipt)):
        raise _unknown(backtest_id)
    _check_seen(principal, submission["submitter"] if submission else receipt["submitter"] if receipt else None, backtest_id)
    return Found(backtest_id, None, receipt, submission)


async def seen_row(services: Services, principal: Principal, backtest_id: str) -> dict[str, Any]:
    """Return who submitted a backtest of the read model, and how far it is. Raises 404 where it is not seen."""
    rows = await services.ask(run_queries.owner(backtest_id))
    if not rows:
        raise _unknown(backtest_id)
    _check_seen(principal, rows[0]["submitter"], backtest_id)
    return rows[0]


def _is_newer(submission: dict[str, Any], receipt: dict[str, Any]) -> bool:
    """Say whether the receipt speaks of an earlier command."""
    is_of_it = submission["command_id"] == receipt["command_id"]
    return not is_of_it and (receipt["issued_at"] is None or submission["issued_at"] > receipt["issued_at"])


def _is_deletion(receipt: dict[str, Any]) -> bool:
    return bool(receipt["command_type"] == "DeleteBacktest" and receipt["outcome"] == "accepted")


def _check_seen(principal: Principal, submitter: str | None, backtest_id: str) -> None:
    if not principal.sees_all and submitter != principal.name:
        raise _unknown(backtest_id)


def _unknown(backtest_id: str) -> ProblemError:
    return not_found(f"there is no backtest {backtest_id!r}")
