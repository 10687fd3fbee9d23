"""This module holds an example of each call's answer, for the OpenAPI document: recorded from a real service, lists cut short.

A test checks each against its schema, and that no call is without one.
"""

import json
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("examples.json")


def load_examples() -> dict[str, Any]:
    """Return an answer for each route, by the route's name."""
    found: dict[str, Any] = json.loads(FILE.read_text("utf-8"))
    return found
