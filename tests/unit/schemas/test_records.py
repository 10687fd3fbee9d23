"""Receipts, dead letters, run state and manifests come back as they were."""

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.ids import sha256
from schemas.manifest import SnapshotAnnouncement, SnapshotFile, SnapshotManifest
from schemas.receipts import (
    MAX_DEAD_LETTER_BYTES,
    DeadLetterHeaders,
    Outcome,
    Reason,
    Receipt,
    decode_receipt,
    encode_receipt,
)
from schemas.run_state import (
    IntakeState,
    RunState,
    RunStatus,
    Topology,
    decode_intake,
    decode_run_state,
    decode_topology,
    encode_state,
)
from schemas.topics import DEAD_LETTERS, EVENTS, TOPICS, topic_name
from tests.unit.schemas.values import structs


@given(structs(Receipt))
def test_a_receipt_comes_back_as_it_was(receipt: Receipt) -> None:
    """Whatever a producer put into the fields that it repeats."""
    assert decode_receipt(encode_receipt(receipt)) == receipt


def test_a_receipt_without_anything_to_say_is_short() -> None:
    """Defaults are left out."""
    body = encode_receipt(Receipt(outcome=Outcome.ACCEPTED, partition=1, offset=2))
    assert body == b'{"outcome":"accepted","partition":1,"offset":2}'


@given(structs(RunState))
def test_a_state_comes_back_as_it_was(state: RunState) -> None:
    """A new owner knows what the last one knew."""
    assert decode_run_state(encode_state(state)) == state


@given(structs(IntakeState), structs(Topology))
def test_a_partitions_own_records_come_back_as_they_were(intake: IntakeState, topology: Topology) -> None:
    """The position in the commands, and what the partition belongs to."""
    assert decode_intake(encode_state(intake)) == intake
    assert decode_topology(encode_state(topology)) == topology


def test_a_state_of_another_version_is_refused() -> None:
    """Not read with holes."""
    body = encode_state(RunState(status=RunStatus.QUEUED, submitted_digest="", number=1, sequence=1))
    with pytest.raises(msgspec.ValidationError):
        decode_run_state(body.replace(b'"number"', b'"count"'))


def test_three_states_are_final() -> None:
    """Nothing follows them."""
    assert {status for status in RunStatus if status.is_finished} == {"completed", "cancelled", "failed", "deleted"}


@given(structs(DeadLetterHeaders))
def test_a_dead_letters_headers_come_back_as_they_were(headers: DeadLetterHeaders) -> None:
    """They are text on the wire, numbers included."""
    assert DeadLetterHeaders.from_kafka(headers.to_kafka()) == headers


def test_a_dead_letters_reason_is_its_word() -> None:
    """Not the name of the enum's member."""
    headers = DeadLetterHeaders(reason=Reason.NOT_JSON, detail="", partition=0, offset=1, length=5, sha256=sha256(b"hello"))
    assert dict(headers.to_kafka())["reason"] == b"not_json"


def test_headers_of_others_are_passed_over_and_missing_ones_named() -> None:
    """A dead letter has the log's id as well; a record without our headers is none."""
    headers = DeadLetterHeaders(reason="not_json", detail="é", partition=0, offset=1, length=2, sha256="0" * 64)
    assert DeadLetterHeaders.from_kafka([*headers.to_kafka(), ("log_id", b"x"), ("trace", b"\xff")]) == headers
    with pytest.raises(msgspec.ValidationError, match="length"):
        DeadLetterHeaders.from_kafka([each for each in headers.to_kafka() if each[0] != "length"])


def test_a_dead_letter_fits_its_topic() -> None:
    """Its value, the longest detail and key that come with it, within the broker's default of 1 MiB."""
    longest = 4 * 4_000 + 272 * 1024  # detail in UTF-8, a key as large as the commands topic lets through
    assert "max.message.bytes" not in DEAD_LETTERS.settings
    assert MAX_DEAD_LETTER_BYTES + longest < 1024 * 1024


def test_topics_are_named_with_the_prefix_and_once() -> None:
    """Six of them."""
    names = [topic_name("backtape", topic) for topic in TOPICS]
    assert names[2] == topic_name("backtape", EVENTS) == "backtape.events"
    assert len(set(names)) == len(names) == 6


def manifest(**changes: object) -> SnapshotManifest:
    document = {
        "backtest_id": "bt-1", "status": "completed", "log_id": "x", "partition": 0, "first_offset": 1, "last_offset": 9,
        "commits": 3, "events": 9, "first_sequence": 1, "last_sequence": 9, "chain_head": "a" * 64, "spec_digest": "b" * 64,
        "data_digest": None, "files": [], **changes,
    }  # fmt: skip
    return SnapshotManifest.model_validate(document)


@given(st.integers(0, 2**53), st.lists(st.integers(0, 9), max_size=3) | st.none())
def test_a_manifest_comes_back_as_it_was(size: int, groups: list[int] | None) -> None:
    """From the JSON that lies in the blob store."""
    file = SnapshotFile(table="fills", key="a/b", sha256="c" * 64, bytes=size, rows=3, row_groups=groups)
    made = manifest(files=[file])
    assert SnapshotManifest.model_validate_json(made.model_dump_json()) == made


@pytest.mark.parametrize(
    "changes",
    [{"status": "running"}, {"chain_head": "A" * 64}, {"commits": -1}, {"colour": "red"}, {"format": 2}],
    ids=lambda changes: next(iter(changes)),
)
def test_a_wrong_manifest_is_refused(changes: dict[str, object]) -> None:
    """A reader trusts nothing else about a snapshot."""
    with pytest.raises(pydantic.ValidationError):
        manifest(**changes)


def test_an_announcement_comes_back_as_it_was() -> None:
    """The record on the archive topic."""
    made = SnapshotAnnouncement(
        backtest_id="bt-1", manifest_key="k", manifest_sha256="a" * 64, chain_head="b" * 64, bytes=1, rows=2
    )
    assert SnapshotAnnouncement.model_validate_json(made.model_dump_json()) == made
