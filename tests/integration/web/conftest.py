"""This module gives the tests of the HTTP API a backtest to look at."""

from __future__ import annotations

import pytest

from tests.web_service import Service, until


@pytest.fixture(scope="session")
def finished(service: Service) -> str:
    """A completed backtest of the submitter ann, with its snapshot."""
    backtest_id = service.submit(key="ann", backtest_id="finished")
    told = service.wait(backtest_id)
    assert told["status"] == "completed", (told["receipt"], told["failure_detail"])
    with service.client() as client:
        until(lambda: client.get(f"/api/backtests/{backtest_id}/snapshot").status_code, lambda code: code == 200)
    return backtest_id
