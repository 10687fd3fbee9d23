"""The way of a backtest through the HTTP API: submitted, followed, read in every form, cancelled, audited."""

from __future__ import annotations

import io
import json
import threading
from functools import cache
from typing import Any

import httpx
import jsonschema
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from backtape.openapi_document import openapi_document
from tests.web_service import ENDLESS, SPEC, Service, until
from web import tables

pytestmark = pytest.mark.real

TABLES = ("orders", "fills", "positions", "trades", "equity")


@cache
def validator(model: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator({"$ref": f"#/components/schemas/{model}", "components": components()})


@cache
def components() -> Any:
    return openapi_document()["components"]


def check(document: Any, model: str) -> None:
    """The answer is what the OpenAPI document says."""
    validator(model).validate(document)


def test_a_submitted_backtest_is_acknowledged_followed_and_done(service: Service) -> None:
    """Every status on the way is one of the document's, and the last one has the result's numbers."""
    with service.client() as client:
        answer = client.post("/api/backtests/run-async", json={"spec": SPEC, "priority": 3})
        assert answer.status_code == 202 and answer.headers["location"] == answer.json()["status_url"]
        check(answer.json(), "RunAccepted")
        first = client.get(answer.json()["status_url"]).json()
        check(first, "TaskStatus")
        assert first["status"] in ("submitted", "queued", "running", "completed")
    told = service.wait(answer.json()["task_id"])
    check(told, "TaskStatus")
    assert told["status"] == "completed" and told["progress"] == 1.0 and told["receipt"]["outcome"] == "accepted"
    assert told["result"]["trades"] > 0


def test_a_reader_may_wait_for_its_own_command(service: Service) -> None:
    """With the offset that the submit was answered with, the first answer already knows the backtest; so does a cancel's."""
    with service.client() as client:
        sent = client.post("/api/backtests/run-async", json={"spec": ENDLESS}).json()
        path = f"/api/backtests/status/{sent['task_id']}"
        told = client.get(path, params={"min_offset": sent["offset"]}).json()
        assert told["status"] in ("queued", "running") and told["receipt"]["outcome"] == "accepted"
        assert client.get(f"/api/backtests/{sent['task_id']}", params={"min_offset": sent["offset"]}).status_code == 200
        client.delete(f"/api/backtests/tasks/{sent['task_id']}")
        told = client.get(path, params={"min_offset": sent["offset"] + 1}).json()
        assert told["status"] == "cancelled"
        assert client.get(path, params={"min_offset": -1}).status_code == 422
        assert httpx.get(f"{client.base_url}{path}", params={"min_offset": 10**9}).status_code == 401, "at once"


def test_a_repeat_with_the_same_idempotency_key_gets_the_first_answer(service: Service) -> None:
    """Also without an id of its own; with another body it is refused, and another key's is another backtest."""
    headers = {"Idempotency-Key": "once"}
    with service.client("ann") as ann, service.client("bob") as bob:
        answers = [ann.post("/api/backtests/run-async", json={"spec": SPEC}, headers=headers) for _ in range(3)]
        assert [each.status_code for each in answers] == [202] * 3
        assert len({each.text for each in answers}) == 1
        other = ann.post("/api/backtests/run-async", json={"spec": {**SPEC, "seed": 1}}, headers=headers)
        assert other.status_code == 422 and other.json()["type"].endswith("idempotency_key_reused")
        by_bob = bob.post("/api/backtests/run-async", json={"spec": SPEC}, headers=headers)
        assert by_bob.json()["backtest_id"] != answers[0].json()["backtest_id"]


def test_repeats_at_once_send_one_command_id(service: Service) -> None:
    """Two requests with one key that race name the same command."""
    said: list[str] = []

    def send() -> None:
        with service.client("ann") as client:
            answer = client.post("/api/backtests/run-async", json={"spec": SPEC}, headers={"Idempotency-Key": "race"})
            said.append(answer.json()["command_id"])

    threads = [threading.Thread(target=send) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(said) == 6 and len(set(said)) == 1


def test_wrong_fields_are_named_by_their_paths(service: Service) -> None:
    """In the spec, beside it, in the query; and what is no JSON is said to be none."""
    bad = {"spec": {**SPEC, "account": {"cash": -5.0}}, "priority": "high", "speed": 1}
    with service.client() as client:
        answer = client.post("/api/backtests/run-async", json=bad)
        assert answer.status_code == 422 and answer.headers["content-type"] == "application/problem+json"
        check(answer.json(), "Problem")
        assert {each["path"] for each in answer.json()["errors"]} == {"spec.account.cash", "priority", "speed"}
        wrong = client.get("/api/backtests", params={"limit": 0})
        assert [each["path"] for each in wrong.json()["errors"]] == ["query.limit"]
        assert (
            client.post("/api/backtests/run-async", content=b"{", headers={"Content-Type": "application/json"}).status_code == 400
        )


def test_a_spec_is_checked_without_running_it(service: Service) -> None:
    """With its strategy's parameters; a good one comes back with every default."""
    with service.client("nobody") as client:
        good = client.post("/api/backtests/validate", json={"spec": SPEC}).json()
        check(good, "Validation")
        assert good["is_valid"] and good["spec"]["strategy"]["parameters"]["slow"] == 9 and good["spec"]["account"]["cash"] == 1e5
        strategy = {"name": "sma_cross", "parameters": {"fast": 0, "quick": 1}}
        bad = client.post("/api/backtests/validate", json={"spec": {**SPEC, "strategy": strategy}}).json()
        paths = {each["path"] for each in bad["problems"]}
        assert not bad["is_valid"] and paths == {"spec.strategy.parameters.fast", "spec.strategy.parameters.quick"}
        worse = {**SPEC, "strategy": strategy, "account": {"cash": -1}}
        told = client.post("/api/backtests/validate", json={"spec": worse}).json()["problems"]
        assert {each["path"] for each in told} == paths | {"spec.account.cash"}


def test_a_rejected_command_says_why(service: Service) -> None:
    """A strategy that no worker knows is refused by the receipt."""
    backtest_id = service.submit({**SPEC, "strategy": {"name": "no_such_thing"}})
    told = service.wait(backtest_id)
    assert told["status"] == "rejected" and told["receipt"]["reason"] == "unknown_strategy"
    with service.client() as client:
        assert client.delete(f"/api/backtests/tasks/{backtest_id}").status_code == 409


def test_a_running_backtest_is_cancelled_once(service: Service) -> None:
    """202 while it runs, 409 with the reason when it is over, 404 for what never was."""
    backtest_id = service.submit(ENDLESS)
    service.wait(backtest_id, "running")
    with service.client() as client:
        answer = client.delete(f"/api/backtests/tasks/{backtest_id}", params={"reason": "enough"})
        assert answer.status_code == 202
        check(answer.json(), "CancelAccepted")
        told = service.wait(backtest_id)
        assert told["status"] == "cancelled" and told["cancel_reason"] == "enough"
        again = client.delete(f"/api/backtests/tasks/{backtest_id}")
        assert again.status_code == 409 and "cancelled" in again.json()["detail"]
        assert client.delete("/api/backtests/tasks/never-was").status_code == 404


def test_what_waits_knows_its_place(service: Service) -> None:
    """Queued backtests of a partition are numbered 1, 2, 3 ... by priority, then by order; a cancelled one leaves the queue."""
    with service.client() as client:
        sent = []
        for number in range(7):
            body = {"spec": ENDLESS, "backtest_id": f"waits-{number}", "priority": 5 if number == 6 else 0}
            sent.append(client.post("/api/backtests/run-async", json=body).json())
        try:
            for each in sent:
                service.wait(each["task_id"], "queued", "running")

            def places() -> dict[int, list[tuple[str, int]]]:
                told = [client.get(each["status_url"]).json() for each in sent]
                found: dict[int, list[tuple[str, int]]] = {}
                for each, status in zip(sent, told, strict=True):
                    assert (status["queue_position"] is not None) == (status["status"] == "queued")
                    if status["status"] == "queued":
                        found.setdefault(each["partition"], []).append((each["task_id"], status["queue_position"]))
                return found

            # Twice the same: meanwhile none of them has started.
            looks = until(
                lambda: [places(), places()], lambda two: two[0] == two[1] and any(len(of) > 1 for of in two[0].values())
            )
            for of in looks[0].values():
                assert sorted(place for _, place in of) == list(range(1, len(of) + 1))
                in_order = [name for name, _ in of if name != "waits-6"]
                assert [name for name, _ in sorted(of, key=lambda each: each[1]) if name != "waits-6"] == in_order
                assert dict(of).get("waits-6", 1) == 1
        finally:
            for each in sent:
                client.delete(f"/api/backtests/tasks/{each['task_id']}")
        for each in sent:
            assert service.wait(each["task_id"])["status"] == "cancelled"


def test_every_write_leaves_a_line(service: Service) -> None:
    """Who did what, with the ids of key, backtest and command; no line holds the key."""
    with service.client("ann") as client:
        answer = client.post("/api/backtests/run-async", json={"spec": SPEC, "backtest_id": "written"}).json()
        service.wait("written")
        assert client.post("/api/backtests/written/audit").status_code == 202
    text = service.processes["web"].log_path.read_text("utf-8")
    lines = [json.loads(line) for line in text.splitlines() if '"web_write"' in line]
    of_this = [each for each in lines if each.get("backtest_id") == "written"]
    assert [(each["action"], each["name"], each["key_id"]) for each in of_this] == [
        ("submit", "ann", service.key_ids["ann"]),
        ("audit", "ann", service.key_ids["ann"]),
    ]
    assert of_this[0]["command_id"] == answer["command_id"]
    assert not [name for name, key in service.keys.items() if key in text]


def test_the_result_is_complete(service: Service, finished: str) -> None:
    """Row, statistics, positions, provenance."""
    with service.client() as client:
        result = client.get(f"/api/backtests/{finished}").json()
        check(result, "BacktestResult")
        assert result["statistics"]["sharpe"] == result["sharpe"]
        (of_symbol,) = result["by_symbol"]
        assert of_symbol["symbol"] == "SIM" and of_symbol["trades"] == result["trades"]
        assert of_symbol["realized_pnl"] == pytest.approx(result["statistics"]["realized_pnl"], rel=1e-12)
        still_open = sum(each["is_open"] for each in result["positions"])
        assert len(result["positions"]) == result["positions_total"] == result["trades"] + still_open
        assert set(result["code"]) == {"code", "backtape", "python", "numpy", "cpu"}
        summary = client.get(f"/api/backtests/{finished}/positions/summary").json()
        check(summary, "PositionSummary")
        assert summary["all"]["trades"] == result["trades"]
        assert summary["realized_pnl"] + summary["unrealized_pnl"] == pytest.approx(
            result["final_equity"] - result["initial_cash"], rel=1e-9
        )


@pytest.mark.parametrize("name", TABLES)
def test_pages_and_files_of_a_table_hold_the_same_rows(service: Service, finished: str, name: str) -> None:
    """JSON page by page, CSV, Arrow and Parquet, by Accept or by the query."""
    path = f"/api/backtests/{finished}/{name}"
    with service.client() as client:
        rows: list[dict[str, Any]] = []
        after: str | None = None
        while True:
            page = client.get(path, params={"limit": 7} | ({"after": after} if after else {})).json()
            check(page, {"equity": "EquityPage"}.get(name, f"{name.capitalize()[:-1]}Page"))
            rows += page["items"]
            after = page["next_cursor"]
            if after is None:
                break
        assert len(rows) > 20
        arrow = client.get(path, headers={"Accept": "application/vnd.apache.arrow.stream"})
        parquet = client.get(path, headers={"Accept": "application/vnd.apache.parquet;q=1, application/json;q=0.5"})
        csv = client.get(path, params={"format": "csv"})
        assert f'filename="{finished}.{name}.csv"' in csv.headers["content-disposition"]
    table = pa.ipc.open_stream(arrow.content).read_all()
    assert table.equals(pq.read_table(io.BytesIO(parquet.content)))
    assert table.num_rows == len(rows) == pa_csv.read_csv(io.BytesIO(csv.content)).num_rows
    plain = [{key: value for key, value in row.items() if isinstance(value, int | float)} for row in table.to_pylist()]
    assert plain == [{key: value for key, value in row.items() if isinstance(value, int | float)} for row in rows]


def test_a_format_that_there_is_not_is_refused(service: Service, finished: str) -> None:
    with service.client() as client:
        assert client.get(f"/api/backtests/{finished}/fills", headers={"Accept": "image/png"}).status_code == 406


def test_tables_are_sorted_and_filtered(service: Service, finished: str) -> None:
    """By a column in both directions, over pages; a cursor of another order is refused."""
    with service.client() as client:
        path = f"/api/backtests/{finished}/trades"
        worst = client.get(path, params={"sort": "realized_pnl", "limit": 5}).json()
        more = client.get(path, params={"sort": "realized_pnl", "limit": 5, "after": worst["next_cursor"]}).json()
        values = [row["realized_pnl"] for row in worst["items"] + more["items"]]
        assert values == sorted(values) and len(values) == 10
        other = client.get(path, params={"sort": "-realized_pnl", "after": "bm90IGEgY3Vyc29y"})
        assert other.status_code == 422 and other.json()["errors"][0]["path"] == "query.after"
        assert client.get(path, params={"symbol": "OTHER"}).json()["items"] == []
        assert client.get(path, params={"sort": "nothing"}).status_code == 422
        positions = f"/api/backtests/{finished}/positions"
        for sort in tables.POSITIONS.sorts:
            values = [row[sort] for row in client.get(positions, params={"sort": f"-{sort}"}).json()["items"]]
            known = [value for value in values if value is not None]
            assert len(known) > 20 and known == sorted(known, reverse=True), sort
        parts = {is_open: client.get(positions, params={"is_open": is_open}).json()["items"] for is_open in (True, False)}
        assert all(row["is_open"] is is_open for is_open, rows in parts.items() for row in rows)
        assert len(parts[False]) == len(client.get(path).json()["items"]) > 20
        misspelled = client.get(positions, params={"open": True})
        assert misspelled.status_code == 422 and misspelled.json()["errors"][0]["path"] == "query.open"


def test_events_come_from_the_log_in_pages(service: Service, finished: str) -> None:
    """All of them, without a gap; by type; and a state after each is told by replay."""
    with service.client() as client:
        path, after, sequences = f"/api/backtests/{finished}/events", 0, []
        while True:
            page = client.get(path, params={"limit": 100, "after": after}).json()
            check(page, "EventPage")
            sequences += [event["sequence"] for event in page["items"]]
            if page["next_cursor"] is None:
                break
            after = int(page["next_cursor"])
        assert sequences == list(range(1, page["last_sequence"] + 1))
        fills = client.get(path, params={"type": "OrderFilled", "limit": 5_000}).json()["items"]
        whole = pa.ipc.open_stream(client.get(path, params={"format": "arrow"}).content).read_all()
        assert whole.num_rows == len(sequences) and whole.column("type").to_pylist().count("OrderFilled") == len(fills)
        at = fills[3]["sequence"]
        state = client.get(f"/api/backtests/{finished}/replay", params={"to": at}).json()
        check(state, "ReplayAnswer")
        assert state["sequence"] == at and state["fills"] == 4 and state["event"]["type"] == "OrderFilled"
        assert client.get(f"/api/backtests/{finished}/replay", params={"to": 10**6}).status_code == 422
        assert client.get(path, params={"type": "Nothing"}).status_code == 422


def test_charts_are_thinned_and_hold_what_the_run_did(service: Service, finished: str) -> None:
    with service.client() as client:
        chart = client.get(f"/api/backtests/{finished}/chart", params={"points": 50}).json()
        check(chart, "EquityChart")
        assert chart["is_thinned"] and len(chart["time_ms"]) <= 60 < chart["marks"] and chart["benchmark"][0] == 100_000.0
        equity = client.get(f"/api/backtests/{finished}/equity", params={"limit": 5_000}).json()["items"]
        assert max(chart["equity"]) == max(row["equity"] for row in equity)
        assert min(chart["drawdown"]) == min(row["drawdown"] for row in equity)
        candles = client.get(f"/api/backtests/{finished}/candles", params={"points": 40}).json()
        check(candles, "Candles")
        assert candles["bars"] == 400 and len(candles["time_ms"]) == 40 and candles["bars_per_candle"] == 10
        fills = client.get(f"/api/backtests/{finished}/fills", params={"limit": 5_000}).json()["items"]
        assert len(candles["fills"]) == candles["fills_total"] == len(fills)
        monthly = client.get(f"/api/backtests/{finished}/monthly").json()
        check(monthly, "MonthlyTable")
        # 400 minutes are one month: its return is the whole run's.
        assert monthly["is_exact"] and monthly["months"][0][0] == monthly["totals"][0] == equity[-1]["equity"] / 100_000.0 - 1.0
        assert client.get(f"/api/backtests/{finished}/candles", params={"symbol": "NO"}).status_code == 422


def test_backtests_are_compared(service: Service, finished: str) -> None:
    """Curves begin at 1, and the one field that differs is named."""
    other = service.submit({**SPEC, "strategy": {"name": "sma_cross", "parameters": {"fast": 4, "slow": 9}}})
    service.wait(other)
    with service.client() as client:
        told = client.get("/api/compare", params={"ids": [finished, other]}).json()
        check(told, "Comparison")
        assert [run["growth"][0] for run in told["runs"]] == [1.0, 1.0]
        assert told["differences"] == [{"path": "strategy.parameters.fast", "values": [3, 4]}]


def test_the_list_is_filtered_searched_sorted_and_paged(service: Service, finished: str) -> None:
    with service.client() as client:
        service.wait(service.submit({**SPEC, "tags": ["alpha-one", "second"]}, backtest_id="tagged"))
        page = client.get("/api/backtests", params={"limit": 2}).json()
        check(page, "BacktestPage")
        following = client.get("/api/backtests", params={"limit": 2, "after": page["next_cursor"]}).json()
        assert not {row["backtest_id"] for row in page["items"]} & {row["backtest_id"] for row in following["items"]}
        assert [row["backtest_id"] for row in client.get("/api/backtests", params={"q": "alph"}).json()["items"]] == ["tagged"]
        assert [row["backtest_id"] for row in client.get("/api/backtests", params={"tag": "second"}).json()["items"]] == [
            "tagged"
        ]
        done = client.get("/api/backtests", params={"status": "completed", "sort": "-sharpe", "limit": 100}).json()["items"]
        values = [row["sharpe"] for row in done if row["sharpe"] is not None]
        assert values == sorted(values, reverse=True) and {row["status"] for row in done} == {"completed"}
        counts = until(lambda: client.get("/api/backtests/counts").json(), lambda told: told["completed"] >= len(done))
        check(counts, "BacktestCounts")


def test_what_postgres_can_not_hold_is_asked_for_as_it_is_stored(service: Service) -> None:
    """A NUL in a text is U+FFFD in the tables; whoever asks with a NUL finds it."""
    service.wait(service.submit({**SPEC, "tags": ["odd\0tag"]}, backtest_id="odd"), "completed")
    with service.client() as client:
        (row,) = client.get("/api/backtests", params={"tag": "odd\0tag"}).json()["items"]
        assert row["backtest_id"] == "odd" and row["tags"] == ["odd\ufffdtag"]
        assert client.get("/api/compare", params={"ids": "\0"}).status_code == 404
        assert client.get("/api/backtests", params={"q": "\0"}).status_code == 200


def test_a_snapshot_opens_without_a_key(service: Service, finished: str) -> None:
    """Its addresses are signed: the Parquet files are read with nothing but them."""
    with service.client() as client:
        told = client.get(f"/api/backtests/{finished}/snapshot").json()
    check(told, "SnapshotAnswer")
    fills = next(file for file in told["files"] if file["table"] == "fills")
    body = httpx.get(fills["url"], timeout=10).content
    assert len(body) == fills["bytes"]
    # Small runs share a file: this one's are so many rows of some row groups.
    opened = pq.ParquetFile(io.BytesIO(body))
    groups = range(opened.num_row_groups) if fills["row_groups"] is None else fills["row_groups"]
    rows = opened.read_row_groups(list(groups)).slice(fills["first_row"] or 0, fills["rows"])
    assert rows.column("backtest_id").to_pylist() == [finished] * fills["rows"]


def test_an_audit_runs_in_a_process_of_its_own_and_proves(service: Service, finished: str) -> None:
    with service.client() as client:
        path = f"/api/backtests/{finished}/audit"
        asked = client.post(path)
        assert asked.status_code == 202 and asked.json()["state"] in ("queued", "running")
        done = until(lambda: client.get(path).json(), lambda told: told["state"] in ("done", "failed"))
        check(done, "AuditAnswer")
        assert done["verdict"] == "proven", done
        assert {each["check"] for each in done["findings"]} >= {"chain", "owner", "re-run", "SQL", "Parquet"}
        assert client.get(f"/api/backtests/{finished}").json()["audit"]["verdict"] == "proven"


def test_the_report_is_a_page_whose_policy_lets_nothing_in(service: Service, finished: str) -> None:
    with service.client() as client:
        report = client.get(f"/api/backtests/{finished}/report")
    assert report.status_code == 200 and "<svg" in report.text
    policy = report.headers["content-security-policy"]
    assert "script-src 'sha256-" in policy and "sandbox" in policy and "unsafe-inline'; script" not in policy


def test_a_dead_letter_is_shown_and_sent_again_corrected(service: Service) -> None:
    """The text that no worker could read, its correction, and what became of that."""
    command = {
        "type": "SubmitBacktest", "command_id": "again", "backtest_id": "corrected", "issued_at": "2026-11-27T00:00:00Z",
        "spec": SPEC,
    }  # fmt: skip
    broken = json.dumps(command)[:-1]
    with service.client() as client:
        before = len(client.get("/api/system/dead-letters").json()["items"])
        service.publish(b"corrected", broken.encode())
        letters = until(lambda: client.get("/api/system/dead-letters").json()["items"], lambda found: len(found) > before)
        letter = letters[0]
        check({"items": letters}, "DeadLetterPage")
        path = f"/api/system/dead-letters/{letter['partition']}/{letter['letter_offset']}"
        whole = client.get(path).json()
        check(whole, "DeadLetterText")
        assert whole["text"] == broken and whole["is_whole"] and whole["is_text"]
        from backtape.client import now

        sent = client.post(f"{path}/retry", json={"text": json.dumps({**command, "issued_at": now()})})
        assert sent.status_code == 202
        assert service.wait("corrected")["status"] == "completed"
        as_it_was = client.post(f"{path}/retry")
        assert as_it_was.status_code == 202
        until(lambda: client.get("/api/system/dead-letters").json()["items"], lambda found: len(found) == before + 2)
        assert client.get("/api/system/dead-letters/1/999999").status_code == 404


def test_bars_are_uploaded_checked_and_limited(service: Service) -> None:
    """A good file is a version, also the second time; a bad one is refused with row and column; a large one with 413."""
    good = "timestamp,open,high,low,close,volume\n" + "".join(f"2024-01-0{day}T00:00:00Z,10,12,9,11,100\n" for day in range(1, 6))
    bad = good.replace("2024-01-03T00:00:00Z,10,12", "2024-01-03T00:00:00Z,10,8")
    with service.client("ann") as client:

        def send(text: str | bytes) -> httpx.Response:
            options = {"symbol": "UPL", "timeframe": "1d"}
            return client.post(
                "/api/datasets/uploaded/uploads", params=options, content=text, headers={"Content-Type": "text/csv"}
            )

        first = send(good)
        assert first.status_code == 201, first.text
        check(first.json(), "UploadAnswer")
        assert first.json()["version"] == 1 and first.json()["is_new"]
        assert send(good).json()["is_new"] is False
        refused = send(bad)
        assert refused.status_code == 422 and "row 3" in refused.json()["detail"] and "/tmp" not in refused.json()["detail"]
        assert send(b"x" * (1024 * 1024 + 1)).status_code == 413
        assert send(b"").status_code == 422
        sets = client.get("/api/datasets").json()
        check(sets, "DataSets")
        assert "uploaded" in [each["dataset"] for each in sets["items"]]
        check(client.get("/api/datasets/uploaded").json(), "DataSetAnswer")
        assert client.get("/api/datasets/uploaded", params={"version": 9}).status_code == 404


def test_the_system_tells_its_lag_and_is_ready(service: Service, finished: str) -> None:
    with service.client("reader") as client:
        told = until(lambda: client.get("/api/system").json(), lambda each: each["lag_records"] == 0)
        check(told, "SystemAnswer")
        assert [(each["name"], each["state"]) for each in told["generations"]] == [("v1", "live")]
        assert {each["topic"].rpartition(".")[2] for each in told["archive"]} == {"events", "receipts", "dead-letters"}
        assert not told["is_stale"] and told["events"] > 0 and {each["group"] for each in told["groups"]}
        ready = client.get("/readyz")
        assert ready.status_code == 200 and ready.json()["checks"] == {"database": "ok", "kafka": "ok"}
        assert client.get("/healthz").json() == {"status": "ok"}
        assert 'backtape_http_requests_total{method="GET",route="/api/system",status="200"}' in client.get("/metrics").text


def test_a_deleted_backtest_is_gone(service: Service) -> None:
    """A running one is not deleted; a finished one goes from the list."""
    backtest_id = service.submit()
    service.wait(backtest_id)
    with service.client() as client:
        assert client.delete(f"/api/backtests/{backtest_id}").status_code == 202
        until(lambda: client.get(f"/api/backtests/{backtest_id}").status_code, lambda code: code == 404)
        assert client.get(f"/api/backtests/status/{backtest_id}").status_code == 404
        assert client.delete("/api/backtests/never-was").status_code == 404
