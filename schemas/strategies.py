"""This module defines how a strategy is known to intake: by its name, its parameters' schema and its code's digest.

A child process exports this at start; user code is never imported where commands are decided.
"""

from typing import Any

import msgspec


class StrategyCard(msgspec.Struct, frozen=True, kw_only=True):
    """One strategy, as a catalogue entry."""

    name: str
    summary: str
    parameters: dict[str, Any]  # JSON Schema of the parameter object
    defaults: dict[str, Any]  # every parameter that has one
    code_digest: str  # SHA-256 of its module's source


Catalogue = dict[str, StrategyCard]
