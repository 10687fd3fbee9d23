"""This module holds the routes of who asks: the login link, the session, its end."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import RedirectResponse, Response

from web.access import COOKIE, SCOPES, Anyone
from web.answers import Json
from web.models.access import Me
from web.problems import ProblemError
from web.services import Wired

router = APIRouter(tags=["access"])


@router.get("/login", status_code=303, response_class=RedirectResponse, summary="Log a browser in")
async def login(
    request: Request, services: Wired, token: Annotated[str, Query(min_length=1, max_length=200, description="of a login link")]
) -> Response:
    """Take a one-time login link, as `backtape keys login` prints it: the browser gets a session and is sent to the dashboard."""
    services.limits.take_unknown(request.client.host if request.client else "")
    session = await services.keys.begin_session(token)
    if session is None:
        raise ProblemError(401, "unauthorized", "this login link was used already, has ended, or never was: ask for a new one")
    answer = RedirectResponse("/", 303, {"Cache-Control": "no-store"})
    seconds = int((session.expires_at - datetime.now(UTC)).total_seconds())
    answer.set_cookie(
        COOKIE, session.secret, max_age=seconds, path="/", httponly=True, samesite="strict", secure=services.config.secure_cookies
    )
    services.log_write("login", name=session.name, key_id=session.key_id)
    return answer


@router.get("/api/me", response_model=Me, summary="Who asks")
async def me(principal: Anyone) -> Json:
    """The key, or the session's key, and what it may do. Writes by a session carry `csrf_token` in the header X-CSRF-Token."""
    return Json(
        {
            "name": principal.name,
            "key_id": principal.key_id,
            "scopes": [scope for scope in SCOPES if scope in principal.scopes],
            "sees_all": principal.sees_all,
            "is_session": principal.session is not None,
            "csrf_token": principal.csrf_token,
            "expires_at": principal.expires_at,
        }
    )


@router.post("/api/logout", status_code=204, response_class=Response, summary="End the session")
async def logout(principal: Anyone, services: Wired) -> Response:
    """End the browser's session. Nothing happens for a key."""
    answer = Response(status_code=204)
    if principal.session is not None:
        await services.keys.end_session(principal.session)
        answer.delete_cookie(COOKIE, path="/")
        services.record(principal, "logout")
    return answer
