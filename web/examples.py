"""This module holds an example of each call's answer, for the OpenAPI document. A test checks each against its schema."""

from typing import Any

JSON = "application/json"

EXAMPLES: dict[str, tuple[str, Any]] = {}
