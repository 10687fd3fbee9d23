"""This module defines how a strategy is known to intake: by its name, its parameters' schema and its code's digest.

A child process exports this at start; user code is never imported where commands are decided.
"""

from typing import TYPE_CHECKING, Any

import msgspec

from schemas.errors import FieldError, FieldProblem, shown

if TYPE_CHECKING:
    import jsonschema

# What a schema of plain values says. With any other word in it, jsonschema decides.
_OF_OBJECTS = {"additionalProperties", "description", "properties", "required", "title", "type"}
_OF_VALUES = {"default", "description", "exclusiveMaximum", "exclusiveMinimum", "maximum", "minimum", "title", "type"}
_TYPES: dict[str, tuple[type, ...]] = {
    "boolean": (bool,), "integer": (int,), "null": (type(None),), "number": (int, float), "string": (str,),
}  # fmt: skip


class StrategyCard(msgspec.Struct, frozen=True, kw_only=True):
    """One strategy, as a catalogue entry."""

    name: str
    summary: str
    parameters: dict[str, Any]  # JSON Schema of the parameter object
    defaults: dict[str, Any]  # every parameter that has one
    code_digest: str  # SHA-256 of its module's source


Catalogue = dict[str, StrategyCard]


def complete_parameters(card: StrategyCard, parameters: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters with every default explicit, sorted by name.

    Raises FieldError naming each parameter that does not follow the strategy's schema.
    """
    complete = {**card.defaults, **parameters}
    if _plainly_follow(card.parameters, complete):
        return dict(sorted(complete.items()))
    import jsonschema  # here: a tenth of a cold start, and nearly all parameters are numbers within bounds

    errors = jsonschema.Draft202012Validator(card.parameters).iter_errors(complete)
    problems = [problem for error in errors for problem in _problems(error, list(card.parameters.get("properties", ())))]
    if problems:
        raise FieldError(sorted(problems, key=lambda problem: problem.path))
    return dict(sorted(complete.items()))


def _plainly_follow(schema: dict[str, Any], parameters: dict[str, Any]) -> bool:
    """Tell whether parameters follow a schema of plain values. False: they don't, or it takes more to know."""
    if not schema.keys() <= _OF_OBJECTS or schema.get("additionalProperties") is not False:
        return False
    values = schema.get("properties", {})
    return (
        schema.get("type") == "object"
        and set(schema.get("required", ())) <= parameters.keys() <= values.keys()
        and all(_plainly_follows(values[name], value) for name, value in parameters.items())
    )


def _plainly_follows(schema: dict[str, Any], value: object) -> bool:
    if schema.keys() <= {"anyOf", "default", "description", "title"} and "anyOf" in schema:
        return any(_plainly_follows(one, value) for one in schema["anyOf"])
    if not schema.keys() <= _OF_VALUES or type(value) not in _TYPES.get(str(schema.get("type")), ()):
        return False
    if not isinstance(value, int | float):
        return True
    return (
        value >= schema.get("minimum", value)
        and value <= schema.get("maximum", value)
        and ("exclusiveMinimum" not in schema or value > schema["exclusiveMinimum"])
        and ("exclusiveMaximum" not in schema or value < schema["exclusiveMaximum"])
    )


def _problems(error: "jsonschema.ValidationError", known: list[str]) -> list[FieldProblem]:
    """Name what is wrong; of parameters that do not exist, each one. ``known``: the strategy's parameters."""
    path = ".".join(["spec.strategy.parameters", *(str(part) for part in error.absolute_path)])
    if error.validator == "additionalProperties" and not error.absolute_path and isinstance(error.instance, dict):
        allowed = f"there is no such parameter; there are {', '.join(known) or 'none'}"
        return [
            FieldProblem(f"{path}.{name}", shown(value), allowed) for name, value in error.instance.items() if name not in known
        ]
    return [FieldProblem(path, shown(error.instance), error.message)]
