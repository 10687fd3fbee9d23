"""This module lists the built-in strategies and describes any strategy as a catalogue entry."""

import inspect
from typing import Any

from pydantic_core import PydanticUndefined

from engine.strategies.buy_and_hold import BuyAndHold
from engine.strategies.donchian_breakout import DonchianBreakout
from engine.strategies.order_list import OrderList
from engine.strategies.rsi_reversion import RsiReversion
from engine.strategies.sma_cross import SmaCross
from engine.strategies.target_weights import TargetWeights
from engine.strategy import Strategy
from schemas.ids import sha256
from schemas.strategies import StrategyCard

BUILTINS: dict[str, type[Strategy]] = {
    "buy_and_hold": BuyAndHold,
    "donchian_breakout": DonchianBreakout,
    "order_list": OrderList,
    "rsi_reversion": RsiReversion,
    "sma_cross": SmaCross,
    "target_weights": TargetWeights,
}


def card(strategy: type[Strategy], name: str | None = None) -> StrategyCard:
    """Describe a strategy: its parameters' JSON Schema and defaults, and the digest of its module's source.

    name : it is registered under; the class's own name if not given
    """
    return StrategyCard(
        name=name or strategy.__name__,
        summary=(inspect.getdoc(strategy) or "").split("\n\n")[0].replace("\n", " "),
        parameters=strategy.Parameters.model_json_schema(),
        defaults=defaults_of(strategy),
        code_digest=strategy_digest(strategy),
    )


def defaults_of(strategy: type[Strategy]) -> dict[str, Any]:
    """Return every parameter that has a default, as JSON."""
    fields = strategy.Parameters.model_fields
    document = strategy.Parameters.model_construct().model_dump(mode="json", warnings=False)
    optional = (name for name, field in fields.items() if field.get_default(call_default_factory=True) is not PydanticUndefined)
    return {name: document[name] for name in optional}


def strategy_digest(strategy: type[Strategy]) -> str:
    """Return the SHA-256 of the source of the strategy's module; of its class's name where there is no source to read."""
    try:
        module = inspect.getmodule(strategy)
        source = inspect.getsource(module) if module is not None else strategy.__qualname__
    except (OSError, TypeError):
        source = strategy.__qualname__
    return sha256(source.encode())
