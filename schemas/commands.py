"""This module defines the commands: what other systems ask of Backtape, as JSON on the commands topic.

The Kafka key is the backtest's id. A command is at most 256 KiB, its spec at most 64 KiB. Unknown fields are refused.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pydantic
from pydantic import Field
from pydantic_core import from_json

from schemas.canonical import document_digest
from schemas.errors import FieldError, NotJsonError, TooLargeError, field_error
from schemas.ids import Digest, IdField
from schemas.imported import ImportedResult, check_result_size
from schemas.manifest import Sha256
from schemas.spec import BacktestSpec, Model, ShortText, check_spec_size
from schemas.times import TimeField

MAX_COMMAND_BYTES = 256 * 1024


class SubmitBacktest(Model):
    """Run this backtest. The same id with the same spec again is a duplicate and harmless."""

    type: Literal["SubmitBacktest"]
    command_id: IdField
    backtest_id: IdField
    issued_at: TimeField
    submitter: ShortText | None = None
    priority: Annotated[int, Field(ge=-100, le=100)] = 0  # higher runs first
    spec: BacktestSpec


class CancelBacktest(Model):
    """Stop this backtest, queued or running. Cancel wins until the run's end has been committed."""

    type: Literal["CancelBacktest"]
    command_id: IdField
    backtest_id: IdField
    issued_at: TimeField
    reason: Annotated[str, Field(max_length=1_000)] = ""


class DeleteBacktest(Model):
    """Remove a finished backtest's rows and snapshot. Its id is not used again; its part of the log stays."""

    type: Literal["DeleteBacktest"]
    command_id: IdField
    backtest_id: IdField
    issued_at: TimeField
    submitter: ShortText | None = None
    reason: Annotated[str, Field(max_length=1_000)] = ""


class ImportBacktest(Model):
    """Bring in a result that another system computed. Sent by `backtape import-results`, once the files are in the blob store."""

    type: Literal["ImportBacktest"]
    command_id: IdField
    backtest_id: IdField
    issued_at: TimeField
    submitter: ShortText | None = None
    content_sha256: Sha256  # of the original document: the same id with other content is refused
    manifest_sha256: Sha256
    batch_key: Annotated[str, Field(min_length=1, max_length=1_024)]  # where the manifest waits to be put in its place
    result: ImportedResult


Command = SubmitBacktest | CancelBacktest | DeleteBacktest | ImportBacktest
COMMANDS: dict[str, type[Command]] = {
    "SubmitBacktest": SubmitBacktest,
    "CancelBacktest": CancelBacktest,
    "DeleteBacktest": DeleteBacktest,
    "ImportBacktest": ImportBacktest,
}


@dataclass(frozen=True, slots=True)
class ParsedCommand:
    """A command with the digest that repeats are known by: of its spec as submitted, before defaults, or of what is imported.

    None: a command of this kind brings nothing of its own.
    """

    command: Command
    submitted_digest: Digest | None


def parse_document(body: bytes) -> dict[str, Any]:
    """Decode a command's bytes to a JSON object, or raise TooLargeError or NotJsonError."""
    if len(body) > MAX_COMMAND_BYTES:
        raise TooLargeError(f"command: {len(body)} bytes are not allowed: at most {MAX_COMMAND_BYTES}")
    try:
        body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise NotJsonError(f"not UTF-8: byte {error.start} is 0x{body[error.start]:02x}") from error
    try:
        document = from_json(body)
    except ValueError as error:
        raise NotJsonError(f"not JSON: {error}") from error
    if not isinstance(document, dict):
        raise NotJsonError(f"a command is a JSON object, not {type(document).__name__}")
    return document


def parse_command(document: dict[str, Any]) -> ParsedCommand:
    """Read a command from its decoded JSON.

    Raises FieldError naming each wrong field, its value and what is allowed; TooLargeError for a spec above 64 KiB, or a result
    above 128 KiB.
    """
    kind = document.get("type")
    model = COMMANDS.get(kind) if isinstance(kind, str) else None
    if model is None:
        raise FieldError.of("type", kind, f"one of {', '.join(COMMANDS)}")
    try:
        command = model.model_validate(document)
    except pydantic.ValidationError as error:
        raise field_error(error) from error
    if isinstance(command, ImportBacktest):
        check_result_size(command.result)
        return ParsedCommand(command, Digest(command.content_sha256))
    if not isinstance(command, SubmitBacktest):
        return ParsedCommand(command, None)
    check_spec_size(document["spec"], name="spec")
    return ParsedCommand(command, document_digest(document["spec"]))
