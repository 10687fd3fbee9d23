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
    from engine.arrays import ArrayStrategy, Signals
    from engine.errors import EngineError, StrategyError
    from engine.strategy import Data, Fill, Order, Position, Strategy, Timer, crossed, crossed_above, crossed_below
    from schemas.errors import SchemaError
    from schemas.market_data import Instrument

__all__ = [
    "ArrayStrategy",
    "BadDataError",
    "Data",
    "EngineError",
    "Fill",
    "Instrument",
    "Order",
    "Position",
    "Result",
    "SchemaError",
    "Signals",
    "Strategy",
    "StrategyError",
    "Timer",
    "crossed",
    "crossed_above",
    "crossed_below",
    "read_results",
    "replay",
    "run",
]

_HOMES = {
    "ArrayStrategy": "engine.arrays",
    "BadDataError": "backtape.data",
    "Data": "engine.strategy",
    "EngineError": "engine.errors",
    "Fill": "engine.strategy",
    "Instrument": "schemas.market_data",
    "Order": "engine.strategy",
    "Position": "engine.strategy",
    "Result": "backtape.result",
    "SchemaError": "schemas.errors",
    "Signals": "engine.arrays",
    "Strategy": "engine.strategy",
    "StrategyError": "engine.errors",
    "Timer": "engine.strategy",
    "crossed": "engine.strategy",
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
