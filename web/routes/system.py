"""This module holds the routes about the system itself: lag, commands, dead letters, quarantine."""

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query

from projections import queries
from web import dead_letters, system
from web.access import Administrator, Reader
from web.answers import Json
from web.models.system import (
    CommandPage,
    DeadLetterPage,
    DeadLetterText,
    QuarantinePage,
    Retried,
    RetryRequest,
    SystemAnswer,
)
from web.services import Wired

router = APIRouter(prefix="/api/system", tags=["system"])

Outcome = Literal["accepted", "duplicate", "rejected", "expired", "queue_full", "forwarded", "dead"]
PartitionPath = Annotated[int, Path(ge=0, le=10_000, examples=[0])]
OffsetPath = Annotated[int, Path(ge=0, le=2**62, examples=[3])]
Limit = Annotated[int, Query(ge=1, le=1_000)]


@router.get("", response_model=SystemAnswer, summary="How the system does")
async def overview(_: Reader, services: Wired) -> Json:
    """Lag of every consumer, counts, throughput."""
    return Json(await system.overview(services))


@router.get("/commands", response_model=CommandPage, summary="What came in")
async def commands(_: Reader, services: Wired, outcome: Outcome | None = None, limit: Limit = 100) -> Json:
    """Commands and what became of them, the newest first."""
    return Json({"items": await services.ask(queries.commands(outcome=outcome, limit=limit))})


@router.get("/quarantine", response_model=QuarantinePage, summary="What could not be projected")
async def quarantine(_: Reader, services: Wired) -> Json:
    """Records that the projector set aside, and why. The rows of their backtests stand still."""
    return Json({"items": await services.ask(queries.quarantine())})


@router.get("/dead-letters", response_model=DeadLetterPage, summary="What could not be read")
async def list_dead_letters(_: Administrator, services: Wired, limit: Limit = 100) -> Json:
    """Messages that could not be read as commands, the newest first."""
    return Json({"items": await dead_letters.newest(services, limit)})


@router.get("/dead-letters/{partition}/{offset}", response_model=DeadLetterText, summary="One dead letter")
async def dead_letter(partition: PartitionPath, offset: OffsetPath, _: Administrator, services: Wired) -> Json:
    """All that was kept of it."""
    return Json(dead_letters.document(await dead_letters.read(services, partition, offset)))


@router.post("/dead-letters/{partition}/{offset}/retry", status_code=202, response_model=Retried, summary="Send it again")
async def retry(
    partition: PartitionPath, offset: OffsetPath, principal: Administrator, services: Wired, body: RetryRequest | None = None
) -> Json:
    """Publish the kept bytes as a command again, or a corrected text. 409 when not all of its bytes were kept."""
    letter = await dead_letters.read(services, partition, offset)
    sent = await dead_letters.publish_again(services, letter, None if body is None else body.text)
    services.record(principal, "retry_dead_letter", letter_partition=partition, letter_offset=offset, offset=sent[1])
    return Json({"partition": sent[0], "offset": sent[1]}, 202)
