"""This package runs the servers that Backtape needs on one machine: Kafka, PostgreSQL, and an S3 server."""

from backtape.stack.endpoints import Endpoints
from backtape.stack.errors import NotRunning, StackError
from backtape.stack.local import LocalStack

__all__ = ["Endpoints", "LocalStack", "NotRunning", "StackError"]
