"""This module checks a spec as intake will: its schema, and its strategy's. Data is looked for when a run starts, not here."""

import uuid
from typing import Any

from adapters.command_publisher import now
from schemas.errors import FieldError, FieldProblem, NotJsonError, SchemaError, TooLargeError, shown
from schemas.spec import BacktestSpec, parse_spec
from schemas.strategies import complete_parameters
from web.access import Principal
from web.services import Services


async def validate(services: Services, principal: Principal, document: dict[str, Any]) -> dict[str, Any]:
    """Return the answer ``Validation``."""
    try:
        spec = parse_spec(document)
        recorded = {**spec.recorded(), "strategy": await _strategy(services, spec)}
    except FieldError as error:
        return _refused([_below_spec(problem) for problem in error.problems])
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


async def _strategy(services: Services, spec: BacktestSpec) -> dict[str, Any]:
    catalogue = await services.strategies.catalogue()
    name = spec.strategy.name
    card = catalogue.get(name)
    if card is None:
        raise FieldError(
            [FieldProblem("strategy.name", shown(name), f"there is no such strategy; there are {', '.join(catalogue)}")]
        )
    return {"name": name, "parameters": complete_parameters(card, spec.strategy.parameters)}


def _refused(problems: list[FieldProblem]) -> dict[str, Any]:
    shown_problems = [{"path": each.path, "value": each.value, "allowed": each.allowed} for each in problems]
    return {"is_valid": False, "problems": shown_problems, "spec": None, "kafka_command": None}


def _below_spec(problem: FieldProblem) -> FieldProblem:
    """Name a field by its path in the request: ``spec.account.cash``."""
    if problem.path.startswith("spec."):
        return problem
    return FieldProblem(f"spec.{problem.path}" if problem.path != "document" else "spec", problem.value, problem.allowed)
