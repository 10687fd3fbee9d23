"""This module makes results of another system, as documents that can be brought in, and the kinds of damage that are refused."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from typing import Any

from engine.lifecycle import imported
from schemas.commands import ImportBacktest
from schemas.events import BacktestImported
from snapshots.imports import Batch, Waiting
from snapshots.legacy import Document, read_document

Damage = Callable[[dict[str, Any]], None]


def legacy(number: int = 0, **changes: Any) -> dict[str, Any]:
    """Return one result. The same number gives the same one."""
    chance = random.Random(number)
    closed = [
        {
            "symbol": chance.choice(["AAPL", "MSFT"]), "side": chance.choice(["buy", "sell"]), "quantity": chance.randint(1, 50),
            "entry_time": f"2020-01-{2 + place:02d}T14:30:00Z", "entry_price": round(chance.uniform(90, 110), 2),
            "exit_time": f"2020-01-{3 + place:02d}T21:00:00+01:00", "exit_price": round(chance.uniform(90, 110), 2),
            "pnl": round(chance.gauss(0, 100), 2), "commission": round(chance.uniform(0.1, 2), 2),
        }
        for place in range(3)
    ]  # fmt: skip
    equity = [[f"2020-01-{1 + place:02d}", round(100_000 + chance.gauss(0, 900), 2)] for place in range(6)]
    return {
        "id": f"old-{number}",
        "engine": {"name": "zipline", "version": "1.4.1"},
        "strategy": {"name": "sma_cross", "parameters": {"fast": 10 + number % 7, "slow": 30}},
        "symbols": ["AAPL", "MSFT"],
        "timeframe": "1d",
        "start": "2020-01-01",
        "end": "2020-02-01",
        "initial_cash": 100_000,
        "currency": "USD",
        "trades": closed,
        "equity": equity,
        "metrics": {"sharpe": round(chance.gauss(0, 1), 4), "sortino": None, "exposure": 0.5, "period": "daily"},
        "tags": ["legacy"],
        **changes,
    }


def with_orders(number: int = 0) -> dict[str, Any]:
    """Return a result with orders and fills, one fill of each order, and the totals that they add up to."""
    document = legacy(number)
    document["orders"] = [
        {"id": f"o-{place}", "symbol": "AAPL", "side": "buy", "type": "limit", "quantity": 10, "limit_price": 99.5,
         "submitted_at": f"2020-01-{2 + place:02d}T10:00:00Z", "status": "filled", "filled_quantity": 10}
        for place in range(2)
    ]  # fmt: skip
    document["fills"] = [
        {"order_id": f"o-{place}", "symbol": "AAPL", "side": "buy", "quantity": 10, "price": 99.5, "commission": 0.5,
         "time": f"2020-01-{2 + place:02d}T11:00:00Z"}
        for place in range(2)
    ]  # fmt: skip
    sums = {name: sum(trade[name] for trade in document["trades"]) for name in ("pnl", "commission")}
    document["totals"] = {"trades": 3, "orders": 2, "fills": 2, **sums, "final_equity": document["equity"][-1][1]}
    return document


def _set(path: str, value: Any) -> Damage:
    def damage(document: dict[str, Any]) -> None:
        *parents, last = [int(part) if part.isdigit() else part for part in path.split("/")]
        place: Any = document
        for part in parents:
            place = place[part]
        place[last] = value

    return damage


def _without(path: str) -> Damage:
    def damage(document: dict[str, Any]) -> None:
        *parents, last = [int(part) if part.isdigit() else part for part in path.split("/")]
        place: Any = document
        for part in parents:
            place = place[part]
        del place[last]

    return damage


def _same_order_ids(document: dict[str, Any]) -> None:
    document["orders"][1]["id"] = document["fills"][1]["order_id"] = "o-0"


def _swap_marks(document: dict[str, Any]) -> None:
    document["equity"][1], document["equity"][2] = document["equity"][2], document["equity"][1]


# name of the damage: what is done to a document with orders, where the refusal points, a part of what it says
DAMAGES: dict[str, tuple[Damage, str, str]] = {
    "no trades": (_without("trades"), "/trades", "this field is required"),
    "no engine": (_without("engine"), "/engine", "this field is required"),
    "a trade without price": (_without("trades/1/exit_price"), "/trades/1/exit_price", "this field is required"),
    "an unknown field": (_set("trades/0/slippage", 1), "/trades/0/slippage", "there is no such field"),
    "a number as text": (_set("trades/2/pnl", "12.5"), "/trades/2/pnl", "'12.5' is not allowed: number"),
    "a text as number": (_set("symbols/0", 5), "/symbols/0", "5 is not allowed: string"),
    "a wrong side": (_set("trades/0/side", "long"), "/trades/0/side", "'long' is not allowed: one of buy, sell"),
    "no quantity": (_set("trades/0/quantity", 0), "/trades/0/quantity", "units, greater than 0"),
    "a time without zone": (_set("trades/0/exit_time", "2020-01-03T10:00:00"), "/trades/0/exit_time", "an RFC 3339 time"),
    "a day that is none": (_set("trades/0/exit_time", "2020-01-32"), "/trades/0/exit_time", "day is out of range"),
    "an exit before its entry": (_set("trades/0/exit_time", "2020-01-01"), "/trades/0/exit_time", "not before its entry"),
    "a time beyond the end": (_set("trades/0/exit_time", "2020-03-01"), "/trades/0/exit_time", "to end, 2020-02-01"),
    "the end before the start": (_set("end", "2019-12-31"), "/end", "not before start"),
    "a symbol not listed": (_set("trades/1/symbol", "IBM"), "/trades/1/symbol", "one of /symbols: AAPL, MSFT"),
    "NaN": (_set("equity/3/1", float("nan")), "/equity/3/1", "nan is not allowed: a number"),
    "an infinity": (_set("metrics/exposure", float("inf")), "/metrics/exposure", "inf is not allowed: a number"),
    "an integer of 60 bits": (_set("strategy/parameters/seed", 2**60), "/strategy/parameters/seed", "at most 53 bits"),
    "equity out of order": (_swap_marks, "/equity/2/0", "a time after the one of /equity/1"),
    "a mark of one": (_set("equity/0", ["2020-01-01"]), "/equity/0", "at least 2"),
    "percent": (_set("metrics/win_rate", 55.0), "/metrics/win_rate", "0 to 1"),
    "a positive drawdown": (_set("metrics/max_drawdown", 0.2), "/metrics/max_drawdown", "at most 0"),
    "a return that does not follow": (_set("metrics/total_return", 4.2), "/metrics/total_return", "no percent"),
    "a sum that does not agree": (_set("totals/pnl", 1e9), "/totals/pnl", "the sum of /trades/*/pnl"),
    "a count that does not agree": (_set("totals/trades", 4), "/totals/trades", "4 is not allowed: 3, the number of /trades"),
    "a fill of no order": (_set("fills/1/order_id", "o-9"), "/fills/1/order_id", "the id of one of /orders"),
    "an order id twice": (_same_order_ids, "/orders/1/id", "/orders/0 has it"),
    "no cash": (_set("initial_cash", 0), "/initial_cash", "at least 1e-6"),
    "a wrong id": (_set("id", "a/b"), "/id", "letters, digits and . _ -"),
    "a control character": (_set("strategy/name", "a\tb"), "/strategy/name", "the strategy's name"),
    "half a surrogate pair": (_set("tags", ["\ud800"]), "/tags/0", "surrogate"),
    "too many tags": (_set("tags", [str(each) for each in range(33)]), "/tags", "33 items is not allowed: at most 32"),
    "parameters that are too large": (_set("strategy/parameters", {"x": "y" * 200_000}), "", "at most 131072"),
    "another format": (_set("format", 2), "/format", "2 is not allowed: 1"),
}  # fmt: skip

# The same for what is no document at all.
BROKEN: dict[str, tuple[bytes, str, str]] = {
    "nothing": (b"", "", "JSON"),
    "cut off": (json.dumps(legacy()).encode()[:-40], "", "JSON"),
    "not UTF-8": (json.dumps(legacy(strategy={"name": "x"})).encode().replace(b'"x"', b'"\xff"'), "", "UTF-8"),
    "a list": (b"[]", "", "object"),
    "a name twice": (
        json.dumps(legacy(1)).encode().replace(b'"version"', b'"name"'),
        "/engine/name",
        "twice is not allowed: once",
    ),
    "deep brackets": (b"[" * 100_000, "", "not nested so deeply"),
}


def damaged(kind: str, number: int = 0) -> bytes:
    """Return a document with one kind of damage."""
    document = copy.deepcopy(with_orders(number))
    DAMAGES[kind][0](document)
    return json.dumps(document).encode()


def document_of(number: int = 0, **changes: Any) -> Document:
    """Return a result as it is read."""
    found = read_document(json.dumps(legacy(number, **changes)).encode(), source=f"{number}.json")
    assert isinstance(found, Document), found
    return found


def command_of(batch: Batch, waiting: Waiting, **changes: Any) -> dict[str, Any]:
    """Return the command that brings a written result into the log."""
    manifest = waiting.manifest
    return {
        "type": "ImportBacktest",
        "command_id": f"import-{manifest.backtest_id}",
        "backtest_id": manifest.backtest_id,
        "issued_at": "2026-01-05T09:59:00Z",
        "submitter": "archivist",
        "content_sha256": manifest.content_sha256,
        "manifest_sha256": waiting.digest,
        "batch_key": batch.key,
        "result": manifest.result.model_dump(mode="json"),
        **changes,
    }


def event_of(batch: Batch, waiting: Waiting) -> BacktestImported:
    """Return the event that follows from that command."""
    return imported(ImportBacktest.model_validate(command_of(batch, waiting)))
