"""This module submits a backtest: once for each Idempotency-Key, and acknowledged by Kafka before it is answered."""

import uuid
from typing import Any

from adapters.command_publisher import now
from projections import run_queries
from schemas.canonical import document_digest
from schemas.commands import parse_command
from web.access import Principal
from web.problems import ProblemError
from web.services import Services


async def submit(
    services: Services, principal: Principal, document: dict[str, Any], idempotency_key: str | None
) -> dict[str, Any]:
    """Publish the command and return the answer ``RunAccepted``.

    What is to be sent is written down first, with the key that names it: a repeat, also one that comes while the first is
    under way or after it was lost with this process, sends the same command again, which changes nothing.
    """
    command = {
        "type": "SubmitBacktest",
        "command_id": str(uuid.uuid4()),
        "backtest_id": document.get("backtest_id") or str(uuid.uuid4()),
        "issued_at": now(),
        "submitter": principal.name,
        "priority": document.get("priority", 0),
        "spec": document["spec"],
    }
    parse_command(command)
    await _check_id(services, principal, command["backtest_id"], is_given="backtest_id" in document)
    planned = await services.submissions.plan(
        key_id=principal.key_id,
        idempotency_key=idempotency_key,
        request_digest=document_digest(document),
        submitter=principal.name,
        backtest_id=command["backtest_id"],
        command_id=command["command_id"],
        issued_at=command["issued_at"],
    )
    if planned["request_digest"] != document_digest(document):
        raise ProblemError(422, "idempotency_key_reused", "this Idempotency-Key came with another body before")
    command |= {name: planned[name] for name in ("backtest_id", "command_id")}
    command["issued_at"] = planned["issued_at_text"]
    if planned["log_offset"] is None:
        sent = await services.commands.send(command)
        await services.submissions.acknowledge(sent.command_id, partition=sent.partition, offset=sent.offset)
        planned |= {"log_partition": sent.partition, "log_offset": sent.offset}
        services.record(principal, "submit", backtest_id=sent.backtest_id, command_id=sent.command_id)
    return {
        "task_id": command["backtest_id"],
        "backtest_id": command["backtest_id"],
        "command_id": command["command_id"],
        "status_url": f"/api/backtests/status/{command['backtest_id']}",
        "partition": planned["log_partition"],
        "offset": planned["log_offset"],
    }


async def _check_id(services: Services, principal: Principal, backtest_id: str, *, is_given: bool) -> None:
    """Refuse an id under which somebody else has a backtest. (The same one's own is for the worker to judge.)"""
    rows = await services.ask(run_queries.owner(backtest_id)) if is_given else []
    if rows and rows[0]["submitter"] != principal.name:
        raise ProblemError(409, "id_taken", f"there is a backtest {backtest_id!r} of another submitter")
