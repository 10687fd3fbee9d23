"""This module makes the document of a spec from what a user of ``run`` gives: a spec, its file, or a strategy class."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.strategy import Strategy
from schemas.errors import FieldError, NotJsonError
from schemas.spec import (
    AccountSpec,
    BacktestSpec,
    DataSpec,
    ExecutionSpec,
    LimitsSpec,
    Model,
    RecordingSpec,
    StatisticsSpec,
)

Document = dict[str, Any]
Described = BacktestSpec | Mapping[str, Any] | str | Path | type[Strategy]

_SECTIONS: dict[str, type[Model]] = {
    "data": DataSpec,
    "account": AccountSpec,
    "execution": ExecutionSpec,
    "statistics": StatisticsSpec,
    "recording": RecordingSpec,
    "limits": LimitsSpec,
}
_TOP = ("seed", "tags", "strategy")

# No two sections have a field of one name, so that cash=5_000 can say account={"cash": 5_000}.
_SECTION_OF = {field: section for section, model in _SECTIONS.items() for field in model.model_fields}
assert len(_SECTION_OF) == sum(len(model.model_fields) for model in _SECTIONS.values()), "field names are unique"


def document_of(described: Described) -> Document:
    """Return the document as far as it was given; a strategy class gives its name alone."""
    match described:
        case BacktestSpec():
            return described.recorded()
        case Mapping():
            return {name: dict(part) if isinstance(part, Mapping) else part for name, part in described.items()}
        case str() | Path():
            return _read(Path(described))
        case type() if issubclass(described, Strategy):
            return {"strategy": {"name": name_of(described)}}
        case _:
            raise TypeError(f"a strategy class, a spec, a dict or a path to a JSON file is needed, not {described!r}")


def name_of(strategy: type[Strategy]) -> str:
    """Return the name that the spec records: the one it is registered under, its own ``name``, or its class's."""
    from engine.registry import BUILTINS

    registered = next((name for name, each in BUILTINS.items() if each is strategy), None)
    return registered or str(getattr(strategy, "name", strategy.__name__))


def with_overrides(document: Document, overrides: Mapping[str, Any]) -> Document:
    """Return the document with what was given by keyword: whole sections are merged field by field, fields find their section.

    Raises FieldError for a keyword that is neither.
    """
    merged = {name: dict(part) if isinstance(part, Mapping) else part for name, part in document.items()}
    for name, value in overrides.items():
        if name in _SECTIONS or name == "strategy":
            if not isinstance(value, Mapping | Model):
                raise FieldError.of(name, value, f"a dict of fields, such as {name}={{…}}")
            fields = value.model_dump(mode="json", exclude_unset=True) if isinstance(value, Model) else value
            merged[name] = {**merged.get(name, {}), **fields}
        elif name in _SECTION_OF:
            section = _SECTION_OF[name]
            merged[section] = {**merged.get(section, {}), name: _plain(value)}
        elif name in _TOP:
            merged[name] = value
        else:
            raise FieldError.of(name, value, f"the keywords are {', '.join([*_SECTIONS, *_TOP, *_SECTION_OF])}")
    return merged


def _plain(value: Any) -> Any:
    return value.model_dump(mode="json") if isinstance(value, Model) else value


def _read(path: Path) -> Document:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise NotJsonError(f"{path}: {error}") from error
    if not isinstance(found, dict):
        raise FieldError.of(str(path), found, "a JSON object")
    return found
