"""Tests of what a worker's simulation process makes of a market that does not fit its run."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from consumers.simulation.child import RunFailed, _commits
from engine.strategies.order_list import OrderList
from schemas.actions import ActionKind, CorporateAction
from schemas.events import FailureReason
from schemas.market_data import Market
from tests.unit.engine.factories import HEAD, MINUTE_NS, START_NS, flat, make_bars, make_market, make_spec

JOB = cast(Any, SimpleNamespace(backtest_id="test", accepted=HEAD))


def failure_of(market: Market) -> RunFailed:
    with pytest.raises(RunFailed) as caught:
        next(_commits(JOB, make_spec(market), market, OrderList))
    return caught.value


def test_a_missing_rate_fails_the_run_before_it_starts() -> None:
    """Not one commit is made; the detail names the pair."""
    failure = failure_of(make_market(make_bars(flat(1, 2)), currency="EUR"))
    assert failure.reason is FailureReason.MISSING_RATE
    assert "EUR/USD" in failure.detail


def test_a_successor_without_bars_fails_the_run_before_it_starts() -> None:
    """The reason is that of a symbol that the spec names and the data does not have."""
    action = CorporateAction(START_NS + MINUTE_NS, "X", ActionKind.SYMBOL_CHANGE, None, "Y")
    failure = failure_of(replace(make_market(make_bars(flat(1, 2))), actions=(action,)))
    assert failure.reason is FailureReason.UNKNOWN_SYMBOL


def test_terms_that_do_not_fit_fail_the_run() -> None:
    """A cash account holds no contract on margin: the field is named."""
    market = make_market(make_bars(flat(1, 2)), settlement="margin")
    spec = make_spec(market, account={"type": "cash"})
    with pytest.raises(Exception, match=r"account\.type: cash is not allowed for X"):
        list(_commits(JOB, spec, market, OrderList))
