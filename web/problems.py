"""This module tells errors as problem documents (RFC 9457): one form for all of them, with the path of each wrong field."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import cast

import msgspec
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from adapters.errors import AdapterError, NotFoundError, RetryableError
from schemas.errors import FieldError, FieldProblem, NotJsonError, SchemaError, TooLargeError, shown

log = structlog.get_logger()

MEDIA_TYPE = "application/problem+json"
RETRY_SECONDS = 2  # when something outside did not answer just now


class ProblemError(Exception):
    """The answer is a problem document."""

    def __init__(
        self,
        status: int,
        kind: str,
        detail: str,
        *,
        errors: Sequence[FieldProblem] = (),
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.kind = kind
        self.detail = detail
        self.errors = list(errors)
        self.headers = headers or {}


def not_found(what: str) -> ProblemError:
    return ProblemError(404, "not_found", what)


def invalid(*errors: FieldProblem) -> ProblemError:
    """Return the problem of fields that are wrong."""
    return ProblemError(422, "invalid_field", "; ".join(str(error) for error in errors), errors=errors)


def invalid_field(path: str, value: object, allowed: str) -> ProblemError:
    return invalid(FieldProblem(path, shown(value), allowed))


def problem_response(problem: ProblemError, path: str) -> Response:
    """Return the problem as an answer."""
    return Response(
        msgspec.json.encode(
            {
                "type": f"urn:backtape:problem:{problem.kind}",
                "title": HTTPStatus(problem.status).phrase,
                "status": problem.status,
                "detail": problem.detail,
                "instance": path,
                "errors": [{"path": each.path, "value": each.value, "allowed": each.allowed} for each in problem.errors],
            }
        ),
        status_code=problem.status,
        media_type=MEDIA_TYPE,
        headers={"Cache-Control": "no-store", **problem.headers},
    )


def problem_of(error: Exception) -> ProblemError:
    """Return what an error is told as. What is not expected is a fault of ours: it is logged, and its text is not shown."""
    match error:
        case ProblemError():
            return error
        case FieldError():
            return invalid(*error.problems)
        case TooLargeError():
            return ProblemError(413, "too_large", str(error))
        case NotJsonError():
            return ProblemError(400, "not_json", str(error))
        case RequestValidationError():
            return _of_validation(error)
        case HTTPException():
            headers = dict(error.headers or {})
            phrase = HTTPStatus(error.status_code).phrase.lower().replace(" ", "_")
            kind = "too_large" if error.status_code == 413 else phrase
            return ProblemError(error.status_code, kind, str(error.detail), headers=headers)
        case NotFoundError():
            return not_found(str(error))
        case RetryableError():
            headers = {"Retry-After": str(RETRY_SECONDS)}
            return ProblemError(503, "unavailable", f"something this needs does not answer just now: {error}", headers=headers)
    return ProblemError(500, "internal", "the server made an error; its log says more")


def _of_validation(error: RequestValidationError) -> ProblemError:
    details = error.errors()
    if any(detail["type"] == "json_invalid" for detail in details):
        reason = details[0].get("ctx", {}).get("error", details[0]["msg"])
        return ProblemError(400, "not_json", f"the body is not JSON: {reason}")
    return invalid(*(_field(detail) for detail in details))


def _field(detail: dict[str, object]) -> FieldProblem:
    place = [str(part) for part in cast(tuple[object, ...], detail["loc"])]
    parts = place[1:] if place[0] == "body" else place
    path, kind = ".".join(parts) or "body", detail["type"]
    value = "nothing" if kind == "missing" else shown(detail.get("input"))
    if kind == "extra_forbidden":
        return FieldProblem(path, value, "there is no such field")
    if kind == "missing":
        return FieldProblem(path, value, "this field is required")
    return FieldProblem(path, value, str(detail["msg"]).removeprefix("Value error, "))


def install(app: FastAPI) -> None:
    """Let the app tell every error as a problem document."""

    async def handle(request: Request, error: Exception) -> Response:
        problem = problem_of(error)
        if problem.status == 503:  # the outside world: one line, since there may be very many of them at once
            log.warning("request_waits", method=request.method, path=request.url.path, error=str(error))
        elif problem.status >= 500:
            log.error("request_failed", method=request.method, path=request.url.path, error=repr(error), exc_info=error)
        return problem_response(problem, request.url.path)

    for kind in (ProblemError, SchemaError, AdapterError, HTTPException, RequestValidationError, Exception):
        app.add_exception_handler(kind, handle)
