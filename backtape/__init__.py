"""Backtape: event-sourced backtests whose results can be proven.

What is promised to users is what ``__all__`` names; docs/python.md shows it. Names are loaded when they are first used: the
package itself costs no time to import.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from backtape.data import BadDataError
    from backtape.replaying import replay
    from backtape.result import Result
    from backtape.running import run
    from backtape.stored_results import read_results
    from engine.errors import EngineError, StrategyError
    from engine.strategy import Strategy, crossed_above, crossed_below
    from schemas.errors import SchemaError
    from schemas.market_data import Instrument

__all__ = [
    "BadDataError",
    "EngineError",
    "Instrument",
    "Result",
    "SchemaError",
    "Strategy",
    "StrategyError",
    "crossed_above",
    "crossed_below",
    "read_results",
    "replay",
    "run",
]

_HOMES = {
    "BadDataError": "backtape.data",
    "EngineError": "engine.errors",
    "Instrument": "schemas.market_data",
    "Result": "backtape.result",
    "SchemaError": "schemas.errors",
    "Strategy": "engine.strategy",
    "StrategyError": "engine.errors",
    "crossed_above": "engine.strategy",
    "crossed_below": "engine.strategy",
    "read_results": "backtape.stored_results",
    "replay": "backtape.replaying",
    "run": "backtape.running",  # not backtape.run: importing a module of that name would hide the function
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'backtape' has no attribute {name!r}")
    found = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
