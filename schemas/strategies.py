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
    problems = [_problem(error) for error in errors]
    if problems:
        raise FieldError(sorted(problems, key=lambda problem: problem.path))
    return dict(sorted(complete.items()))


def _problem(error: jsonschema.ValidationError) -> FieldProblem:
    path = ".".join(["spec.strategy.parameters", *(str(part) for part in error.absolute_path)])
    return FieldProblem(path, shown(error.instance), error.message)
