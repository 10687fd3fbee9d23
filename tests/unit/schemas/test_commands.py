"""Commands are read strictly: each error names the field, its value and what is allowed."""

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.commands import MAX_COMMAND_BYTES, CancelBacktest, SubmitBacktest, parse_command, parse_document
from schemas.errors import FieldError, NotJsonError, SchemaError, TooLargeError
from schemas.spec import MAX_SPEC_BYTES, parse_spec

SPEC: dict[str, Any] = {
    "data": {"dataset": "stocks", "symbols": ["AAPL"], "timeframe": "1d"},
    "strategy": {"name": "sma_cross", "parameters": {"fast": 10}},
}
SUBMIT: dict[str, Any] = {
    "type": "SubmitBacktest",
    "command_id": "c-1",
    "backtest_id": "bt-1",
    "issued_at": "2026-01-05T10:00:00Z",
    "spec": SPEC,
}
CANCEL: dict[str, Any] = {
    "type": "CancelBacktest",
    "command_id": "c-2",
    "backtest_id": "bt-1",
    "issued_at": "2026-01-05T10:00:00Z",
}
MISSING = object()


def changed(document: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """Return a copy with another value at the path; MISSING takes the field out."""
    result = copy.deepcopy(document)
    *parents, last = path.split(".")
    place = result
    for name in parents:
        place = place.setdefault(name, {})
    if value is MISSING:
        del place[last]
    else:
        place[last] = value
    return result


# --- bytes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "says"),
    [
        pytest.param(b"", "not JSON", id="nothing"),
        pytest.param(b"hello", "not JSON", id="text"),
        pytest.param(b'{"a": 1', "not JSON", id="cut off"),
        pytest.param(b'{"a": 1} x', "not JSON", id="more behind it"),
        pytest.param(b'\xef\xbb\xbf{"a": 1}', "not JSON", id="a byte order mark"),
        pytest.param(b'{"a": "\xff"}', "not UTF-8: byte 7 is 0xff", id="not UTF-8"),
        pytest.param('{"a": "é"}'.encode("latin-1"), "not UTF-8: byte 7 is 0xe9", id="latin-1"),
        pytest.param('{"a": 1}'.encode("utf-16"), "not UTF-8", id="UTF-16"),
        pytest.param(b'{"a": "\\ud800"}', "not JSON", id="half a surrogate pair"),
        pytest.param(b"[" * 10_000, "not JSON", id="nested beyond reason"),
        pytest.param(b'{"a": ' + b"9" * 5_000 + b"}", "not JSON", id="a number of 5000 digits"),
        pytest.param(b"[]", "not list", id="a list"),
        pytest.param(b'"x"', "not str", id="a string"),
        pytest.param(b"null", "not NoneType", id="null"),
    ],
)
def test_bytes_that_are_no_json_object_are_refused(body: bytes, says: str) -> None:
    """By an error that says where or what."""
    with pytest.raises(NotJsonError, match=says):
        parse_document(body)


def test_a_command_may_have_256_kib_and_no_byte_more() -> None:
    """The error has both numbers."""
    exact = b'{"a": "' + b"x" * (MAX_COMMAND_BYTES - 9) + b'"}'
    assert len(exact) == MAX_COMMAND_BYTES and parse_document(exact)
    with pytest.raises(TooLargeError, match="262145 bytes are not allowed: at most 262144"):
        parse_document(exact + b" ")


@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_no_bytes_raise_anything_but_a_schema_error(body: bytes) -> None:
    """A command record is data of others: whatever it holds, the worker gets an answer it can act on."""
    with pytest.raises(SchemaError):
        parse_command(parse_document(body))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
PATHS = ["type", "command_id", "issued_at", "priority", "submitter", "spec", "spec.data", "spec.data.symbols", "spec.strategy",
         "spec.strategy.name", "spec.strategy.parameters", "spec.account", "spec.account.cash", "spec.execution.slippage",
         "spec.execution.commission", "spec.limits", "spec.seed", "spec.tags", "extra"]  # fmt: skip


@given(st.sampled_from(PATHS), JSON)
def test_no_value_in_any_field_raises_anything_but_a_schema_error(path: str, value: Any) -> None:
    """The same for documents that are nearly right."""
    try:
        parse_command(changed(SUBMIT, path, value))
    except SchemaError as error:
        assert str(error)


# --- fields ---------------------------------------------------------------------------------------------------------

WRONG: list[Any] = [
    # what, document, path, value shown, what is allowed (a part of it)
    ("unknown command", changed(SUBMIT, "type", "RunBacktest"), "type", "'RunBacktest'", "SubmitBacktest, CancelBacktest"),
    ("no command", changed(SUBMIT, "type", MISSING), "type", "None", "SubmitBacktest, CancelBacktest"),
    ("a list as command", changed(SUBMIT, "type", []), "type", "[]", "SubmitBacktest, CancelBacktest"),
    ("unknown field", changed(SUBMIT, "colour", "red"), "colour", "'red'", "there is no such field"),
    ("unknown field in the spec", changed(SUBMIT, "spec.colour", "red"), "spec.colour", "'red'", "there is no such field"),
    ("unknown field below", changed(SUBMIT, "spec.data.from", 1), "spec.data.from", "1", "there is no such field"),
    ("a cancel with a spec", changed(CANCEL, "spec", {}), "spec", "{}", "there is no such field"),
    ("no id", changed(SUBMIT, "backtest_id", MISSING), "backtest_id", "nothing", "required"),
    ("no spec", changed(SUBMIT, "spec", MISSING), "spec", "nothing", "required"),
    ("no strategy", changed(SUBMIT, "spec.strategy", MISSING), "spec.strategy", "nothing", "required"),
    ("no symbols", changed(SUBMIT, "spec.data.symbols", []), "spec.data.symbols", "[]", "at least 1"),
    ("an id with a slash", changed(SUBMIT, "backtest_id", "a/b"), "backtest_id", "'a/b'", "pattern"),
    ("an id with a line end", changed(SUBMIT, "backtest_id", "a\n"), "backtest_id", "'a\\n'", "pattern"),
    ("an id of a partition's own", changed(SUBMIT, "backtest_id", "_intake"), "backtest_id", "'_intake'", "pattern"),
    ("an id of 129 letters", changed(SUBMIT, "backtest_id", "a" * 129), "backtest_id", "'aaa", "pattern"),
    ("a number as id", changed(SUBMIT, "command_id", 7), "command_id", "7", "string"),
    ("not a time", changed(SUBMIT, "issued_at", "yesterday"), "issued_at", "'yesterday'", "RFC 3339"),
    ("a time as number", changed(SUBMIT, "issued_at", 1_767_607_200), "issued_at", "1767607200", "string"),
    ("a priority too high", changed(SUBMIT, "priority", 101), "priority", "101", "less than or equal to 100"),
    ("a priority as text", changed(SUBMIT, "priority", "1"), "priority", "'1'", "integer"),
    ("a priority as truth", changed(SUBMIT, "priority", True), "priority", "True", "integer"),
    ("negative cash", changed(SUBMIT, "spec.account.cash", -1), "spec.account.cash", "-1", "greater than 0"),
    ("no cash", changed(SUBMIT, "spec.account.cash", 0), "spec.account.cash", "0", "greater than 0"),
    ("NaN cash", changed(SUBMIT, "spec.account.cash", float("nan")), "spec.account.cash", "nan", "finite"),
    ("infinite cash", changed(SUBMIT, "spec.account.cash", float("inf")), "spec.account.cash", "inf", "finite"),
    ("cash as text", changed(SUBMIT, "spec.account.cash", "100"), "spec.account.cash", "'100'", "number"),
    ("a currency in small letters", changed(SUBMIT, "spec.account.currency", "usd"), "spec.account.currency", "'usd'", "pattern"),
    ("an unknown policy", changed(SUBMIT, "spec.execution.market_fill", "now"), "spec.execution.market_fill", "'now'",
     "'next_open', 'same_close' or 'next_close'"),
    ("an unknown slippage", changed(SUBMIT, "spec.execution.slippage", {"type": "luck"}), "spec.execution.slippage", "luck",
     "'none', 'fixed', 'basis_points'"),
    ("a slippage of another kind", changed(SUBMIT, "spec.execution.slippage", {"type": "fixed", "amount": 1, "value": 1}),
     "spec.execution.slippage.fixed.value", "1", "there is no such field"),
    ("a data set's name with a space", changed(SUBMIT, "spec.data.dataset", "a b"), "spec.data.dataset", "'a b'", "pattern"),
    ("version 0", changed(SUBMIT, "spec.data.version", 0), "spec.data.version", "0", "greater than or equal to 1"),
    ("a timeframe of no length", changed(SUBMIT, "spec.data.timeframe", "0d"), "spec.data.timeframe", "'0d'", "1m, 5m"),
    ("a symbol twice", changed(SUBMIT, "spec.data.symbols", ["A", "A"]), "spec.data", "'A', 'A'", "once"),
    ("start after end", changed(changed(SUBMIT, "spec.data.start", "2024-02-01"), "spec.data.end", "2024-01-01"), "spec.data",
     "'start': '2024-0", "start 2024-02-01 must be before end 2024-01-01"),
    ("start at end", changed(changed(SUBMIT, "spec.data.start", "2024-01-01"), "spec.data.end", "2024-01-01T00:00:00Z"),
     "spec.data", "'start': '2024-0", "start 2024-01-01 must be before end 2024-01-01T00:00:00Z"),
    ("NaN as parameter", changed(SUBMIT, "spec.strategy.parameters.fast", float("nan")), "spec.strategy.parameters.fast", "nan",
     "a finite number"),
    ("an integer of 54 bits", changed(SUBMIT, "spec.strategy.parameters.fast", 2**53), "spec.strategy.parameters.fast",
     "9007199254740992", "at most 53 bits"),
    ("a version of 54 bits", changed(SUBMIT, "spec.data.version", 2**60), "spec.data.version", str(2**60), "at most 53 bits"),
    ("a seed of 54 bits", changed(SUBMIT, "spec.seed", 2**53), "spec.seed", "9007199254740992", "less than"),
    ("33 tags", changed(SUBMIT, "spec.tags", ["t"] * 33), "spec.tags", "'t'", "at most 32"),
]  # fmt: skip


@pytest.mark.parametrize(("document", "path", "value", "allowed"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG])
def test_a_wrong_field_is_named_with_its_value_and_what_is_allowed(
    document: dict[str, Any], path: str, value: str, allowed: str
) -> None:
    """One problem for each."""
    with pytest.raises(FieldError) as caught:
        parse_command(document)
    (problem,) = caught.value.problems
    assert problem.path == path
    assert value in problem.value
    assert allowed in problem.allowed
    assert len(problem.value) <= 80, "a refused value is not repeated without end"


def test_all_wrong_fields_are_named_at_once() -> None:
    """A producer repairs its command in one go."""
    with pytest.raises(FieldError) as caught:
        parse_command(changed(changed(SUBMIT, "issued_at", 1), "spec.account.leverage", 0))
    assert [problem.path for problem in caught.value.problems] == ["issued_at", "spec.account.leverage"]


def test_a_spec_may_have_64_kib_in_its_canonical_form_and_no_byte_more() -> None:
    """However it is spelled: spaces do not count."""
    frame = len(json.dumps(changed(SPEC, "strategy.parameters", {"note": ""}), separators=(",", ":")))
    exact = changed(SUBMIT, "spec.strategy.parameters", {"note": "x" * (MAX_SPEC_BYTES - frame)})
    assert parse_command(exact).submitted_digest
    with pytest.raises(TooLargeError, match="spec: 65537 bytes are not allowed: at most 65536"):
        parse_command(changed(SUBMIT, "spec.strategy.parameters", {"note": "x" * (MAX_SPEC_BYTES - frame + 1)}))


def test_a_spec_by_itself_is_read_as_within_a_command() -> None:
    """Command line, HTTP and Python use the same model; paths begin at the spec."""
    assert parse_spec(SPEC).recorded() == SubmitBacktest.model_validate(SUBMIT).spec.recorded()
    for document, path in (
        ([], "spec"), ({**SPEC, "x": 1}, "x"), (changed(SPEC, "strategy.parameters.a", 2**60), "strategy.parameters.a"),
    ):  # fmt: skip
        with pytest.raises(FieldError) as caught:
            parse_spec(document)
        assert caught.value.problems[0].path == path


# --- what is right ----------------------------------------------------------------------------------------------------


def test_right_commands_are_read() -> None:
    """A submit has the digest of its spec as submitted, a cancel none."""
    submit, cancel = parse_command(SUBMIT), parse_command(CANCEL)
    assert isinstance(submit.command, SubmitBacktest) and submit.submitted_digest
    assert isinstance(cancel.command, CancelBacktest) and cancel.submitted_digest is None


def test_the_submitted_digest_is_of_the_document_before_defaults() -> None:
    """A default that a later version changes does not make a repeat into another spec."""
    explicit = changed(SUBMIT, "spec.account.cash", 100_000.0)
    assert parse_command(explicit).command == parse_command(SUBMIT).command
    assert parse_command(explicit).submitted_digest != parse_command(SUBMIT).submitted_digest
    respelled = json.loads(json.dumps(dict(reversed(SUBMIT["spec"].items()))))
    assert parse_command({**SUBMIT, "spec": respelled}).submitted_digest == parse_command(SUBMIT).submitted_digest


def test_the_recorded_spec_has_every_default_and_reads_back_the_same() -> None:
    """It is what the run's log begins with."""
    recorded = parse_spec(SPEC).recorded()
    assert recorded["execution"]["market_fill"] == "next_open" and recorded["limits"]["seconds"] == 3_600.0
    assert parse_spec(recorded).recorded() == recorded
