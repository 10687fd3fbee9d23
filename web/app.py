"""This module makes the web application: routes, errors, limits, the dashboard's files, and its OpenAPI document."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import APIRouter, FastAPI

from web import openapi, problems
from web.config import WebConfig
from web.middleware import Guard
from web.page import mount_page
from web.routes import backtests, catalogue, charts, health, live, proofs, results, session, system, tables, uploads
from web.services import Services, make_services

# The order matters where paths overlap: /api/backtests/status/{task_id} before /api/backtests/{backtest_id}/...
ROUTERS: tuple[APIRouter, ...] = (
    backtests.router, results.router, tables.router, charts.router, live.router, proofs.router, catalogue.router,
    uploads.router, system.router, session.router, health.router,
)  # fmt: skip

DESCRIPTION = """Submit, watch, understand and compare backtests.

Whatever is asked for becomes a command on Kafka; whatever is shown is the read model's, which follows from the log.
Authority: `Authorization: Bearer KEY`, or a browser's session. Errors are problem documents (RFC 9457)."""


def create_app(config: WebConfig, make: Callable[[WebConfig], Services] = make_services) -> FastAPI:
    """Return the application. Servers are reached when it runs, not before."""

    services = make(config)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        services.start()
        try:
            yield
        finally:
            await services.close()

    app = FastAPI(
        title="Backtape",
        version=version("backtape"),
        description=DESCRIPTION,
        lifespan=lifespan,
        # The pages that FastAPI has for it load scripts from elsewhere; the document itself is served.
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        separate_input_output_schemas=True,
    )
    app.state.services = services
    problems.install(app)
    for router in ROUTERS:
        app.router.routes.extend(router.routes)  # flat, so that the document and the tests see every one
    mount_page(app)
    app.add_middleware(Guard, config=config, metrics=services.metrics)
    openapi.install(app)
    return app
