"""This module writes down, what Backtape reads and writes: JSON Schemas, AsyncAPI and OpenAPI documents, settings.

Everything follows from the classes themselves, in bytes that are the same each time. docs/ holds a copy, and a test proves
that it is current.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pydantic
from pydantic.json_schema import models_json_schema

from backtape.asyncapi_document import asyncapi_document
from backtape.openapi_document import openapi_document
from backtape.settings_table import settings_table
from schemas.commands import CancelBacktest, DeleteBacktest, ImportBacktest, SubmitBacktest
from schemas.commit import Commit
from schemas.legacy_result import LEGACY_RESULT
from schemas.manifest import ImportManifest, SnapshotAnnouncement, SnapshotManifest
from schemas.market_data import DataSetManifest
from schemas.receipts import DeadLetterHeaders, Receipt
from schemas.run_state import IntakeState, RunState, Topology
from schemas.spec import BacktestSpec

DIALECT = "https://json-schema.org/draft/2020-12/schema"

# What comes from outside, or is read by others as a document of its own.
MODELS: tuple[type[pydantic.BaseModel], ...] = (
    SubmitBacktest,
    CancelBacktest,
    DeleteBacktest,
    ImportBacktest,
    BacktestSpec,
    SnapshotManifest,
    ImportManifest,
    SnapshotAnnouncement,
    DataSetManifest,
)
# What Backtape writes to the log.
STRUCTS: tuple[type[msgspec.Struct], ...] = (Commit, Receipt, DeadLetterHeaders, RunState, IntakeState, Topology)


def export(folder: Path) -> list[Path]:
    """Write the schemas, ``asyncapi.json``, ``openapi.json``, ``settings.md`` below the folder; return what was written."""
    written = []
    for name, text in documents():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        written.append(path)
    return written


def documents() -> Iterator[tuple[str, str]]:
    """Yield the name and the text of every file that is exported."""
    definitions = all_definitions()
    for name in sorted(kind.__name__ for kind in (*MODELS, *STRUCTS)):
        yield f"schemas/{name}.json", _text(standalone(name, definitions))
    yield f"schemas/{LEGACY_RESULT['title']}.json", _text(LEGACY_RESULT)
    yield "asyncapi.json", _text(asyncapi_document(definitions))
    yield "openapi.json", _text(openapi_document())
    yield "settings.md", settings_table()


def all_definitions() -> dict[str, Any]:
    """Return the schema of every class, by name; they refer to each other as ``#/$defs/Name``."""
    _, by_models = models_json_schema([(model, "validation") for model in MODELS], ref_template="#/$defs/{model}")
    _, by_structs = msgspec.json.schema_components(STRUCTS, ref_template="#/$defs/{name}")
    models = by_models["$defs"]
    assert not models.keys() & by_structs.keys(), "one name, one meaning"
    definitions = {name: _plain(schema) for name, schema in {**models, **by_structs}.items()}
    # The event holds what the models let through, with every default explicit.
    definitions["BacktestAccepted"]["properties"]["spec"] = {"$ref": "#/$defs/BacktestSpec"}
    definitions["BacktestImported"]["properties"]["result"] = {"$ref": "#/$defs/ImportedResult"}
    return dict(sorted(definitions.items()))


def _plain(schema: Any) -> Any:
    """Leave out ``discriminator``: it belongs to OpenAPI, the tags' constants say the same, and validators stumble over it."""
    if isinstance(schema, dict):
        return {name: _plain(value) for name, value in schema.items() if name != "discriminator"}
    if isinstance(schema, list):
        return [_plain(each) for each in schema]
    return schema


def standalone(name: str, definitions: dict[str, Any]) -> dict[str, Any]:
    """Return one class's schema with all that it refers to."""
    needed = sorted(_reachable(name, definitions) - {name})
    document = {"$schema": DIALECT, "$id": f"urn:backtape:schema:{name}", **definitions[name]}
    if needed:
        document["$defs"] = {each: definitions[each] for each in needed}
    return document


def _reachable(name: str, definitions: dict[str, Any]) -> set[str]:
    found: set[str] = set()
    open_names = [name]
    while open_names:
        each = open_names.pop()
        if each not in found:
            found.add(each)
            open_names += [reference.rpartition("/")[2] for reference in references(definitions[each])]
    return found


def references(schema: Any) -> Iterator[str]:
    """Yield every ``$ref`` within a document."""
    if isinstance(schema, dict):
        if isinstance(schema.get("$ref"), str):
            yield schema["$ref"]
        for value in schema.values():
            yield from references(value)
    elif isinstance(schema, list):
        for each in schema:
            yield from references(each)


def _text(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
