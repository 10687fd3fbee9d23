"""This module describes all topics as one AsyncAPI 3.0 document: what they hold, how they are keyed, who writes and reads.

It is written from the schemas and from schemas/topics.py. FastStream could make one, but only of what its app subscribes to:
the commands, and none of what comes back.
"""

from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from schemas.commands import MAX_COMMAND_BYTES
from schemas.commit import MAX_COMMIT_BYTES
from schemas.ids import ID_PATTERN
from schemas.receipts import MAX_DEAD_LETTER_BYTES
from schemas.run_state import INTAKE_KEY, TOPOLOGY_KEY
from schemas.topics import ARCHIVE, COMMANDS, DEAD_LETTERS, EVENTS, RECEIPTS, RUNS, TOPICS, Topic, topic_name

PREFIX = "backtape"
BINDING = "0.5.0"
JSON = "application/json"
RAW = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Message:
    """One kind of record on a topic. ``payload`` names a schema; None: bytes of any kind."""

    name: str
    key: str
    payload: str | None
    headers: tuple[str, ...] = ()  # names of schemas or of single headers
    summary: str = ""


@dataclass(frozen=True, slots=True)
class Channel:
    """One topic, as other systems see it."""

    topic: Topic
    messages: tuple[Message, ...]
    written_by: tuple[str, ...]
    read_by: tuple[str, ...]
    note: str


BACKTEST_ID = "the backtest's id"

CHANNELS = (
    Channel(
        COMMANDS,
        (
            Message("SubmitBacktest", BACKTEST_ID, "SubmitBacktest", summary="Run this backtest."),
            Message("CancelBacktest", BACKTEST_ID, "CancelBacktest", summary="Stop this backtest, queued or running."),
            Message("DeleteBacktest", BACKTEST_ID, "DeleteBacktest", summary="Remove what a finished backtest left but its log."),
            Message("ImportBacktest", BACKTEST_ID, "ImportBacktest", summary="Bring in a result that another system computed."),
        ),
        written_by=("producer",),
        read_by=("worker",),
        note=f"A command is at most {MAX_COMMAND_BYTES} bytes. Headers are not read. docs/producers.md says what comes back.",
    ),
    Channel(
        RECEIPTS,
        (Message("Receipt", "the command's key", "Receipt", ("log_id",), "What became of one command."),),
        written_by=("worker",),
        read_by=("producer", "projector"),
        note="Written in one transaction with the command's effect: read with isolation level read_committed.",
    ),
    Channel(
        EVENTS,
        (Message("Commit", BACKTEST_ID, "Commit", ("log_id", "machine"), "Consecutive events of one backtest."),),
        written_by=("worker",),
        read_by=("projector", "compactor"),
        note=(
            f"The source of everything. A commit is at most {MAX_COMMIT_BYTES} bytes; its `parent` is the SHA-256 of the "
            "previous commit's bytes. Read with isolation level read_committed."
        ),
    ),
    Channel(
        RUNS,
        (
            Message("RunState", BACKTEST_ID, "RunState", summary="What a new owner of the partition needs of one run."),
            Message("IntakeState", INTAKE_KEY, "IntakeState", summary="How far the partition's commands were read."),
            Message("Topology", TOPOLOGY_KEY, "Topology", summary="What the partition belongs to."),
        ),
        written_by=("worker",),
        read_by=("worker",),
        note="The workers' own memory. Read the events instead: this is not promised to others.",
    ),
    Channel(
        DEAD_LETTERS,
        (
            Message(
                "DeadLetter", "the record's key, as it came", None, ("log_id", "DeadLetterHeaders"), "What could not be read."
            ),
        ),
        written_by=("worker",),
        read_by=("projector",),
        note=f"The value is the first {MAX_DEAD_LETTER_BYTES} bytes of what came in.",
    ),
    Channel(
        ARCHIVE,
        (Message("SnapshotAnnouncement", BACKTEST_ID, "SnapshotAnnouncement", summary="Where a finished run's snapshot is."),),
        written_by=("compactor",),
        read_by=("projector",),
        note="One partition.",
    ),
)
assert tuple(channel.topic for channel in CHANNELS) == TOPICS, "every topic is described, in the order of its table"

HEADERS = {
    "log_id": "The log's id: with partition and offset it names a record for good.",
    "code": "Digest of the code that the worker runs.",
    "backtape": "Version of Backtape.",
    "python": "Version of Python.",
    "numpy": "Version of numpy.",
    "cpu": "Model of the processor.",
}
MACHINE = ("code", "backtape", "python", "numpy", "cpu")  # beside a run's first commits only


def asyncapi_document(definitions: dict[str, Any]) -> dict[str, Any]:
    """Return the document. ``definitions`` refer to each other as ``#/$defs/Name``."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Backtape",
            "version": version("backtape"),
            "description": (
                "Commands go in, events come out, everything else is a fold over the events. Topics are named with the prefix of "
                f"BACKTAPE_TOPIC_PREFIX, here {PREFIX}. Values are JSON in UTF-8."
            ),
        },
        "defaultContentType": JSON,
        "channels": {channel.topic.name: _channel(channel) for channel in CHANNELS},
        "operations": dict(operation for channel in CHANNELS for operation in _operations(channel)),
        "components": {
            "messages": {each.name: _message(each, definitions) for channel in CHANNELS for each in channel.messages},
            "schemas": _relinked(definitions),
        },
    }


def _channel(channel: Channel) -> dict[str, Any]:
    holds = channel.topic.holds
    return {
        "address": topic_name(PREFIX, channel.topic),
        "title": holds[0].upper() + holds[1:],
        "description": (f"Written by: {', '.join(channel.written_by)}. Read by: {', '.join(channel.read_by)}. {channel.note}"),
        "messages": {each.name: {"$ref": f"#/components/messages/{each.name}"} for each in channel.messages},
        "bindings": {
            "kafka": {
                "topic": topic_name(PREFIX, channel.topic),
                "topicConfiguration": _topic_settings(channel.topic),
                "bindingVersion": BINDING,
            }
        },
    }


def _topic_settings(topic: Topic) -> dict[str, Any]:
    """Return the settings as the binding wants them: a list of policies, numbers as numbers."""
    return {
        name: value.split(",") if name == "cleanup.policy" else int(value) if value.lstrip("-").isdigit() else value
        for name, value in topic.settings.items()
    }


def _operations(channel: Channel) -> list[tuple[str, dict[str, Any]]]:
    """Return one operation for each process that writes or reads the topic."""
    found = []
    for action, processes in (("send", channel.written_by), ("receive", channel.read_by)):
        for process in processes:
            operation = {
                "action": action,
                "channel": {"$ref": f"#/channels/{channel.topic.name}"},
                "summary": f"The {process} {'writes' if action == 'send' else 'reads'} {channel.topic.name}.",
                "tags": [{"name": process}],
            }
            found.append((f"{process}.{action}.{channel.topic.name}", operation))
    return found


def _message(message: Message, definitions: dict[str, Any]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "name": message.name,
        "summary": message.summary,
        "contentType": RAW if message.payload is None else JSON,
        "payload": {} if message.payload is None else {"$ref": f"#/components/schemas/{message.payload}"},
        "bindings": {"kafka": {"key": _key(message.key), "bindingVersion": BINDING}},
    }
    if message.headers:
        described["headers"] = _headers(message.headers, definitions)
    return described


def _key(key: str) -> dict[str, Any]:
    if key == BACKTEST_ID:
        return {"type": "string", "description": key, "pattern": ID_PATTERN}
    if key in (INTAKE_KEY, TOPOLOGY_KEY):
        return {"type": "string", "const": key}
    return {"type": "string", "description": key}


def _headers(names: tuple[str, ...], definitions: dict[str, Any]) -> dict[str, Any]:
    """Return the headers' schema: on the wire each is text."""
    properties: dict[str, Any] = {}
    required = []
    for name in names:
        if name == "machine":
            properties |= {each: {"type": "string", "description": HEADERS[each]} for each in MACHINE}
        elif name == "DeadLetterHeaders":
            fields = definitions[name]["properties"]
            properties |= {each: {"type": "string"} for each in fields}
            required += list(fields)
        else:
            properties[name] = {"type": "string", "description": HEADERS[name]}
            required.append(name)
    return {"type": "object", "properties": properties, "required": sorted(required)}


def _relinked(schema: Any) -> Any:
    """Let references point into the AsyncAPI document."""
    if isinstance(schema, dict):
        return {
            name: value.replace("#/$defs/", "#/components/schemas/") if name == "$ref" else _relinked(value)
            for name, value in schema.items()
        }
    if isinstance(schema, list):
        return [_relinked(each) for each in schema]
    return schema
