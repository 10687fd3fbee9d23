"""This module defines how a strategy is known to intake: by its name, its parameters' schema and its code's digest.

A child process exports this at start; user code is never imported where commands are decided.
"""

from typing import Any

import jsonschema
import msgspec

from schemas.errors import FieldError, FieldProblem, shown


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
    errors = jsonschema.Draft202012Validator(card.parameters).iter_errors(complete)
    problems = [problem for error in errors for problem in _problems(error, list(card.parameters.get("properties", ())))]
    if problems:
        raise FieldError(sorted(problems, key=lambda problem: problem.path))
    return dict(sorted(complete.items()))


def _problems(error: jsonschema.ValidationError, known: list[str]) -> list[FieldProblem]:
    """Name what is wrong; of parameters that do not exist, each one. ``known``: the strategy's parameters."""
    path = ".".join(["spec.strategy.parameters", *(str(part) for part in error.absolute_path)])
    if error.validator == "additionalProperties" and not error.absolute_path and isinstance(error.instance, dict):
        allowed = f"there is no such parameter; there are {', '.join(known) or 'none'}"
        return [
            FieldProblem(f"{path}.{name}", shown(value), allowed) for name, value in error.instance.items() if name not in known
        ]
    return [FieldProblem(path, shown(error.instance), error.message)]
