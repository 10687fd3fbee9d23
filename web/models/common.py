"""This module defines what all answers have in common, and how an error is told (RFC 9457).

Answers are JSON in UTF-8. Times are RFC 3339 in UTC; columns of a chart hold them as integers, milliseconds since 1970 UTC
(``time_ms``). Money is in the account's currency. What is undefined is null.
"""

from datetime import datetime
from typing import Annotated, Any

import pydantic
from fastapi import Path
from pydantic import ConfigDict, Field
from sqlalchemy import ARRAY, Boolean, DateTime, Double, Integer, LargeBinary, Text
from sqlalchemy.dialects.postgresql import JSONB

from projections.views import VIEWS, View
from schemas.ids import ID_PATTERN

BacktestIdPath = Annotated[str, Path(pattern=ID_PATTERN, description="the backtest's id", examples=["goog-sma"])]
DataSetPath = Annotated[str, Path(pattern=ID_PATTERN, description="the name of the data set", examples=["daily"])]

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


def _field(view: View, name: str, comment: str) -> Any:
    column = view.table.columns.get(name)
    if column is None:  # joined from another table
        return (str | None, Field(description=comment))
    kind = _type(column.type)
    return (kind | None if column.nullable else kind, Field(description=comment))


def _type(kind: Any) -> Any:
    match kind:
        case ARRAY():
            return list[_type(kind.item_type)]  # type: ignore[misc]
        case DateTime():
            return datetime
        case JSONB():
            return dict[str, Any]
        case Boolean():
            return bool
        case Integer():
            return int
        case Double():
            return float
        case Text() | LargeBinary():
            return str
    raise AssertionError(f"no column of a view has the type {kind!r}")
