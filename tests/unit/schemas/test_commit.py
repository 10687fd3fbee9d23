"""Events and commits come back as they were; a chain refuses each kind of break; a format has one way up."""

import dataclasses
import typing
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import commit as module
from schemas import upcasters
from schemas.commit import (
    FORMAT,
    MAX_COMMIT_BYTES,
    Author,
    ChainError,
    Commit,
    EncodedCommit,
    Head,
    decode_commit,
    encode_commit,
    follow,
)
from schemas.events import TERMINAL_EVENTS, AnyEvent, BacktestProgressed, BacktestStarted, OrderCancelled, OrderEnd
from schemas.ids import BacktestId, Digest, sha256
from tests.unit.schemas.values import structs

START = Head.start(Digest("a" * 64))
EVENT_TYPES: tuple[type[Any], ...] = tuple(
    each for group in typing.get_args(AnyEvent) for each in (typing.get_args(group) or (group,))
)


def progressed(sequence: int) -> BacktestProgressed:
    return BacktestProgressed(sequence=sequence, time_ns=0, bars_done=sequence, bars=9, equity=1.5)


def link(head: Head, count: int = 1) -> EncodedCommit:
    events: list[AnyEvent] = [progressed(head.sequence + 1 + place) for place in range(count)]
    return encode_commit(BacktestId("bt-1"), head, Author.SIMULATION, events)


# --- round trips --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", EVENT_TYPES, ids=lambda kind: kind.__name__)
@settings(max_examples=25)
@given(data=st.data())
def test_every_event_comes_back_as_it_was(kind: type[Any], data: st.DataObject) -> None:
    """In a commit, whatever its fields hold; and encoding it again gives the same bytes."""
    event = data.draw(structs(kind, sequence=1))
    encoded = encode_commit(BacktestId("bt-1"), START, Author.SIMULATION, [event])
    commit = decode_commit(encoded.body)
    assert commit.events == [event] and type(commit.events[0]) is kind
    assert encode_commit(BacktestId("bt-1"), START, Author.SIMULATION, commit.events).body == encoded.body
    assert follow(START, commit, encoded.body) == encoded.head
    assert encoded.is_terminal == commit.is_terminal == (kind in TERMINAL_EVENTS)


def test_every_type_of_event_is_in_the_union() -> None:
    """An event that is not would be written and never read."""
    import schemas.events as events

    defined = {each for each in vars(events).values() if isinstance(each, type) and issubclass(each, events.Event)} - {
        events.Event
    }
    assert defined == set(EVENT_TYPES) and len(EVENT_TYPES) == 26


def test_an_event_that_the_schema_does_not_know_is_not_read() -> None:
    """Nor one with a field too many: what we wrote ourselves is read strictly, too."""
    body = link(START).body
    for wrong in (
        body.replace(b"BacktestProgressed", b"BacktestPondered"),
        body.replace(b'"bars":9', b'"bars":9,"mood":"good"'),
        body.replace(b'"bars":9', b'"bars":"9"'),
        body.replace(b'"bars":9,', b""),
        body.replace(b'"parent"', b'"origin"'),
        body.replace(b'"simulation"', b'"somebody"'),
        body[:-1],
        b"[]",
        b"{}",
        b"",
    ):
        with pytest.raises(msgspec.DecodeError):
            decode_commit(wrong)


def test_a_commit_has_a_size_limit() -> None:
    """The error has the sizes; the limit is below the topic's."""
    events: list[AnyEvent] = [progressed(1 + place) for place in range(MAX_COMMIT_BYTES // 90)]
    with pytest.raises(ValueError, match=f"more than {MAX_COMMIT_BYTES}"):
        encode_commit(BacktestId("bt-1"), START, Author.SIMULATION, events)


# --- the chain ------------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 4), min_size=1, max_size=6))
def test_a_whole_chain_follows(sizes: list[int]) -> None:
    """Each commit names the bytes before it."""
    head = START
    for size in sizes:
        encoded = link(head, size)
        head = follow(head, decode_commit(encoded.body), encoded.body)
        assert head == encoded.head
    assert (head.number, head.sequence) == (len(sizes), sum(sizes))


BREAKS: list[Any] = [
    pytest.param({"number": 3}, "commit number 3 where 2 follows", id="a commit is missing"),
    pytest.param({"number": 1}, "commit number 1 where 2 follows", id="a commit comes again"),
    pytest.param({"first_sequence": 5}, "starts at sequence 5 where 3 follows", id="events are missing"),
    pytest.param({"first_sequence": 2}, "starts at sequence 2 where 3 follows", id="events come again"),
    pytest.param({"parent": "b" * 64}, "names parent bbbb", id="the commit before was another"),
    pytest.param({"events": [progressed(3), progressed(5)]}, "holds sequence 5 where 4 follows", id="a gap inside"),
    pytest.param({"events": [progressed(3), progressed(3)]}, "holds sequence 3 where 4 follows", id="a repeat inside"),
    pytest.param({"events": [progressed(4), progressed(3)]}, "holds sequence 4 where 3 follows", id="another order"),
]


@pytest.mark.parametrize(("changes", "says"), BREAKS)
def test_a_break_of_the_chain_is_refused(changes: dict[str, Any], says: str) -> None:
    """Each kind, with both values."""
    head = link(START, 2).head
    right = decode_commit(link(head, 2).body)
    wrong = msgspec.structs.replace(right, **changes)
    with pytest.raises(ChainError, match=says):
        follow(head, wrong, msgspec.json.encode(wrong))


def test_one_changed_byte_anywhere_breaks_the_next_link() -> None:
    """The hash is of the bytes as they are stored, not of what they mean."""
    first = link(START)
    second = link(first.head)
    spaced = first.body.replace(b":9,", b": 9,")
    assert decode_commit(spaced) == decode_commit(first.body)
    head = follow(START, decode_commit(spaced), spaced)
    assert head == dataclasses.replace(first.head, digest=sha256(spaced))
    with pytest.raises(ChainError, match="names parent"):
        follow(head, decode_commit(second.body), second.body)


# --- formats --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [FORMAT + 1, 0, -1])
@pytest.mark.parametrize("more", [b"", b'"colour":"red",'], ids=["same shape", "another shape"])
def test_an_unknown_format_is_refused_by_its_number(version: int, more: bytes) -> None:
    """Also where its shape is one that this version could read, or could not."""
    body = link(START).body.replace(b'{"format":1,', b'{"format":%d,' % version + more)
    with pytest.raises(msgspec.ValidationError, match=f"format {version} is not known .* writes format {FORMAT}"):
        decode_commit(body)


def test_a_commit_without_format_is_refused() -> None:
    """It is none of ours."""
    with pytest.raises(msgspec.ValidationError, match="format"):
        decode_commit(link(START).body.replace(b'"format":1,', b""))


@pytest.mark.parametrize("same_shape", [True, False])
def test_an_earlier_format_is_raised_step_by_step(monkeypatch: pytest.MonkeyPatch, same_shape: bool) -> None:
    """Two formats ago, in a shape that is still readable or in one that is not: both go through every upcaster."""
    old = msgspec.json.decode(link(START).body)
    if not same_shape:
        old["head"] = old.pop("parent")
    steps = []

    def first(document: dict[str, Any]) -> dict[str, Any]:
        steps.append(1)
        return {**document, "format": 2}

    def second(document: dict[str, Any]) -> dict[str, Any]:
        steps.append(2)
        parent = document.pop("head", None) or document["parent"]
        return {**document, "format": 3, "parent": parent}

    monkeypatch.setattr(module, "FORMAT", 3)
    monkeypatch.setattr(upcasters, "UPCASTERS", {1: first, 2: second})
    commit = decode_commit(msgspec.json.encode(old))
    assert steps == [1, 2]
    assert commit == Commit(**{**msgspec.structs.asdict(decode_commit_of(3)), "format": 3})


def decode_commit_of(version: int) -> Commit:
    return decode_commit(link(START).body.replace(b'"format":1', b'"format":%d' % version))


def test_defaults_are_left_out_of_the_bytes_and_enums_are_words() -> None:
    """The log is read by other languages: names, not numbers."""
    event = OrderCancelled(sequence=1, time_ns=5, order_id=1, reason=OrderEnd.BY_STRATEGY, quantity=2.0)
    body = encode_commit(BacktestId("bt-1"), START, Author.OWNER, [event]).body
    assert b'{"type":"OrderCancelled","order_id":1,"reason":"by_strategy","quantity":2.0,"sequence":1,"time_ns":5}' in body
    started = BacktestStarted(
        sequence=1, time_ns=0, dataset="d", dataset_version=1, data_digest="", symbols=("A",), timeframe="1d",
        first_bar_ns=0, last_bar_ns=1, bars=2, equity_every=1,
    )  # fmt: skip
    body = encode_commit(BacktestId("bt-1"), START, Author.OWNER, [started]).body
    assert b'"symbols":["A"]' in body and b'"author":"owner"' in body
