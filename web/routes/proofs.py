"""This module holds the routes that show where a result comes from: events, replay, audit, snapshot, report."""

from typing import Annotated

from fastapi import APIRouter, Header, Query
from starlette.responses import HTMLResponse, Response

from web import replay as replays
from web import snapshots
from web.access import Anyone, Submitter
from web.answers import Json
from web.events import EVENT_SCHEMA, check_types, event_batches, event_page
from web.formats import Format, chosen_format, streamed
from web.lookup import find, seen_row
from web.models.backtests import AuditAnswer
from web.models.common import BacktestIdPath
from web.models.proofs import ReplayAnswer, SnapshotAnswer
from web.models.rows import EventPage
from web.problems import ProblemError
from web.routes.tables import FILES, MAX_ROWS
from web.services import Wired

router = APIRouter(prefix="/api/backtests/{backtest_id}", tags=["proof"])


@router.get("/events", response_model=EventPage, responses=FILES, summary="Its events")
async def events(
    backtest_id: BacktestIdPath, principal: Anyone, services: Wired,
    kinds: Annotated[list[str], Query(alias="type", max_length=40, description="only of these types, such as OrderFilled")] = [],  # noqa: B006
    first: Annotated[int, Query(alias="from", ge=1, description="first sequence")] = 1,
    last: Annotated[int | None, Query(alias="to", ge=1, description="last sequence")] = None,
    after: Annotated[int, Query(ge=0, description="next_cursor of the page before: the sequence that it ended with")] = 0,
    limit: Annotated[int, Query(ge=1, le=MAX_ROWS)] = 500,
    form: Annotated[Format | None, Query(alias="format", description="as Accept would say; for links")] = None,
    accept: Annotated[str | None, Header(include_in_schema=False)] = None,
) -> Response:  # fmt: skip
    """The log itself, event by event."""
    row = await seen_row(services, principal, backtest_id)
    check_types(kinds)
    chosen = chosen_format(accept, form)
    start = max(first, after + 1)
    if chosen == "json":
        return Json(await event_page(services, row, kinds=set(kinds), first=start, last=last, limit=limit))
    batches = event_batches(services, backtest_id, kinds=set(kinds), first=start, last=last)
    return streamed(batches, EVENT_SCHEMA, chosen, f"{backtest_id}.events")


@router.get("/replay", response_model=ReplayAnswer, summary="As it stood after an event")
async def replay(
    backtest_id: BacktestIdPath, principal: Anyone, services: Wired,
    to: Annotated[str, Query(max_length=40, description="a sequence, or an RFC 3339 market time", examples=["1200"])],
) -> Json:  # fmt: skip
    """Working orders, positions and cash after one event, folded from the log up to there."""
    row = await seen_row(services, principal, backtest_id)
    return Json(await replays.replay(services, row, to))


@router.get("/audit", response_model=AuditAnswer, summary="Its last audit")
async def audit(backtest_id: BacktestIdPath, principal: Anyone, services: Wired) -> Json:
    """The last audit's state, verdict and findings."""
    await seen_row(services, principal, backtest_id)
    return Json(await services.audits.last(backtest_id) or services.audits.none(backtest_id))


@router.post("/audit", status_code=202, response_model=AuditAnswer, summary="Audit it")
async def start_audit(backtest_id: BacktestIdPath, principal: Submitter, services: Wired) -> Json:
    """Run the simulation again and compare log, SQL rows and Parquet files with it. One audit runs at a time; others wait."""
    found = await find(services, principal, backtest_id)
    if found.row is None or not found.is_over:
        raise ProblemError(409, "not_finished", f"backtest {backtest_id} is {found.state}: an audit needs its whole log")
    services.record(principal, "audit", backtest_id=backtest_id)
    return Json(await services.audits.request(backtest_id, requested_by=principal.name), 202)


@router.get("/snapshot", response_model=SnapshotAnswer, summary="Its Parquet files")
async def snapshot(backtest_id: BacktestIdPath, principal: Anyone, services: Wired) -> Json:
    """The manifest of its snapshot, with an address for each file. 404 until it has one."""
    await seen_row(services, principal, backtest_id)
    return Json(await snapshots.snapshot_of(services, backtest_id))


@router.get("/report", response_class=HTMLResponse, summary="Its report")
async def report(
    backtest_id: BacktestIdPath, principal: Anyone, services: Wired,
    download: Annotated[bool, Query(description="whether a browser keeps it as a file")] = False,
) -> Response:  # fmt: skip
    """One HTML page that needs nothing else."""
    row = await seen_row(services, principal, backtest_id)
    return await services.reports.response(backtest_id, row["last_sequence"], is_download=download)
