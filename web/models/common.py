"""This module defines what all answers have in common, and how an error is told (RFC 9457).

Answers are JSON in UTF-8. Times are RFC 3339 in UTC; columns of a chart hold them as integers, milliseconds since 1970 UTC
(``time_ms``). Money is in the account's currency. What is undefined is null.
"""

from datetime import date, datetime
from typing import Annotated, Any

import pydantic
from fastapi import Path
from pydantic import ConfigDict, Field

from projections.computed_views import Computed
from projections.views import VIEWS, View
from schemas.ids import ID_PATTERN

BacktestIdPath = Annotated[str, Path(pattern=ID_PATTERN, description="the backtest's id", examples=["goog-sma"])]
DataSetPath = Annotated[str, Path(pattern=ID_PATTERN, description="the name of the data set", examples=["daily"])]

# What a view's column is in JSON, by its SQL type.
_TYPES: dict[str, Any] = {
    "text": str, "text[]": list[str], "bigint": int, "integer": int, "double precision": float, "boolean": bool,
    "timestamptz": datetime, "date": date, "jsonb": dict[str, Any], "bytea": str,
}  # fmt: skip


class Answer(pydantic.BaseModel):
    """What all answers have in common."""

    # Serialised fields with a default are always there: clients need no case for a missing one.
    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_serialization_defaults_required=True)


class FieldProblemAnswer(Answer):
    """One wrong field of what was sent."""

    path: str = Field(description="where it is, such as spec.account.cash")
    value: str = Field(description="what it held, cut to 80 characters")
    allowed: str = Field(description="what would be right")


class Problem(Answer):
    """A problem document (RFC 9457), content type application/problem+json."""

    type: str = Field(description="names the kind of problem: urn:backtape:problem:<kind>")
    title: str = Field(description="the kind in words")
    status: int = Field(description="the HTTP status")
    detail: str = Field(description="what exactly happened")
    instance: str | None = Field(None, description="the path that was asked for")
    errors: list[FieldProblemAnswer] = Field(default_factory=list, description="each wrong field, where fields are wrong")


def row_model(name: str, view_name: str, *, without: tuple[str, ...] = (), doc: str) -> type[Answer]:
    """Return the model of a view's rows: names, types and meaning are those of projections/tables.py.

    without : columns that the answer leaves out
    """
    view = next(each for each in VIEWS if each.name == view_name)
    fields: dict[str, Any] = {
        column: _field(view, column, comment) for column, comment in view.columns.items() if column not in without
    }
    return pydantic.create_model(name, __base__=Answer, __doc__=doc, __module__=__name__, **fields)


def _field(view: View | Computed, name: str, comment: str) -> Any:
    kind = _TYPES[view.type_of(name)]
    column = view.table.columns.get(name) if isinstance(view, View) else None
    is_always_there = column is not None and not column.nullable  # what is joined or computed may be missing
    return (kind if is_always_there else kind | None, Field(description=comment))
