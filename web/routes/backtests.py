"""This module holds the routes that ask for backtests, end them, and tell how far they are."""

import json
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request

from web.access import Administrator, Anyone, Canceller, Principal, Submitter
from web.answers import Json
from web.freshness import Fresh
from web.lookup import find
from web.models.backtests import (
    CancelAccepted,
    DeleteAccepted,
    RunAccepted,
    RunRequest,
    SpecRequest,
    TaskStatus,
    Validation,
)
from web.models.common import BacktestIdPath
from web.problems import ProblemError
from web.services import Services, Wired
from web.status import task_status
from web.submission import submit
from web.validation import validate

router = APIRouter(prefix="/api/backtests", tags=["backtests"])

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        description="a repeat with the same key and body gets the first answer and runs nothing twice",
        examples=["5b1f0c5e-3f0a-4a52-8c55-6d2f4d1c2f11"],
    ),
]


@router.post("/run-async", status_code=202, response_model=RunAccepted, summary="Run a backtest")
async def run_async(
    request: Request, body: RunRequest, principal: Submitter, services: Wired, idempotency_key: IdempotencyKey = None
) -> Json:
    """Publish a SubmitBacktest command and answer when Kafka has acknowledged it. A worker decides about it a moment later."""
    document = json.loads(await request.body())  # as it was sent: the digest that tells repeats apart is of that
    accepted = await submit(services, principal, document, idempotency_key)
    return Json(accepted, 202, {"Location": accepted["status_url"]})


@router.post("/validate", response_model=Validation, summary="Check a spec")
async def check(body: SpecRequest, principal: Anyone, services: Wired) -> Json:
    """Say whether a spec follows its schema and its strategy's, and what it is with every default. Nothing is run."""
    return Json(await validate(services, principal, body.spec))


@router.get("/status/{task_id}", response_model=TaskStatus, summary="How far a backtest is", dependencies=[Fresh])
async def status(task_id: BacktestIdPath, principal: Anyone, services: Wired) -> Json:
    """Tell the state of a backtest, its progress, its place in the queue, and its result's numbers once it is done."""
    return Json(await task_status(services, await find(services, principal, task_id)))


@router.delete("/tasks/{task_id}", status_code=202, response_model=CancelAccepted, summary="Cancel a backtest")
async def cancel(task_id: BacktestIdPath, principal: Canceller, services: Wired, reason: str = "") -> Json:
    """Publish a CancelBacktest command. 409 when the backtest is already over."""
    found = await find(services, principal, task_id)
    if found.is_over:
        raise ProblemError(409, "already_finished", f"backtest {task_id} is already over: {found.in_words}")
    command = {"type": "CancelBacktest", "backtest_id": task_id, "reason": reason[:1_000]}
    sent = await _publish(services, principal, command, "cancel")
    answer = {
        "task_id": task_id, "backtest_id": task_id, "command_id": sent, "status_url": f"/api/backtests/status/{task_id}",
    }  # fmt: skip
    return Json(answer, 202)


@router.delete("/{backtest_id}", status_code=202, response_model=DeleteAccepted, summary="Delete a backtest")
async def delete(backtest_id: BacktestIdPath, principal: Administrator, services: Wired, reason: str = "") -> Json:
    """Publish a DeleteBacktest command: rows and snapshot go, the log keeps what it recorded. 409 while it runs."""
    found = await find(services, principal, backtest_id)
    if not found.is_over:
        raise ProblemError(409, "not_finished", f"backtest {backtest_id} is {found.in_words}: cancel it first")
    command = {"type": "DeleteBacktest", "backtest_id": backtest_id, "reason": reason[:1_000]}
    return Json({"backtest_id": backtest_id, "command_id": await _publish(services, principal, command, "delete")}, 202)


async def _publish(services: Services, principal: Principal, command: dict[str, Any], what: str) -> str:
    sent = await services.commands.send(command)
    services.record(principal, what, backtest_id=sent.backtest_id, command_id=sent.command_id)
    return sent.command_id
