"""Documents of other systems: what is taken, what is refused, and that a refusal says where, what and why."""

import json
import math
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.ids import sha256
from schemas.legacy_result import LEGACY_RESULT
from snapshots.legacy import Document, read_document
from snapshots.legacy_json import MAX_PROBLEMS
from snapshots.quick_schema import quick_validator
from tests.legacy_results import BROKEN, DAMAGES, damaged, document_of, legacy, with_orders


def read(document: Any) -> Document | list[str]:
    found = read_document(json.dumps(document).encode(), source="a.json")
    return found if isinstance(found, Document) else [str(each) for each in found]


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(LEGACY_RESULT)


def test_a_document_gives_its_result_and_its_rows() -> None:
    """Counts, sums, times in nanoseconds; net and gross PnL; drawdown from the curve; orders under numbers, their ids as tags."""
    document = with_orders()
    found = read(document)
    assert isinstance(found, Document)
    result, trades, equity = found.result, found.rows["trades"], found.rows["equity"]
    assert found.backtest_id == "old-0" and found.digest == sha256(json.dumps(document).encode())
    assert (result.trades, result.orders, result.fills, result.marks) == (3, 2, 2, 6)
    assert result.pnl == math.fsum(trade["pnl"] for trade in document["trades"])
    assert result.final_equity == document["equity"][-1][1] == equity["equity"][-1]
    assert trades["gross_pnl"][0] == trades["realized_pnl"][0] + trades["commission"][0]
    assert trades["closed_at"][0] == 1_578_081_600_000_000_000  # 2020-01-03T21:00:00+01:00
    first = document["trades"][0]
    sign = 1 if first["side"] == "buy" else -1
    assert trades["return_fraction"][0] == sign * (first["exit_price"] / first["entry_price"] - 1)
    assert trades["mae"] == trades["mfe"] == trades["bars_held"] == [None] * 3, "what is not known is null"
    peak = max(equity["equity"][:3])
    assert equity["drawdown"][2] == equity["equity"][2] / peak - 1
    orders, fills = found.rows["orders"], found.rows["fills"]
    assert (orders["order_id"], orders["tag"], orders["fills"], fills["order_id"]) == ([1, 2], ["o-0", "o-1"], [1, 1], [1, 2])


def test_without_an_id_the_content_gives_it() -> None:
    """The same content has the same id, other content another one."""
    one, again, other = (read({key: value for key, value in legacy(n).items() if key != "id"}) for n in (1, 1, 2))
    assert isinstance(one, Document) and isinstance(again, Document) and isinstance(other, Document)
    assert one.backtest_id == again.backtest_id != other.backtest_id


def test_an_end_that_is_a_date_holds_its_whole_day() -> None:
    """As people write it."""
    trade = legacy()["trades"][0]
    late = {**trade, "exit_time": "2020-02-01T23:59:59.999999999Z"}
    assert isinstance(read(legacy(trades=[late])), Document)
    assert isinstance(read(legacy(trades=[{**late, "exit_time": "2020-02-02"}])), list)


def test_a_result_without_a_curve_has_no_final_equity() -> None:
    """Undefined is null, and nothing follows that a return could contradict."""
    found = read(legacy(equity=[], metrics={"total_return": 4.2}))
    assert isinstance(found, Document) and found.result.final_equity is None and found.result.total_return is None


@pytest.mark.parametrize("kind", DAMAGES)
def test_damage_is_refused_with_place_and_reason(kind: str) -> None:
    """One problem, where it is."""
    found = read_document(damaged(kind), source="a.json")
    assert isinstance(found, list)
    _, pointer, reason = DAMAGES[kind]
    assert [each.pointer for each in found] == [pointer]
    assert reason in str(found[0])


@pytest.mark.parametrize("kind", BROKEN)
def test_what_is_no_document_is_refused(kind: str) -> None:
    content, pointer, reason = BROKEN[kind]
    found = read_document(content, source="a.json")
    assert isinstance(found, list) and [each.pointer for each in found] == [pointer]
    assert reason in str(found[0])


def test_all_problems_are_told_up_to_a_bound() -> None:
    """So that a person mends a document once, and a file of a million mistakes fits a terminal."""
    found = read(legacy(currency="usd", symbols=[], start=5))
    assert isinstance(found, list) and [line.partition(":")[0] for line in found] == ["/symbols", "/start", "/currency"]
    assert len(read(legacy(trades=[{}] * 9_000))) == MAX_PROBLEMS  # type: ignore[arg-type]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
PLAIN, QUICK = jsonschema.Draft202012Validator(LEGACY_RESULT), quick_validator(LEGACY_RESULT)
PLACES = tuple(LEGACY_RESULT["properties"])


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(PLACES), VALUES)
def test_whatever_stands_there_is_taken_or_refused(place: str, value: Any) -> None:
    """Never an error of ours; what is taken can be written, and is read back the same."""
    found = read({**with_orders(), place: value})
    if isinstance(found, Document):
        again = read_document(found.content, source="a.json")
        assert again == found and found.result.model_dump_json()
    else:
        assert found


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_the_quick_validator_says_what_jsonschema_says(data: st.DataObject) -> None:
    """Anything at any place of a document: the same errors, at the same places."""
    document: Any = with_orders()
    place, name = document, data.draw(st.sampled_from(sorted(document)))
    while isinstance(place[name], dict | list) and place[name] and data.draw(st.booleans()):
        place = place[name]
        name = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
    near = st.sampled_from([0, -1, 1.5, True, "", "buy", "2020-01-01", "2020-01-01\n", "x" * 200, float("nan"), [1], {}])
    place[name] = data.draw(near | VALUES)
    said = [{str(error) for error in each.iter_errors(document)} for each in (PLAIN, QUICK)]
    assert said[0] == said[1]


def test_a_row_counts_once_in_the_sums() -> None:
    """The example of docs/import.md, by hand: 10 * (101.5 - 100) - 2 = 13."""
    trade = {
        **legacy()["trades"][0],
        "side": "buy",
        "quantity": 10,
        "entry_price": 100,
        "exit_price": 101.5,
        "pnl": 13,
        "commission": 2,
    }
    document = document_of(trades=[trade])
    assert (document.result.pnl, document.result.commission, document.rows["trades"]["gross_pnl"]) == (13.0, 2.0, [15.0])
