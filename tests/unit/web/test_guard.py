"""What wraps every request: time until its answer begins, limits of its body, headers; and what is told without servers."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from backtape.web_process import web_config
from consumers.settings import Settings
from web import problems
from web.app import create_app
from web.config import MAX_BODY_BYTES
from web.metrics import Metrics
from web.middleware import HEADERS, Guard

CONFIG = dataclasses.replace(web_config(Settings()), request_seconds=0.05)


def guarded() -> FastAPI:
    """Return an app with a route that never answers, one that streams for longer than that, and one that takes a body."""
    app = FastAPI()
    problems.install(app)

    @app.get("/never")
    async def never() -> Response:
        await asyncio.Event().wait()
        raise AssertionError("nobody sets it")

    @app.get("/stream")
    async def stream() -> Response:
        async def pieces() -> AsyncIterator[bytes]:
            is_over = asyncio.Event()
            asyncio.get_running_loop().call_later(4 * CONFIG.request_seconds, is_over.set)  # long after the limit
            yield b"first,"
            await is_over.wait()
            yield b"last"

        return StreamingResponse(pieces())

    @app.post("/body")
    async def body(request: Request) -> Response:
        return PlainTextResponse(str(len(await request.body())))

    app.add_middleware(Guard, config=CONFIG, metrics=Metrics())
    return app


def ask(app: Any, method: str, path: str, **options: Any) -> httpx.Response:
    async def run() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            return await client.request(method, path, **options)

    return asyncio.run(run())


def test_an_answer_must_begin_in_time_and_may_then_last() -> None:
    """504 as a problem document for what does not begin; a stream that has begun is not cut."""
    late = ask(guarded(), "GET", "/never")
    assert late.status_code == 504 and late.headers["content-type"] == "application/problem+json"
    assert late.json()["type"].endswith("timeout")
    assert ask(guarded(), "GET", "/stream").text == "first,last"


@pytest.mark.parametrize("is_told", [True, False], ids=["announced", "in pieces"])
def test_a_body_is_limited_to_the_byte(is_told: bool) -> None:
    """The largest passes; one more byte is 413, by its announced length or by what comes."""

    async def pieces(size: int) -> AsyncIterator[bytes]:
        for at in range(0, size, 65_536):
            yield b"x" * min(65_536, size - at)

    for size, status in ((MAX_BODY_BYTES, 200), (MAX_BODY_BYTES + 1, 413)):
        answer = ask(guarded(), "POST", "/body", content=b"x" * size if is_told else pieces(size))
        assert answer.status_code == status, size


def test_every_answer_has_the_headers() -> None:
    """Also the ones that the guard itself gives."""
    for path in ("/stream", "/never", "/nowhere"):
        headers = ask(guarded(), "GET", path).headers
        assert {name: headers[name] for name in HEADERS} == HEADERS, path


def test_without_servers_it_says_what_is_missing() -> None:
    """Alive, not ready, with what does not answer; a request that needs them is 503 with Retry-After."""
    nowhere = "postgresql://nobody@127.0.0.1:1/none"
    kafka = dataclasses.replace(CONFIG.kafka, bootstrap="127.0.0.1:1")
    app = create_app(dataclasses.replace(CONFIG, database_url=nowhere, kafka=kafka, request_seconds=30.0))
    assert ask(app, "GET", "/healthz").json() == {"status": "ok"}
    ready = ask(app, "GET", "/readyz")
    assert ready.status_code == 503 and ready.json()["status"] == "not_ready"
    assert "postgres does not answer" in ready.json()["checks"]["database"] and ready.json()["lag_seconds"] is None
    refused = ask(app, "GET", "/api/backtests", headers={"Authorization": "Bearer btk_abc_def"})
    assert refused.status_code == 503 and refused.json()["type"].endswith("unavailable") and refused.headers["retry-after"] == "2"
