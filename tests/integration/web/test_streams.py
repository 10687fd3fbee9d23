"""Event streams: what a browser is told while a backtest runs, and that nothing is lost when it comes back."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.web_service import ENDLESS, SECONDS, SPEC, Service

pytestmark = pytest.mark.real

Told = tuple[str, str | None, Any]


def events_of(response: httpx.Response) -> Iterator[Told]:
    """Yield name, id and data of each event."""
    name, identity, data = "", None, ""
    ends = time.monotonic() + SECONDS
    for line in response.iter_lines():
        assert time.monotonic() < ends, "it took too long"
        field, _, value = line.partition(": ")
        if field == "event":
            name = value
        elif field == "id":
            identity = value
        elif field == "data":
            data = value
        elif not line and name:
            yield name, identity, json.loads(data)
            name, identity, data = "", None, ""


def follow(service: Service, path: str, *, key: str = "admin", **options: Any) -> list[Told]:
    """Return everything that a stream tells up to its end."""
    with service.client(key) as client, client.stream("GET", path, **options) as response:
        assert response.status_code == 200, response.read()
        assert response.headers["content-type"].startswith("text/event-stream")
        return list(events_of(response))


def sequences(told: list[Told]) -> list[int]:
    return [fill["sequence"] for name, _, data in told if name == "fills" for fill in data["items"]]


def test_a_run_is_followed_from_its_first_event_to_its_end(service: Service, finished: str) -> None:
    """All fills and marks once, positions in their last state, then the end."""
    told = follow(service, f"/api/backtests/{finished}/stream", params={"after": 0})
    with service.client() as client:
        fills = client.get(f"/api/backtests/{finished}/fills", params={"limit": 5_000}).json()["items"]
        marks = client.get(f"/api/backtests/{finished}/equity", params={"limit": 5_000}).json()["items"]
    assert sequences(told) == [fill["sequence"] for fill in fills]
    columns = [data for name, _, data in told if name == "equity"]
    assert [value for each in columns for value in each["equity"]] == [mark["equity"] for mark in marks]
    assert columns[0]["first_mark"] == 1 and told[0][0] == "state" and told[-1][0] == "end"


def test_a_stream_goes_on_after_the_last_event_id(service: Service, finished: str) -> None:
    """Cut anywhere, by header or query: what follows is exactly what was missing."""
    with service.client() as client:
        fills = client.get(f"/api/backtests/{finished}/fills", params={"limit": 5_000}).json()["items"]
    cut = fills[len(fills) // 2]["sequence"]
    told = follow(service, f"/api/backtests/{finished}/stream", headers={"Last-Event-ID": str(cut)})
    assert sequences(told) == [fill["sequence"] for fill in fills if fill["sequence"] > cut]
    whole = follow(service, f"/api/backtests/{finished}/stream", params={"after": 0})
    last = [identity for _, identity, _ in whole if identity][-1]
    again = follow(service, f"/api/backtests/{finished}/stream", headers={"Last-Event-ID": last})
    assert not [name for name, _, _ in again if name in ("fills", "equity")]
    with service.client() as client:
        path = f"/api/backtests/{finished}/stream"
        assert client.get(path, headers={"Last-Event-ID": "somewhere"}).status_code == 422


def test_a_running_backtest_is_told_live_and_its_cut_stream_misses_nothing(service: Service) -> None:
    """Followed while it runs, cut off, taken up again, cancelled: the fills are those of the read model, each once."""
    backtest_id = service.submit(ENDLESS)
    service.wait(backtest_id, "running")
    path = f"/api/backtests/{backtest_id}/stream"
    first: list[Told] = []
    with service.client() as client, client.stream("GET", path, params={"after": 0}) as response:
        for event in events_of(response):
            first.append(event)
            if len(sequences(first)) > 10 and event[1]:
                break
    last = next(identity for _, identity, _ in reversed(first) if identity)
    with service.client() as client:
        assert client.delete(f"/api/backtests/tasks/{backtest_id}").status_code == 202
    rest = follow(service, path, headers={"Last-Event-ID": last})
    assert rest[-1][0] == "end"
    told = sequences(first) + sequences(rest)
    with service.client() as client:
        rows: list[dict[str, Any]] = []
        after = None
        while True:
            options = {"limit": 5_000} | ({"after": after} if after else {})
            page = client.get(f"/api/backtests/{backtest_id}/fills", params=options).json()
            rows, after = rows + page["items"], page["next_cursor"]
            if after is None:
                break
    assert told == [row["sequence"] for row in rows]


def test_one_stream_tells_of_many(service: Service, finished: str) -> None:
    """Rows of the list that change, and closely those that are followed; of others only what one sees."""
    seen: list[Told] = []
    with service.client("ann") as client, client.stream("GET", "/api/stream", params={"ids": f"{finished}@0"}) as response:
        events = events_of(response)
        for event in events:  # the followed one's past comes first
            seen.append(event)
            if event[0] == "end":
                break
        service.submit(SPEC, key="bob", backtest_id="of-bob")
        mine = service.submit(SPEC, key="ann", backtest_id="of-ann")
        for event in events:
            seen.append(event)
            rows = [row for name, _, data in seen if name == "rows" for row in data["items"]]
            if any(row["backtest_id"] == mine and row["status"] == "completed" for row in rows):
                break
    assert {row["submitter"] for row in rows} == {"ann"}
    assert sequences(seen) and all(data.get("backtest_id") == finished for name, _, data in seen if name == "fills")
    assert next(identity for _, identity, _ in reversed(seen) if identity).startswith(f"{finished}@")
    assert "lag" in [name for name, _, _ in seen]
