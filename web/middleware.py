"""This module wraps every request: its body is limited, its answer must begin in time, has security headers, and is counted.

Plain ASGI: what streams passes through piece by piece.
"""

import asyncio
import time
from typing import Any

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from web.config import MAX_BODY_BYTES, WebConfig
from web.metrics import Metrics
from web.problems import ProblemError, problem_response

POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; "
    "worker-src 'self'; frame-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types backtape"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}


class Guard:
    """The one middleware."""

    def __init__(self, app: ASGIApp, *, config: WebConfig, metrics: Metrics) -> None:
        self._app = app
        self._config = config
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(send, is_upload=scope["path"].endswith("/uploads"))
        began = time.perf_counter()
        try:
            if exchange.is_too_long(scope):
                raise _too_large()
            async with asyncio.timeout(None if exchange.is_upload else self._config.request_seconds) as limit:
                exchange.limit = limit
                await self._app(scope, exchange.limited(receive), exchange.send)
        except (TimeoutError, ProblemError) as error:
            if exchange.status:
                raise
            exchange.limit = None  # it has ended with the block
            problem = error if isinstance(error, ProblemError) else _too_slow(self._config.request_seconds)
            await problem_response(problem, scope["path"])(scope, receive, exchange.send)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            self._metrics.requests.labels(scope["method"], route, str(exchange.status or 499)).inc()
            self._metrics.seconds.labels(scope["method"], route).observe((exchange.answered or time.perf_counter()) - began)


class _Exchange:
    """One request and its answer."""

    def __init__(self, send: Send, *, is_upload: bool) -> None:
        self.is_upload = is_upload
        self.status = 0
        self.answered = 0.0
        self.limit: asyncio.Timeout | None = None
        self._send = send
        self._received = 0

    def is_too_long(self, scope: Scope) -> bool:
        told = dict(scope["headers"]).get(b"content-length", b"")
        return not self.is_upload and told.isdigit() and int(told) > MAX_BODY_BYTES

    def limited(self, receive: Receive) -> Receive:
        """Return ``receive`` that raises when more comes than is allowed, whatever was announced."""

        async def read() -> Message:
            message = await receive()
            if message["type"] == "http.request" and not self.is_upload:
                self._received += len(message.get("body", b""))
                if self._received > MAX_BODY_BYTES:
                    # An error that FastAPI lets through while it reads a body; of any other it makes a 400.
                    raise HTTPException(413, _too_large().detail)
            return message

        return read

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.answered = time.perf_counter()
            if self.limit is not None:
                self.limit.reschedule(None)  # it has begun in time; a stream may last
            _add_headers(message)
        await self._send(message)


def _add_headers(message: Any) -> None:
    """Add what is missing: a report has a policy of its own."""
    headers = list(message.get("headers", []))
    present = {name.lower() for name, _ in headers}
    headers += [
        (name.lower().encode(), value.encode()) for name, value in HEADERS.items() if name.lower().encode() not in present
    ]
    message["headers"] = headers


def _too_large() -> ProblemError:
    return ProblemError(413, "too_large", f"the body of a request is at most {MAX_BODY_BYTES} bytes")


def _too_slow(seconds: float) -> ProblemError:
    return ProblemError(504, "timeout", f"there was no answer within {seconds:g} s")
