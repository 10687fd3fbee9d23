"""This module holds the errors that reading outside input can raise.

The tree::

    SchemaError            what came in does not follow its schema
    ├── FieldError         one or more fields are wrong: each with its path, its value and what is allowed
    ├── NotJsonError       the bytes are not JSON, or not UTF-8
    └── TooLargeError      the bytes are more than the schema allows
"""

from dataclasses import dataclass

import pydantic

MAX_SHOWN_VALUE = 80  # characters of a refused value that a message repeats


class SchemaError(ValueError):
    """What came in does not follow its schema."""


class NotJsonError(SchemaError):
    """The bytes are not a JSON document in UTF-8."""


class TooLargeError(SchemaError):
    """The bytes are more than the schema allows."""


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One wrong field: where it is, what it held, what would be right."""

    path: str
    value: str
    allowed: str

    def __str__(self) -> str:
        return f"{self.path}: {self.value} is not allowed: {self.allowed}"


class FieldError(SchemaError):
    """One or more fields are wrong."""

    def __init__(self, problems: list[FieldProblem]) -> None:
        self.problems = problems
        super().__init__("; ".join(str(problem) for problem in problems))

    @classmethod
    def of(cls, path: str, value: object, allowed: str) -> "FieldError":
        return cls([FieldProblem(path, shown(value), allowed)])


def shown(value: object) -> str:
    """Repeat a refused value, cut to a length that a log line bears."""
    text = repr(value)
    return text if len(text) <= MAX_SHOWN_VALUE else text[: MAX_SHOWN_VALUE - 1] + "…"


def field_error(error: pydantic.ValidationError) -> FieldError:
    """Turn pydantic's error into ours: every problem with field, value and what is allowed."""
    return FieldError([_problem(detail) for detail in error.errors(include_url=False)])


def _problem(detail: object) -> FieldProblem:
    assert isinstance(detail, dict)
    path = ".".join(str(part) for part in detail["loc"]) or "document"
    kind = detail["type"]
    value = "nothing" if kind == "missing" else shown(detail.get("input"))
    if kind == "extra_forbidden":
        return FieldProblem(path, value, "there is no such field")
    if kind == "missing":
        return FieldProblem(path, value, "this field is required")
    return FieldProblem(path, value, str(detail["msg"]).removeprefix("Value error, "))
