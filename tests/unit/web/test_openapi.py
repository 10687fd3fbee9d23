"""The OpenAPI document: valid, complete, with an example of every call that follows its schema."""

import json
from functools import cache
from typing import Any

import jsonschema
import pytest

from backtape.openapi_document import openapi_document
from backtape.schema_export import references
from schemas.spec import parse_spec
from web.examples import EXAMPLE_SPEC, REQUESTS

JSON = "application/json"
NO_JSON = {"follow", "follow_many", "report", "login", "logout", "metrics"}  # streams, pages and what has no body
BINARY = ("application/vnd.apache.arrow.stream", "application/vnd.apache.parquet")  # no document can show one


@cache
def document() -> dict[str, Any]:
    return openapi_document()


def operations() -> list[tuple[str, dict[str, Any]]]:
    return [(each["operationId"], each) for path in document()["paths"].values() for each in path.values()]


def test_every_reference_leads_somewhere() -> None:
    """Generators refuse a document otherwise."""
    known = {f"#/components/schemas/{name}" for name in document()["components"]["schemas"]}
    assert set(references(document())) <= known


def test_every_operation_has_its_own_id_a_summary_and_its_problems() -> None:
    """What needs a key says so, with 401; every problem is a problem document."""
    names = [name for name, _ in operations()]
    assert len(names) == len(set(names)) > 35
    for name, operation in operations():
        assert operation["summary"] and operation["description"], name
        assert ("401" in operation["responses"]) == ("security" in operation), name
        for status, answer in operation["responses"].items():
            if status[0] in "45" and (name, status) != ("readyz", "503"):
                assert list(answer["content"]) == ["application/problem+json"], (name, status)


@pytest.mark.parametrize(("name", "operation"), operations(), ids=[name for name, _ in operations()])
def test_the_example_follows_its_schema(name: str, operation: dict[str, Any]) -> None:
    """Recorded from a real service; no call that answers JSON is without one."""
    answers = [answer for status, answer in operation["responses"].items() if status.startswith("2")]
    contents = [answer["content"][JSON] for answer in answers if JSON in answer.get("content", {})]
    assert bool(contents) != (name in NO_JSON)
    for content in contents:
        schema = {**content["schema"], "components": document()["components"]}
        jsonschema.Draft202012Validator(schema).validate(content["example"])


def test_no_call_is_without_an_example() -> None:
    """What is sent, what comes back in every form that can be shown, and every parameter of a path: none slips."""
    without = []
    for name, operation in operations():
        contents = {f"{name} is sent {kind}": each for kind, each in operation.get("requestBody", {}).get("content", {}).items()}
        for status, answer in operation["responses"].items():
            if status.startswith("2"):
                contents |= {f"{name} answers {kind}": each for kind, each in answer.get("content", {}).items()}
        without += [place for place, each in contents.items() if "example" not in each and not place.endswith(BINARY)]
        for each in operation.get("parameters", ()):
            if each["in"] == "path" and "examples" not in each["schema"]:
                without.append(f"{name} at {each['name']}")
    assert without == []


@pytest.mark.parametrize("name", sorted(REQUESTS))
def test_what_is_sent_follows_its_schema(name: str) -> None:
    """The examples of bodies are good requests."""
    operation = dict(operations())[name]
    content = operation["requestBody"]["content"][JSON]
    schema = {**content["schema"], "components": document()["components"]}
    jsonschema.Draft202012Validator(schema).validate(content["example"])
    spec = EXAMPLE_SPEC if name != "retry" else json.loads(content["example"]["text"])["spec"]
    assert parse_spec(spec)
