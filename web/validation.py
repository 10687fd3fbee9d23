"""This module checks a spec as intake will: its schema, and its strategy's. Data is looked for when a run starts, not here."""

import uuid
from collections.abc import Sequence
from typing import Any

from adapters.command_publisher import now
from schemas.errors import FieldError, FieldProblem, NotJsonError, SchemaError, TooLargeError, shown
from schemas.spec import parse_spec
from schemas.strategies import Catalogue, complete_parameters
from web.access import Principal
from web.services import Services


async def validate(services: Services, principal: Principal, document: dict[str, Any]) -> dict[str, Any]:
    """Return the answer ``Validation``."""
    catalogue = await services.strategies.catalogue()
    try:
        spec = parse_spec(document)
        recorded = {**spec.recorded(), "strategy": _strategy(catalogue, spec.strategy.name, spec.strategy.parameters)}
    except FieldError as error:
        problems = {problem.path: problem for problem in map(_below_spec, (*_of_strategy(catalogue, document), *error.problems))}
        return _refused(list(problems.values()))
    except SchemaError as error:
        assert isinstance(error, TooLargeError | NotJsonError), "the tree of errors has no others"
        return _refused([FieldProblem("spec", "the document", str(error))])
    command = {
        "type": "SubmitBacktest",
        "command_id": str(uuid.uuid4()),
        "backtest_id": str(uuid.uuid4()),
        "issued_at": now(),
        "submitter": principal.name,
        "spec": document,
    }
    return {"is_valid": True, "problems": [], "spec": recorded, "kafka_command": command}


def _strategy(catalogue: Catalogue, name: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """Return what is recorded of the strategy. Raises FieldError."""
    card = catalogue.get(name)
    if card is None:
        raise FieldError(
            [FieldProblem("strategy.name", shown(name), f"there is no such strategy; there are {', '.join(catalogue)}")]
        )
    return {"name": name, "parameters": complete_parameters(card, parameters)}


def _of_strategy(catalogue: Catalogue, document: dict[str, Any]) -> Sequence[FieldProblem]:
    """Return what is wrong with the strategy, whatever else is: whoever fills in a form is told all of it at once."""
    strategy = document.get("strategy")
    name, parameters = (strategy.get("name"), strategy.get("parameters", {})) if isinstance(strategy, dict) else (None, None)
    if not isinstance(name, str) or not isinstance(parameters, dict):
        return ()  # the spec's schema says so
    try:
        _strategy(catalogue, name, parameters)
    except FieldError as error:
        return error.problems
    return ()


def _refused(problems: list[FieldProblem]) -> dict[str, Any]:
    shown_problems = [{"path": each.path, "value": each.value, "allowed": each.allowed} for each in problems]
    return {"is_valid": False, "problems": shown_problems, "spec": None, "kafka_command": None}


def _below_spec(problem: FieldProblem) -> FieldProblem:
    """Name a field by its path in the request: ``spec.account.cash``."""
    if problem.path.startswith("spec."):
        return problem
    return FieldProblem(f"spec.{problem.path}" if problem.path != "document" else "spec", problem.value, problem.allowed)
