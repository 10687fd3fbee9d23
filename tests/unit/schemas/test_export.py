"""What docs/ says to other systems is what the code does, in the dialects that their tools read."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.ports import Headers
from backtape.asyncapi_document import CHANNELS, MACHINE
from backtape.schema_export import MODELS, STRUCTS, all_definitions, documents, export, references, standalone
from consumers.machine import machine_headers
from schemas.commands import parse_command
from schemas.commit import Commit
from schemas.errors import FieldError
from schemas.receipts import DeadLetterHeaders
from schemas.spec import parse_spec
from schemas.topics import TOPICS
from tests.factories import finished_log
from tests.unit.schemas.test_commands import CANCEL, SPEC, SUBMIT, WRONG
from tests.unit.schemas.values import structs

CHECKOUT = Path(__file__).resolve().parents[3]
REFRESH = "docs/ is not current: run `backtape schema export docs`"


@cache
def definitions() -> dict[str, Any]:
    return all_definitions()


@cache
def validator(name: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(standalone(name, definitions()))


# --- the copy in docs/ ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name, _ in documents()])
def test_the_copy_in_docs_is_current(name: str) -> None:
    """Byte for byte."""
    path = CHECKOUT / "docs" / name
    assert path.exists() and path.read_text("utf-8") == dict(documents())[name], REFRESH


def test_docs_hold_no_schema_of_something_that_is_gone() -> None:
    """The export does not delete; this names what to delete."""
    expected = {name for name, _ in documents() if name.startswith("schemas/")}
    found = {f"schemas/{path.name}" for path in (CHECKOUT / "docs" / "schemas").iterdir()}
    assert found == expected, REFRESH


def test_an_export_writes_the_same_bytes_each_time(tmp_path: Path) -> None:
    """Into folders that are there or not."""
    first = export(tmp_path / "a" / "b")
    before = [path.read_bytes() for path in first]
    again = export(tmp_path / "a" / "b")
    assert again == first and [path.read_bytes() for path in again] == before
    assert {path.name for path in first} >= {"asyncapi.json", "settings.md", "Commit.json", "SubmitBacktest.json"}


# --- JSON Schema ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [*MODELS, *STRUCTS], ids=lambda kind: kind.__name__)
def test_a_schema_is_valid_and_complete(kind: type) -> None:
    """By the meta-schema of 2020-12, and every reference within it resolves."""
    schema = standalone(kind.__name__, definitions())
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["title"] == kind.__name__ and schema["description"]
    for reference in references(schema):
        assert reference.rpartition("/")[2] in schema["$defs"], reference
    assert schema.get("additionalProperties") is False or kind is DeadLetterHeaders, "unknown fields are refused"


def test_right_commands_follow_their_schemas() -> None:
    """A producer can check before it sends."""
    assert validator("SubmitBacktest").is_valid(SUBMIT)
    assert validator("SubmitBacktest").is_valid({**SUBMIT, "spec": parse_spec(SPEC).recorded()})
    assert validator("CancelBacktest").is_valid(CANCEL)
    assert not validator("CancelBacktest").is_valid(SUBMIT)


# What a schema can't say: relations of fields, and what is no JSON; and Python's `$`, which stands before a last line end, too.
BEYOND = {
    "a symbol twice",
    "start after end",
    "start at end",
    "NaN as parameter",
    "an integer of 54 bits",
    "a version of 54 bits",
    "NaN cash",
    "infinite cash",
    "an id with a line end",
}


@pytest.mark.parametrize(
    "document", [case[1] for case in WRONG if case[0] not in BEYOND], ids=[case[0] for case in WRONG if case[0] not in BEYOND]
)
def test_wrong_commands_do_not_follow_their_schemas(document: dict[str, Any]) -> None:
    """What the worker refuses by a field, the schema refuses as well."""
    name = document.get("type")
    assert not validator("CancelBacktest" if name == "CancelBacktest" else "SubmitBacktest").is_valid(document)


@settings(max_examples=40)
@given(st.data())
def test_what_is_written_follows_its_schema(data: st.DataObject) -> None:
    """Every struct but the commit, which is next."""
    kind = data.draw(st.sampled_from([kind for kind in STRUCTS if kind is not Commit]))
    value = msgspec.json.decode(msgspec.json.encode(data.draw(structs(kind))))
    validator(kind.__name__).validate(value)


@pytest.mark.parametrize("end", ["completed", "cancelled", "failed"])
def test_every_commit_of_a_log_follows_its_schema(end: str) -> None:
    """With the recorded spec inside, whose schema is that of the spec."""
    check = validator("Commit")
    for body in finished_log(end=end, steps=60).bodies:
        check.validate(json.loads(body))
    accepted = json.loads(finished_log().bodies[0])
    accepted["events"][0]["spec"]["colour"] = "red"
    assert not check.is_valid(accepted)


# --- AsyncAPI -------------------------------------------------------------------------------------------------------


@cache
def asyncapi() -> dict[str, Any]:
    document = json.loads(dict(documents())["asyncapi.json"])
    assert isinstance(document, dict)
    return document


def test_the_asyncapi_document_follows_its_specification() -> None:
    """Version 3.0.0, with the Kafka bindings 0.5.0."""
    specification = json.loads((Path(__file__).parent / "asyncapi-3.0.0.json").read_text())
    jsonschema.Draft7Validator(specification).validate(asyncapi())


def test_every_reference_of_the_asyncapi_document_resolves() -> None:
    """Messages, schemas and channels."""
    found = set(references(asyncapi()))
    assert len(found) > 50
    for reference in found:
        place: Any = asyncapi()
        for part in reference.removeprefix("#/").split("/"):
            place = place[part]


def test_every_topic_is_described_with_its_settings() -> None:
    """Also by whom it is written and read."""
    assert set(asyncapi()["channels"]) == {topic.name for topic in TOPICS}
    for channel in CHANNELS:
        described = asyncapi()["channels"][channel.topic.name]
        assert described["address"] == f"backtape.{channel.topic.name}"
        shown = described["bindings"]["kafka"]["topicConfiguration"]
        assert {name: ",".join(value) if isinstance(value, list) else str(value) for name, value in shown.items()} == (
            channel.topic.settings
        )
        actions = {
            (each["action"], each["tags"][0]["name"])
            for each in asyncapi()["operations"].values()
            if each["channel"]["$ref"] == f"#/channels/{channel.topic.name}"
        }
        assert actions == {("send", name) for name in channel.written_by} | {("receive", name) for name in channel.read_by}


def test_the_headers_are_those_that_are_written() -> None:
    """What a run ran on, and what a dead letter says of itself."""
    messages = asyncapi()["components"]["messages"]
    machine: Headers = machine_headers()
    assert set(messages["Commit"]["headers"]["properties"]) == {"log_id", *(name for name, _ in machine)}
    assert set(MACHINE) == {name for name, _ in machine}
    letter = DeadLetterHeaders(reason="not_json", detail="", partition=0, offset=0, length=0, sha256="")
    assert set(messages["DeadLetter"]["headers"]["required"]) == {"log_id", *(name for name, _ in letter.to_kafka())}


def test_models_refuse_what_their_errors_say() -> None:
    """The error classes that the documents rest on are those that are raised."""
    with pytest.raises(FieldError):
        parse_command({})
    with pytest.raises(pydantic.ValidationError):
        MODELS[0].model_validate({})
