"""This package runs the servers that Backtape needs on one machine: Kafka, PostgreSQL, and an S3 server.

Names are loaded when they are first used: whoever only catches a StackError needs no server's module.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from backtape.stack.endpoints import Endpoints
    from backtape.stack.errors import NotRunning, StackError
    from backtape.stack.local import LocalStack

__all__ = ["Endpoints", "LocalStack", "NotRunning", "StackError"]

_HOMES = {"Endpoints": "endpoints", "LocalStack": "local", "NotRunning": "errors", "StackError": "errors"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'backtape.stack' has no attribute {name!r}")
    return getattr(importlib.import_module(f"backtape.stack.{_HOMES[name]}"), name)
