"""This module holds the JSON Schema of results that other systems computed, as `backtape import-results` takes them.

The schema says what one document may look like; what relates several of its fields (an exit after its entry, sums that agree) is
checked where it is read, in snapshots/legacy.py. docs/import.md explains every field.
"""

from typing import Any

from schemas.events import OrderType, TimeInForce
from schemas.ids import ID_PATTERN

MAX_DOCUMENT_BYTES = 16 * 1024 * 1024
MAX_LINES_BYTES = 1024 * 1024 * 1024  # of a file of JSON lines, which is read as a whole
MAX_TRADES = 100_000
MAX_ORDERS = 200_000
MAX_FILLS = 200_000
MAX_MARKS = 500_000
MAX_SYMBOLS = 1_000
MAX_METRICS = 256
MAX_TAGS = 32
MAX_RESULT_BYTES = 128 * 1024  # of what goes into the log: all but the rows

ORDER_STATUSES = ("working", "triggered", "partially_filled", "filled", "rejected", "cancelled", "expired")

# Python's `$` stands before a last line end, too, and jsonschema searches: `(?!\n)` keeps that out in every dialect.
_END = r"$(?!\n)"
_TIME = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2}))?" + _END
_WORDS = r"^[^\u0000-\u001f\u007f]+" + _END  # control characters have no place in a column of text


def _time(description: str) -> dict[str, Any]:
    return {
        "type": "string",
        "pattern": _TIME,
        "description": f"{description}: an RFC 3339 time with its zone, or a date (its midnight UTC)",
    }


def _text(description: str, longest: int = 128) -> dict[str, Any]:
    return {"type": "string", "minLength": 1, "maxLength": longest, "pattern": _WORDS, "description": description}


def _number(description: str, **limits: Any) -> dict[str, Any]:
    return {"type": "number", "description": description, **limits}


def _count(description: str) -> dict[str, Any]:
    return {"type": "integer", "minimum": 0, "description": description}


def _record(description: str, required: tuple[str, ...], properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "description": description,
        "required": list(required),
        "properties": properties,
        "additionalProperties": False,
    }


def _list(description: str, longest: int, items: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "array", "description": description, "maxItems": longest, "items": items, **more}


_SYMBOL = {
    "type": "string",
    "minLength": 1,
    "maxLength": 64,
    "pattern": r"^[A-Za-z0-9^][A-Za-z0-9._/:^\-]*" + _END,
    "description": "a symbol: letters, digits and . _ / : ^ -",
}
_SIDE = {"enum": ["buy", "sell"], "description": "buy or sell"}
_ORDER_ID = {
    "type": ["string", "integer"],
    "maxLength": 128,
    "pattern": _WORDS,
    "description": "the order's id in the other system: text or an integer",
}
_QUANTITY = _number("units, greater than 0", exclusiveMinimum=0)

_TRADE = _record(
    "One closed position, from entry to exit.",
    ("symbol", "side", "quantity", "entry_time", "entry_price", "exit_time", "exit_price", "pnl", "commission"),
    {
        "symbol": _SYMBOL,
        "side": {"enum": ["buy", "sell"], "description": "buy: it was long; sell: it was short"},
        "quantity": _QUANTITY,
        "entry_time": _time("when it was entered"),
        "entry_price": _number("average price of the entry"),
        "exit_time": _time("when it was left"),
        "exit_price": _number("average price of the exit"),
        "pnl": _number("profit in the account's currency, commission already taken off"),
        "commission": _number("commission of entry and exit, in the account's currency; negative is a rebate"),
        "bars_held": _count("bars from entry to exit, where it is known"),
        "mae": _number("maximum adverse excursion in the account's currency, at most 0, where it is known", maximum=0),
        "mfe": _number("maximum favourable excursion in the account's currency, at least 0, where it is known", minimum=0),
    },
)
_ORDER = _record(
    "One order, as it ended.",
    ("id", "symbol", "side", "type", "quantity", "submitted_at", "status"),
    {
        "id": _ORDER_ID,
        "symbol": _SYMBOL,
        "side": _SIDE,
        "type": {"enum": [each.value for each in OrderType]},
        "quantity": _QUANTITY,
        "submitted_at": _time("when it was submitted"),
        "status": {"enum": list(ORDER_STATUSES)},
        "time_in_force": {"enum": [each.value for each in TimeInForce]},
        "limit_price": _number("limit price"),
        "stop_price": _number("stop price"),
        "filled_quantity": _number("units that were filled, at least 0", minimum=0),
        "average_fill_price": _number("mean price of its fills"),
        "commission": _number("commissions of its fills, in the account's currency"),
        "ended_at": _time("when it was filled, rejected, cancelled or expired"),
        "reason": _text("why it was rejected or cancelled"),
    },
)
_FILL = _record(
    "One execution.",
    ("symbol", "side", "quantity", "time", "price", "commission"),
    {
        "order_id": _ORDER_ID,
        "symbol": _SYMBOL,
        "side": _SIDE,
        "quantity": _QUANTITY,
        "time": _time("when it was filled"),
        "price": _number("price of a unit"),
        "commission": _number("in the account's currency; negative is a rebate"),
    },
)
_MARK = {
    "type": "array",
    "description": "[time, value]: when, and what cash and positions were worth",
    "prefixItems": [_time("when"), _number("equity in the account's currency")],
    "minItems": 2,
    "maxItems": 2,
}

# Metrics of these names are shown beside those of runs, so they must mean the same (docs/statistics.md): fractions, not percent.
_METRICS = {
    "total_return": _number("final equity / initial cash - 1: a fraction, at least -1 unless equity fell below 0"),
    "cagr": _number("compound annual growth rate: a fraction"),
    "volatility": _number("standard deviation of returns, annualised: a fraction, at least 0", minimum=0),
    "sharpe": _number("Sharpe ratio, annualised"),
    "sortino": _number("Sortino ratio, annualised"),
    "max_drawdown": _number("largest fall of equity from its peak: a fraction, at most 0", maximum=0),
    "calmar": _number("CAGR / |max drawdown|"),
    "win_rate": _number("closed positions with profit / all closed positions: 0 to 1", minimum=0, maximum=1),
    "profit_factor": _number("sum of profits / |sum of losses|, at least 0", minimum=0),
    "sqn": _number("system quality number"),
}
for _each in _METRICS.values():
    _each["type"] = ["number", "null"]

LEGACY_RESULT: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "$id": "urn:backtape:schema:LegacyResult",
    "title": "LegacyResult",
    **_record(
        "A backtest's result that another system has computed.",
        ("engine", "strategy", "symbols", "start", "end", "initial_cash", "currency", "trades", "equity"),
        {
            "format": {"const": 1, "description": "version of this format"},
            "id": {
                "type": "string",
                "pattern": ID_PATTERN[:-1] + _END,
                "description": "the backtest's id: at most 128 letters, digits and . _ -, the first a letter or a digit",
            },
            "engine": _record(
                "The system that computed it.",
                ("name",),
                {"name": _text("its name"), "version": _text("its version")},
            ),
            "strategy": _record(
                "What was tested.",
                ("name",),
                {"name": _text("the strategy's name"), "parameters": {"type": "object", "description": "its parameters"}},
            ),
            "symbols": _list("what was traded", MAX_SYMBOLS, _SYMBOL, minItems=1, uniqueItems=True),
            "timeframe": {
                "type": "string",
                "pattern": r"^[1-9][0-9]{0,3}(s|m|h|d|w)" + _END,
                "description": "length of a bar, such as 1m, 1h, 1d",
            },
            "start": _time("beginning of the tested period"),
            "end": _time("end of the tested period; a date counts with its whole day"),
            "initial_cash": _number("cash at the start, at least 1e-6", minimum=1e-6),
            "currency": {"type": "string", "pattern": "^[A-Z0-9]{3,8}" + _END, "description": "3 to 8 capital letters or digits"},
            "trades": _list("closed positions", MAX_TRADES, _TRADE),
            "orders": _list("orders", MAX_ORDERS, _ORDER),
            "fills": _list("executions, ascending in time", MAX_FILLS, _FILL),
            "equity": _list("the equity curve, ascending in time; its last value is the final equity", MAX_MARKS, _MARK),
            "metrics": {
                "type": "object",
                "description": "numbers and words that the other system has computed",
                "maxProperties": MAX_METRICS,
                "propertyNames": {
                    "pattern": r"^[A-Za-z0-9][A-Za-z0-9_.%\-]{0,63}" + _END,
                    "description": "a name of letters, digits and _ . % -, at most 64 characters",
                },
                "properties": _METRICS,
                "additionalProperties": {
                    "type": ["number", "string", "null"],
                    "maxLength": 256,
                    "pattern": r"^[^\u0000-\u001f\u007f]*" + _END,
                    "description": "a number, a text of at most 256 characters, or null",
                },
            },
            "totals": _record(
                "What the rows must add up to: the other system's own check.",
                (),
                {
                    "trades": _count("number of trades"),
                    "orders": _count("number of orders"),
                    "fills": _count("number of fills"),
                    "pnl": _number("sum of the trades' pnl"),
                    "commission": _number("sum of the trades' commission"),
                    "final_equity": _number("the last value of equity"),
                },
            ),
            "tags": _list("free words", MAX_TAGS, _text("a tag: text of at most 128 characters"), uniqueItems=True),
            "created_at": _time("when the other system wrote it"),
        },
    ),
}
