"""This module decides who asks and what that one may do.

Scopes: ``submit`` sends backtests, ``cancel`` cancels those that one sees, ``read`` sees everybody's and the system's state,
``admin`` may do everything. Whatever its scopes, a key sees the backtests that were submitted under its name.
"""

import hashlib
import hmac
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Depends, Request
from fastapi.dependencies.models import Dependant
from fastapi.security import APIKeyCookie, HTTPBearer
from fastapi.security.http import HTTPAuthorizationCredentials

from web.problems import ProblemError, invalid_field
from web.services import Services, Wired

Scope = Literal["read", "submit", "cancel", "admin"]
SCOPES: tuple[Scope, ...] = ("read", "submit", "cancel", "admin")

COOKIE = "backtape_session"
CSRF_HEADER = "X-CSRF-Token"
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")

_BEARER = HTTPBearer(auto_error=False, scheme_name="key", description="an API key, made by `backtape keys create`")
_SESSION = APIKeyCookie(name=COOKIE, auto_error=False, scheme_name="session", description="a browser's session, by a login link")


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks."""

    key_id: str
    name: str
    scopes: frozenset[str]
    expires_at: datetime | None = None
    session: str | None = field(default=None, repr=False)  # the session's secret, where a browser asks

    def may(self, scope: Scope) -> bool:
        return scope in self.scopes or "admin" in self.scopes

    @property
    def sees_all(self) -> bool:
        return self.may("read")

    @property
    def only_of(self) -> str | None:
        """Whose backtests are seen; None: everybody's."""
        return None if self.sees_all else self.name

    @property
    def csrf_token(self) -> str | None:
        return None if self.session is None else csrf_token(self.session)


def csrf_token(session: str) -> str:
    """Return what a page of ours, and no other site, can know of a session: a digest of its secret."""
    return hashlib.sha256(f"backtape csrf {session}".encode()).hexdigest()


class Needs:
    """A dependency: whoever asks is known, and has the scope (None: any key will do)."""

    def __init__(self, scope: Scope | None) -> None:
        self.scope = scope

    async def __call__(
        self,
        request: Request,
        services: Wired,
        bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)],
        cookie: Annotated[str | None, Depends(_SESSION)],
    ) -> Principal:
        principal = await _known(request, services, bearer, cookie)
        _check_query(request)
        services.limits.take(principal.key_id)
        if principal.session is not None and request.method not in SAFE_METHODS:
            _check_origin(request, principal)
        if self.scope is not None and not principal.may(self.scope):
            has = ", ".join(sorted(principal.scopes)) or "none"
            raise ProblemError(403, "forbidden", f"this needs the scope {self.scope}; the key {principal.name!r} has {has}")
        request.state.principal = principal
        return principal


def _fields_of(dependant: Dependant) -> list[str]:
    """Return the fields of the query that a route and what it depends on know."""
    own = [field.alias for field in dependant.query_params]
    return own + [name for part in dependant.dependencies for name in _fields_of(part)]


def _check_query(request: Request) -> None:
    """Refuse a query's field that the route does not have: a filter that is misspelled would look as if it had been applied."""
    if not request.query_params:
        return
    known = _fields_of(request.scope["route"].dependant)
    for name, value in request.query_params.items():
        if name not in known:
            raise invalid_field(
                f"query.{name}", value, f"one of {', '.join(known)}" if known else "there is nothing to ask for here"
            )


async def _known(
    request: Request, services: Services, bearer: HTTPAuthorizationCredentials | None, cookie: str | None
) -> Principal:
    found: Any = None
    if bearer is not None:
        found = await services.keys.key(bearer.credentials)
    elif cookie is not None:
        found = await services.keys.session(cookie)
    if found is not None:
        return Principal(
            key_id=found.key_id, name=found.name, scopes=frozenset(found.scopes), expires_at=found.expires_at,
            session=cookie if bearer is None else None,
        )  # fmt: skip
    services.limits.take_unknown(request.client.host if request.client else "")
    tried = "this key, or session, is not known, has ended, or was revoked"
    detail = tried if bearer is not None or cookie is not None else "a key (Authorization: Bearer ...) or a session is needed"
    raise ProblemError(401, "unauthorized", detail, headers={"WWW-Authenticate": 'Bearer realm="backtape"'})


def _check_origin(request: Request, principal: Principal) -> None:
    """Refuse a write that another site let the browser send. The cookie is SameSite=Strict; this is the second lock."""
    given = request.headers.get(CSRF_HEADER, "")
    assert principal.csrf_token is not None, "a session has one"
    if not hmac.compare_digest(given.encode(), principal.csrf_token.encode()):
        raise ProblemError(403, "csrf", f"a write by a session needs the header {CSRF_HEADER} as GET /api/me gives it")


Anyone = Annotated[Principal, Depends(Needs(None))]
Reader = Annotated[Principal, Depends(Needs("read"))]
Submitter = Annotated[Principal, Depends(Needs("submit"))]
Canceller = Annotated[Principal, Depends(Needs("cancel"))]
Administrator = Annotated[Principal, Depends(Needs("admin"))]
