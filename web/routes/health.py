"""This module holds the routes that machines ask: is it alive, can it work, how much does it do."""

from fastapi import APIRouter
from starlette.responses import PlainTextResponse, Response

from web.answers import Json
from web.models.system import Alive, Ready
from web.services import Wired

router = APIRouter(tags=["health"])


@router.get("/healthz", response_model=Alive, summary="Is it alive")
async def healthz() -> Json:
    """The process answers."""
    return Json({"status": "ok"})


@router.get("/readyz", response_model=Ready, responses={503: {"model": Ready, "description": "not ready"}}, summary="Can it work")
async def readyz(services: Wired) -> Json:
    """Whether database and Kafka answer, and how far the read model is behind the log."""
    document = await services.lag.readiness()
    return Json(document, 200 if document["status"] == "ready" else 503)


@router.get("/metrics", response_class=PlainTextResponse, summary="Figures for Prometheus")
async def metrics(services: Wired) -> Response:
    """Requests, streams, lag, in Prometheus' text format."""
    body, media_type = services.metrics.export()
    return Response(body, media_type=media_type)
