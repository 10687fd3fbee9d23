"""This module reads a document's JSON and says what is wrong with it: by its schema, and by what columns hold exactly.

Every problem says where it is (a JSON pointer), what stands there and what is allowed.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import Any

import jsonschema
from jsonschema.protocols import Validator

from schemas.canonical import MAX_INTEGER
from schemas.errors import shown
from schemas.legacy_result import LEGACY_RESULT, MAX_DOCUMENT_BYTES
from snapshots.quick_schema import quick_validator

MAX_PROBLEMS = 20  # of one document
MAX_NUMBER = 1e18  # sums, products and ratios of such numbers stay finite


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: where, what stands there, what is allowed. An empty pointer is the document itself."""

    pointer: str
    value: str
    allowed: str

    def __str__(self) -> str:
        return f"{self.pointer or 'document'}: {self.value} is not allowed: {self.allowed}"


class Refused(Exception):
    """The document can't be brought in."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__(*problems)
        self.problems = list(problems)


def parsed_document(content: bytes) -> dict[str, Any]:
    """Return a document that follows the schema and whose numbers and texts columns hold. Raises Refused."""
    parsed = _parsed(content)
    problems = _schema_problems(parsed) or list(islice(_number_problems(parsed, ""), MAX_PROBLEMS))
    if problems:
        raise Refused(*problems)
    assert isinstance(parsed, dict), "the schema takes objects only"
    return parsed


def _parsed(content: bytes) -> Any:
    if len(content) > MAX_DOCUMENT_BYTES:
        raise Refused(Problem("", f"{len(content)} bytes", f"at most {MAX_DOCUMENT_BYTES}"))
    doubled: list[tuple[dict[str, Any], str]] = []

    def made_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) != len(pairs):
            names = [name for name, _ in pairs]
            doubled.append((made, next(name for name in names if names.count(name) > 1)))
        return made

    try:
        document = json.loads(content.decode("utf-8"), object_pairs_hook=made_of)
    except UnicodeDecodeError as error:
        raise Refused(Problem("", f"byte {error.start} is 0x{content[error.start]:02x}", "UTF-8")) from error
    except RecursionError as error:
        raise Refused(Problem("", "brackets within brackets", "JSON that is not nested so deeply")) from error
    except ValueError as error:  # also an integer of more than 4,300 digits
        raise Refused(Problem("", shown(content[:60].decode("utf-8", "replace")), f"JSON: {error}")) from error
    if doubled:
        raise Refused(*(Problem(f"{_place_of(made, document)}{_pointer([name])}", "twice", "once") for made, name in doubled))
    return document


def _place_of(wanted: dict[str, Any], value: Any, pointer: str = "") -> str | None:
    """Return where an object stands within a value."""
    if value is wanted:
        return pointer
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = (_place_of(wanted, each, f"{pointer}{_pointer([name])}") for name, each in items)
    return next((place for place in found if place is not None), None)


def _pointer(path: Sequence[object]) -> str:
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def _number_problems(value: Any, pointer: str) -> Iterator[Problem]:
    """Yield what JSON Schema lets through: numbers and texts that no column holds exactly."""
    match value:
        case dict():
            for name, each in value.items():
                if each.__class__ is str and each.isascii():
                    continue
                yield from _number_problems(each, f"{pointer}{_pointer([name])}")
        case list():
            for place, each in enumerate(value):
                if each.__class__ is not float or not abs(each) <= MAX_NUMBER:
                    yield from _number_problems(each, f"{pointer}/{place}")
        case float() if not abs(value) <= MAX_NUMBER:  # NaN, too
            yield Problem(pointer, shown(value), f"a number from -{MAX_NUMBER:g} to {MAX_NUMBER:g}")
        case int() if abs(value) > MAX_INTEGER:
            yield Problem(pointer, shown(value), f"an integer of at most 53 bits ({MAX_INTEGER})")
        case str() if not value.isascii() and not _is_text(value):
            yield Problem(pointer, shown(value), "text without halves of surrogate pairs")


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


@cache
def _validator() -> Validator:
    return quick_validator(LEGACY_RESULT)


def _schema_problems(document: Any) -> list[Problem]:
    found: dict[Problem, None] = {}
    for error in _validator().iter_errors(document):
        found.update(dict.fromkeys(_explained(error)))
        if len(found) >= MAX_PROBLEMS:
            break
    return list(found)[:MAX_PROBLEMS]


def _explained(error: jsonschema.ValidationError) -> Iterator[Problem]:
    """Say an error of the schema in our words."""
    pointer = _pointer(list(error.absolute_path))
    value: Any = error.instance
    limit: Any = error.validator_value
    schema = error.schema if isinstance(error.schema, dict) else {}
    match error.validator:
        case "required":
            missing = (name for name in limit if name not in value)
            yield from (Problem(f"{pointer}/{name}", "nothing", "this field is required") for name in missing)
        case "additionalProperties":
            known = schema["properties"]
            for name in value.keys() - known.keys():
                allowed = f"there is no such field; there are {', '.join(known)}"
                yield Problem(f"{pointer}{_pointer([name])}", shown(value[name]), allowed)
        case "enum":
            yield Problem(pointer, shown(value), f"one of {', '.join(map(str, limit))}")
        case "const":
            yield Problem(pointer, shown(value), str(limit))
        case "maxItems" | "maxProperties":
            yield Problem(pointer, f"{len(value)} items", f"at most {limit}")
        case "minItems" | "maxLength":
            yield Problem(
                pointer, f"length {len(value)}", f"{'at least' if error.validator == 'minItems' else 'at most'} {limit}"
            )
        case "uniqueItems":
            yield Problem(pointer, shown(value), "each item once")
        case _:  # of one value: its description says all of it
            kinds = schema.get("type")
            kind = " or ".join(kinds) if isinstance(kinds, list) else kinds
            what = schema.get("description") or error.message
            yield Problem(pointer, shown(value), what if kind is None else f"{kind}: {what}")
