"""Who may do what: every route without authority, with too little, and with somebody else's."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from fastapi.routing import APIRoute

from adapters.control.keys import Keys
from backtape.web_process import web_config
from consumers.settings import Settings
from tests.integration.web.test_streams import events_of
from tests.web_service import SPEC, Service, until
from web.app import create_app
from web.openapi import api_routes, scope_of

pytestmark = pytest.mark.real

# Whoever comes may ask these. Any other route needs a key: a new one belongs here only by decision.
OPEN = {"healthz", "readyz", "metrics", "login"}
APP = create_app(web_config(Settings()))
ROUTES = [(route, method) for route in api_routes(APP) for method in sorted(route.methods or ())]
BODIES = {"run_async": {"spec": SPEC}, "check": {"spec": SPEC}}
QUERIES = {
    "compare": {"ids": "finished"},
    "replay": {"to": "1"},
    "upload": {"symbol": "A", "timeframe": "1d"},
    "login": {"token": "none"},
}
TOO_LITTLE = {"read": "ann", "submit": "reader", "cancel": "reader", "admin": "ann"}  # a key that lacks each scope


def call(client: httpx.Client, route: APIRoute, method: str) -> httpx.Response:
    """Ask a route for something that exists."""
    path = route.path_format.format(backtest_id="finished", task_id="finished", dataset="sim", partition=0, offset=0)
    return client.request(method, path, json=BODIES.get(route.name), params=QUERIES.get(route.name, {}))


def named(values: list[tuple[APIRoute, str]]) -> list[str]:
    return [route.name for route, _ in values]


def test_only_these_routes_are_open() -> None:
    """The routes are the app's own list: none can be forgotten here."""
    assert {route.name for route, _ in ROUTES if scope_of(route) is None} == OPEN
    assert len(ROUTES) > 35


GUARDED = [(route, method) for route, method in ROUTES if scope_of(route) is not None]
SCOPED = [(route, method) for route, method in GUARDED if (scope_of(route) or APP) and scope_of(route).scope]  # type: ignore[union-attr]
OF_ONE = [(route, method) for route, method in GUARDED if "{backtest_id}" in route.path or "{task_id}" in route.path]


@pytest.mark.parametrize(("route", "method"), GUARDED, ids=named(GUARDED))
def test_a_route_refuses_whoever_has_no_key(service: Service, route: APIRoute, method: str) -> None:
    """401 and a problem document, whatever else is wrong with the request."""
    with service.client(None) as client:
        answer = call(client, route, method)
    assert answer.status_code == 401 and answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_a_key_is_known_by_its_secret(service: Service) -> None:
    """One that never was, a good one's id with another secret, and a session that never was are refused."""
    for headers in (
        {"Authorization": "Bearer btk_abc_def"},
        {"Authorization": f"Bearer {service.keys['admin'][:-6]}zzzzzz"},
        {"Cookie": "backtape_session=abc"},
    ):
        assert httpx.get(f"{service.address}/api/me", headers=headers, timeout=60).status_code == 401


@pytest.mark.parametrize(("route", "method"), SCOPED, ids=named(SCOPED))
def test_a_route_refuses_a_key_without_its_scope(service: Service, finished: str, route: APIRoute, method: str) -> None:
    """403, naming the scope that is missing."""
    needs = scope_of(route)
    assert needs is not None and needs.scope is not None
    with service.client(TOO_LITTLE[needs.scope]) as client:
        answer = call(client, route, method)
    assert answer.status_code == 403 and needs.scope in answer.json()["detail"]


@pytest.mark.parametrize(("route", "method"), OF_ONE, ids=named(OF_ONE))
def test_another_submitters_backtest_is_not_there(service: Service, finished: str, route: APIRoute, method: str) -> None:
    """404, as of one that does not exist; 403 where the key lacks the scope anyway."""
    needs = scope_of(route)
    with service.client("bob") as client:
        answer = call(client, route, method)
    wanted = 403 if needs is not None and needs.scope == "admin" else 404
    assert answer.status_code == wanted and "ann" not in answer.text


def test_lists_hold_ones_own(service: Service, finished: str) -> None:
    """Bob does not find Ann's backtests in list, counts, comparison or stream; a reader does."""
    with service.client("bob") as bob, service.client("ann") as ann, service.client("reader") as reader:
        mine = service.submit(key="bob")
        service.wait(mine)
        assert {row["submitter"] for row in bob.get("/api/backtests").json()["items"]} == {"bob"}
        assert bob.get("/api/backtests", params={"submitter": "ann"}).json()["items"] == []
        assert bob.get("/api/compare", params={"ids": [mine, finished]}).status_code == 404
        with bob.stream("GET", "/api/stream", params={"ids": finished}) as told:
            assert next(events_of(told))[0] == "gone"
        seen = {row["submitter"] for row in reader.get("/api/backtests", params={"limit": 1000}).json()["items"]}
        assert {"ann", "bob"} <= seen
        assert ann.get(f"/api/backtests/{finished}").status_code == 200


def test_an_id_of_somebody_else_is_not_taken_over(service: Service, finished: str) -> None:
    with service.client("bob") as bob:
        answer = bob.post("/api/backtests/run-async", json={"spec": SPEC, "backtest_id": finished})
        assert answer.status_code == 409 and answer.json()["type"].endswith("id_taken")


def test_a_login_link_works_once_and_a_sessions_writes_need_the_token(service: Service) -> None:
    """The cookie is HttpOnly and SameSite=Strict; without X-CSRF-Token nothing is written; logout ends it."""
    link = service.with_keys(lambda keys: keys.create_login_link(service.key_ids["ann"]))
    with service.client(None) as browser:
        first = browser.get("/login", params={"token": link})
        assert first.status_code == 303 and first.headers["location"] == "/"
        cookie = first.headers["set-cookie"].lower()
        assert "httponly" in cookie and "samesite=strict" in cookie
        me = browser.get("/api/me").json()
        assert me["is_session"] and me["name"] == "ann"
        refused = browser.post("/api/backtests/run-async", json={"spec": SPEC})
        assert refused.status_code == 403 and refused.json()["type"].endswith("csrf")
        headers = {"X-CSRF-Token": me["csrf_token"]}
        assert browser.post("/api/backtests/run-async", json={"spec": SPEC}, headers=headers).status_code == 202
        assert httpx.get(f"{service.address}/login", params={"token": link}).status_code == 401
        assert browser.post("/api/logout", headers=headers).status_code == 204
        kept = {"backtape_session": cookie.partition("backtape_session=")[2].partition(";")[0]}
        assert httpx.get(f"{service.address}/api/me", cookies=kept).status_code == 401


def test_a_revoked_key_and_one_that_has_ended_are_refused(service: Service) -> None:
    """Within the seconds that an answer about a key is kept."""

    async def make(keys: Keys) -> tuple[str, str, str]:
        key, text = await keys.create_key("gone", ["read"], None)
        _, ended = await keys.create_key("ended", ["read"], datetime.now(UTC) - timedelta(seconds=1))
        return key.key_id, text, ended

    key_id, text, ended = service.with_keys(make)

    def ask(key: str) -> int:
        headers = {"Authorization": f"Bearer {key}"}
        return httpx.get(f"{service.address}/api/me", headers=headers, timeout=60).status_code

    assert ask(text) == 200 and ask(ended) == 401
    service.with_keys(lambda keys: keys.revoke_key(key_id))
    until(lambda: ask(text), lambda status: status == 401)


def test_other_sites_are_told_nothing(service: Service) -> None:
    """CORS is closed, and every answer carries the security headers."""
    with service.client() as client:
        answer = client.get("/api/me", headers={"Origin": "https://elsewhere.example"})
        assert not [name for name in answer.headers if name.startswith("access-control")]
        policy = answer.headers["content-security-policy"]
        assert "'unsafe" not in policy and "require-trusted-types-for 'script'" in policy and "default-src 'self'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff" and answer.headers["referrer-policy"] == "no-referrer"
        assert client.options("/api/backtests", headers={"Origin": "https://elsewhere.example"}).status_code == 405
        page = client.get("/")
        assert page.status_code == 200 and page.headers["content-security-policy"] == policy


def test_bodies_are_limited(service: Service) -> None:
    """By what is announced, and by what comes."""
    with service.client() as client:
        large = b'{"spec": "' + b"x" * (600 * 1024) + b'"}'
        headers = {"Content-Type": "application/json"}
        assert client.post("/api/backtests/run-async", content=large, headers=headers).status_code == 413
        pieces = (large[at : at + 65_536] for at in range(0, len(large), 65_536))
        with contextlib.suppress(httpx.WriteError):  # the answer came and the connection ended while it was still sending
            assert client.post("/api/backtests/run-async", content=pieces, headers=headers).status_code == 413
