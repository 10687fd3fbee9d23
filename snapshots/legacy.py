"""This module reads one document that another system wrote: what is wrong with it, or its result and its rows.

The document must follow schemas/legacy_result.py (legacy_json.py sees to it); what relates several of its fields is checked here.
Nothing is mended: a result is taken as it was written, or not at all.
"""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from schemas.errors import TooLargeError, shown
from schemas.ids import Digest, id_from, sha256
from schemas.imported import ImportedResult, check_result_size
from schemas.times import NANOSECONDS, parse_time
from snapshots.legacy_json import MAX_PROBLEMS, Problem, Refused, parsed_document

DAY_NS = 86_400 * NANOSECONDS
SUM_TOLERANCE = 1e-9  # relative: sums of the same numbers in another order
RETURN_TOLERANCE = 1e-3  # absolute and relative: reported returns are often rounded, and percent is a hundred times as much

Columns = dict[str, list[Any]]


@dataclass(frozen=True, slots=True)
class Document:
    """A result that can be brought in, with its rows by table and column; columns that are not there are null."""

    backtest_id: str
    digest: Digest  # of the content
    content: bytes
    result: ImportedResult
    rows: dict[str, Columns]


def read_document(content: bytes, *, source: str) -> Document | list[Problem]:
    """Return the document, or what is wrong with it.

    content : its bytes without white space around them
    source : name of its file, with its line
    """
    try:
        return _Reading(parsed_document(content)).document(content, source=source)
    except Refused as refused:
        return refused.problems[:MAX_PROBLEMS]


class _Reading:
    """One document that follows the schema. Problems are gathered, and raised together."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document
        self._problems: list[Problem] = []
        start_ns, end_ns = self._time("/start", document["start"]), self._time("/end", document["end"])
        if start_ns is None or end_ns is None:
            raise Refused(*self._problems)
        self._start_ns, self._end_ns = start_ns, end_ns
        if len(document["end"]) == len("2020-12-31"):
            self._end_ns += DAY_NS - 1
        if self._end_ns < self._start_ns:
            self._refuse("/end", document["end"], f"a time that is not before start, {document['start']}")
            self._raise_if_refused()
        if "created_at" in document:
            self._time("/created_at", document["created_at"])
        self._symbols = frozenset(document["symbols"])

    def document(self, content: bytes, *, source: str) -> Document:
        document = self._document
        orders = document.get("orders", [])
        ids = self._order_ids(orders)
        fills = self._fills(document.get("fills", []), ids if "orders" in document else None)
        rows = {
            "orders": self._orders(orders, fills["order_id"] if "fills" in document else None),
            "fills": fills,
            "trades": self._trades(document["trades"]),
            "equity": self._equity(document["equity"]),
        }
        self._raise_if_refused()
        result = self._result(rows, source=source, content=content)
        self._raise_if_refused()
        digest = sha256(content)
        try:
            check_result_size(result)
        except TooLargeError as error:
            raise Refused(Problem("", "too much beside the rows", str(error))) from error
        return Document(document.get("id") or id_from("import", digest), digest, content, result, rows)

    def _raise_if_refused(self) -> None:
        if self._problems:
            raise Refused(*self._problems)

    def _refuse(self, pointer: str, value: object, allowed: str) -> None:
        self._problems.append(Problem(pointer, shown(value), allowed))
        if len(self._problems) >= MAX_PROBLEMS:
            raise Refused(*self._problems)

    def _time(self, pointer: str, text: str) -> int | None:
        try:
            return parse_time(text)
        except ValueError as error:
            self._refuse(pointer, text, str(error))
            return None

    def _time_within(self, pointer: str, text: str) -> int | None:
        time_ns = self._time(pointer, text)
        if time_ns is not None and not self._start_ns <= time_ns <= self._end_ns:
            document = self._document
            self._refuse(pointer, text, f"a time from start, {document['start']}, to end, {document['end']}")
        return time_ns

    def _check_symbol(self, pointer: str, symbol: str) -> None:
        if symbol not in self._symbols:
            self._refuse(f"{pointer}/symbol", symbol, f"one of /symbols: {', '.join(sorted(self._symbols)[:10])}")

    def _trades(self, trades: list[dict[str, Any]]) -> Columns:
        opened, closed = [], []
        for place, trade in enumerate(trades):
            pointer = f"/trades/{place}"
            self._check_symbol(pointer, trade["symbol"])
            opened.append(self._time_within(f"{pointer}/entry_time", trade["entry_time"]))
            closed.append(self._time_within(f"{pointer}/exit_time", trade["exit_time"]))
            if _is_before(closed[-1], opened[-1]):
                self._refuse(f"{pointer}/exit_time", trade["exit_time"], f"a time not before its entry, {trade['entry_time']}")
        entries, exits, pnl, commission = (
            [float(trade[name]) for trade in trades] for name in ("entry_price", "exit_price", "pnl", "commission")
        )
        return {
            "trade_id": list(range(1, len(trades) + 1)),
            "symbol": [trade["symbol"] for trade in trades],
            "side": [trade["side"] for trade in trades],
            "quantity": _numbers(trades, "quantity"),
            "opened_at": opened,
            "closed_at": closed,
            "bars_held": [None if (bars := trade.get("bars_held")) is None else int(bars) for trade in trades],
            "average_price": entries,
            "average_close": exits,
            "commission": commission,
            "realized_pnl": pnl,
            "gross_pnl": [each + fee for each, fee in zip(pnl, commission, strict=True)],
            "return_fraction": [
                _return(entry, leave, is_long=trade["side"] == "buy")
                for trade, entry, leave in zip(trades, entries, exits, strict=True)
            ],
            "mae": _numbers(trades, "mae"),
            "mfe": _numbers(trades, "mfe"),
        }

    def _order_ids(self, orders: list[dict[str, Any]]) -> dict[str | int, int]:
        """Return the number of each order: its place in the list, from 1 on. The other system's id is kept as its tag."""
        numbers: dict[str | int, int] = {}
        for place, order in enumerate(orders):
            if order["id"] in numbers:
                self._refuse(f"/orders/{place}/id", order["id"], f"an id of its own: /orders/{numbers[order['id']] - 1} has it")
            numbers[order["id"]] = place + 1
        return numbers

    def _orders(self, orders: list[dict[str, Any]], filled: list[int | None] | None) -> Columns:
        for place, order in enumerate(orders):
            self._check_symbol(f"/orders/{place}", order["symbol"])
        times = {
            name: [
                None if name not in order else self._time_within(f"/orders/{place}/{name}", order[name])
                for place, order in enumerate(orders)
            ]
            for name in ("submitted_at", "ended_at")
        }
        counts: dict[int | None, int] = {}
        for number in filled or ():
            counts[number] = counts.get(number, 0) + 1
        return {
            "order_id": list(range(1, len(orders) + 1)),
            "submitted_at": times["submitted_at"],
            "side": [order["side"] for order in orders],
            "order_type": [order["type"] for order in orders],
            "time_in_force": [order.get("time_in_force") for order in orders],
            "tag": [str(order["id"]) for order in orders],
            "symbol": [order["symbol"] for order in orders],
            "status": [order["status"] for order in orders],
            "is_open": [order["status"] in ("working", "triggered", "partially_filled") for order in orders],
            **{
                name: _numbers(orders, name)
                for name in ("quantity", "limit_price", "stop_price", "filled_quantity", "average_fill_price", "commission")
            },
            "fills": [None if filled is None else counts.get(number, 0) for number in range(1, len(orders) + 1)],
            "ended_at": times["ended_at"],
            "reason": [order.get("reason") for order in orders],
        }

    def _fills(self, fills: list[dict[str, Any]], ids: dict[str | int, int] | None) -> Columns:
        """Return the rows of fills.

        ids : numbers of the orders; None where the document has none: then orders that fills name are not known
        """
        times, numbers = [], []
        for place, fill in enumerate(fills):
            pointer = f"/fills/{place}"
            self._check_symbol(pointer, fill["symbol"])
            times.append(self._time_within(f"{pointer}/time", fill["time"]))
            number = None if ids is None or "order_id" not in fill else ids.get(fill["order_id"])
            if ids is not None and "order_id" in fill and number is None:
                self._refuse(f"{pointer}/order_id", fill["order_id"], "the id of one of /orders")
            numbers.append(number)
        for place, (before, after) in enumerate(pairwise(times), start=1):
            if _is_before(after, before):
                self._refuse(f"/fills/{place}/time", fills[place]["time"], f"a time not before the one of /fills/{place - 1}")
        return {
            "fill_id": list(range(1, len(fills) + 1)),
            "time": times,
            "order_id": numbers,
            "symbol": [fill["symbol"] for fill in fills],
            "side": [fill["side"] for fill in fills],
            **{name: _numbers(fills, name) for name in ("quantity", "price", "commission")},
        }

    def _equity(self, marks: list[list[Any]]) -> Columns:
        times = [self._time_within(f"/equity/{place}/0", mark[0]) for place, mark in enumerate(marks)]
        for place, (before, after) in enumerate(pairwise(times), start=1):
            if _is_before(after, before) or (after is not None and after == before):
                self._refuse(f"/equity/{place}/0", marks[place][0], f"a time after the one of /equity/{place - 1}")
        values = [float(mark[1]) for mark in marks]
        drawdowns, peak = [], -math.inf
        for value in values:
            peak = max(peak, value)
            drawdowns.append(_finite(value / peak - 1.0) if peak > 0.0 else None)
        return {"mark": list(range(1, len(marks) + 1)), "time": times, "equity": values, "drawdown": drawdowns}

    def _result(self, rows: dict[str, Columns], *, source: str, content: bytes) -> ImportedResult:
        document = self._document
        values = rows["equity"]["equity"]
        made = ImportedResult.model_validate(
            {
                **{
                    name: document[name] for name in ("engine", "strategy", "symbols", "start", "end", "initial_cash", "currency")
                },
                **{name: document[name] for name in ("timeframe", "tags", "created_at", "metrics") if name in document},
                "orders": len(rows["orders"]["order_id"]),
                "fills": len(rows["fills"]["fill_id"]),
                "trades": len(rows["trades"]["trade_id"]),
                "marks": len(values),
                "pnl": math.fsum(rows["trades"]["realized_pnl"]),
                "commission": math.fsum(rows["trades"]["commission"]),
                "final_equity": values[-1] if values else None,
                "source": source,
                "content_bytes": len(content),
            }
        )
        self._check_totals(document.get("totals", {}), made)
        told, follows = made.metrics.get("total_return"), made.total_return
        if isinstance(told, int | float) and follows is not None and not _is_near(told, follows):
            what = "which follows from the last of /equity and /initial_cash (no percent)"
            self._refuse("/metrics/total_return", told, f"{follows:.6g}, {what}")
        return made

    def _check_totals(self, totals: dict[str, Any], made: ImportedResult) -> None:
        for name in ("trades", "orders", "fills"):
            if name in totals and totals[name] != getattr(made, name):
                self._refuse(f"/totals/{name}", totals[name], f"{getattr(made, name)}, the number of /{name}")
        follows = {
            "pnl": "the sum of /trades/*/pnl",
            "commission": "the sum of /trades/*/commission",
            "final_equity": "the last of /equity",
        }
        for name, what in follows.items():
            if name not in totals:
                continue
            told, found = float(totals[name]), getattr(made, name)
            if found is None or abs(told - found) > SUM_TOLERANCE * max(1.0, abs(found), abs(told)):
                self._refuse(f"/totals/{name}", totals[name], f"{found}, {what}")


def _return(entry: float, leave: float, *, is_long: bool) -> float | None:
    return None if entry == 0.0 else _finite((1 if is_long else -1) * (leave / entry - 1.0))


def _is_before(one: int | None, other: int | None) -> bool:
    """Say whether a time is before another; what is no time was refused already."""
    return one is not None and other is not None and one < other


def _is_near(told: float, follows: float) -> bool:
    return abs(told - follows) <= RETURN_TOLERANCE * (1.0 + abs(follows))


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _numbers(records: list[dict[str, Any]], name: str) -> list[float | None]:
    return [None if (value := record.get(name)) is None else float(value) for record in records]
