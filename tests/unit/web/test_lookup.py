"""What is said of a backtest that the read model does not have yet, by what became of its command."""

from __future__ import annotations

import pytest

from schemas.receipts import Outcome
from web.lookup import Found

STATES = {
    "accepted": "submitted",  # its events are on another topic, and follow
    "duplicate": "submitted",
    "rejected": "rejected",
    "expired": "rejected",
    "queue_full": "rejected",
    "forwarded": "submitted",  # the owner's receipt follows
    "dead": "rejected",
}


@pytest.mark.parametrize("outcome", list(Outcome))
def test_only_a_refused_command_is_called_rejected(outcome: Outcome) -> None:
    """A receipt may be read before the events: that it was accepted does not end anything."""
    found = Found("one", None, {"outcome": outcome.value})
    assert found.state == STATES[outcome.value]
    assert found.is_over == (found.state == "rejected")


def test_what_nobody_has_answered_is_submitted() -> None:
    assert Found("one", None).state == "submitted"
