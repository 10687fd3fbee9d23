"""Canonical JSON is RFC 8785's, vector by vector, and says no to what JSON can't say exactly."""

import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.canonical import MAX_INTEGER, canonical_json, document_digest
from schemas.errors import FieldError
from schemas.ids import sha256

# RFC 8785, appendix B: the bits of a binary64 and its only spelling.
NUMBERS = [
    ("0000000000000000", "0"),
    ("8000000000000000", "0"),
    ("0000000000000001", "5e-324"),
    ("8000000000000001", "-5e-324"),
    ("7fefffffffffffff", "1.7976931348623157e+308"),
    ("ffefffffffffffff", "-1.7976931348623157e+308"),
    ("4340000000000000", "9007199254740992"),
    ("c340000000000000", "-9007199254740992"),
    ("4430000000000000", "295147905179352830000"),
    ("44b52d02c7e14af5", "9.999999999999997e+22"),
    ("44b52d02c7e14af6", "1e+23"),
    ("44b52d02c7e14af7", "1.0000000000000001e+23"),
    ("444b1ae4d6e2ef4e", "999999999999999700000"),
    ("444b1ae4d6e2ef4f", "999999999999999900000"),
    ("444b1ae4d6e2ef50", "1e+21"),
    ("3eb0c6f7a0b5ed8c", "9.999999999999997e-7"),
    ("3eb0c6f7a0b5ed8d", "0.000001"),
    ("41b3de4355555553", "333333333.3333332"),
    ("41b3de4355555554", "333333333.33333325"),
    ("41b3de4355555555", "333333333.3333333"),
    ("41b3de4355555556", "333333333.3333334"),
    ("41b3de4355555557", "333333333.33333343"),
    ("becbf647612f3696", "-0.0000033333333333333333"),
    ("43143ff3c1cb0959", "1424953923781206.2"),
]


@pytest.mark.parametrize(("bits", "text"), NUMBERS)
def test_a_number_has_one_spelling(bits: str, text: str) -> None:
    """Appendix B of the RFC."""
    (number,) = struct.unpack(">d", bytes.fromhex(bits))
    assert canonical_json(number) == text.encode()


def test_the_example_of_the_rfc() -> None:
    """Section 3.2.2: numbers, escapes and literals in one document."""
    document = json.loads(
        r"""{"numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
        "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/", "literals": [null, true, false]}"""
    )
    assert (
        canonical_json(document)
        == (
            r'{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
            r'"string":"€$\u000f\nA'
            "'"
            r'B\"\\\\\"/"}'
        ).encode()
    )


def test_names_are_sorted_by_utf16_code_units() -> None:
    """Section 3.2.3: an emoji (a surrogate pair) comes before U+FB33, though its code point is higher."""
    names = ["\u20ac", "\r", "\ufb33", "1", "\U0001f600", "\u0080", "\u00f6"]
    document = dict.fromkeys(names, 0)
    assert list(json.loads(canonical_json(document))) == ["\r", "1", "\u0080", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]


def test_spellings_of_one_document_have_one_digest() -> None:
    """What idempotency rests on: order, spaces and spellings of numbers do not matter."""
    first = json.loads('{"b": 1.0, "a": [100000, 1e2]}')
    second = json.loads('{"a":[1e5,100],"b":1}')
    assert document_digest(first) == document_digest(second) == sha256(b'{"a":[100000,100],"b":1}')


@pytest.mark.parametrize(
    ("document", "says"),
    [
        pytest.param({"a": {"b": [0, float("nan")]}}, "spec.a.b.1: nan is not allowed: a finite number", id="NaN"),
        pytest.param({"a": float("-inf")}, "spec.a: -inf is not allowed: a finite number", id="infinity"),
        pytest.param({"a": MAX_INTEGER + 1}, "spec.a: 9007199254740992 is not allowed: an integer", id="2**53"),
        pytest.param({"a": -(10**30)}, "spec.a: -1000000000000000000000000000000 is not allowed", id="-1e30"),
    ],
)  # fmt: skip
def test_what_json_cannot_say_exactly_is_refused_by_field(document: dict[str, Any], says: str) -> None:
    """The error names the field, its value and what is allowed."""
    with pytest.raises(FieldError) as caught:
        canonical_json(document, "spec")
    assert str(caught.value).startswith(says)


def test_every_wrong_value_is_named() -> None:
    """Not only the first."""
    with pytest.raises(FieldError) as caught:
        canonical_json({"a": float("nan"), "b": [2**60], "c": MAX_INTEGER})
    assert [problem.path for problem in caught.value.problems] == ["document.a", "document.b.0"]


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-MAX_INTEGER, MAX_INTEGER)
    | st.floats(-MAX_INTEGER, MAX_INTEGER)  # a larger whole number is written like an integer, and refused as one
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(JSON)
def test_the_canonical_form_is_its_own(document: Any) -> None:
    """It means the same document, and writing that again changes nothing."""
    once = canonical_json(document)
    assert json.loads(once) == document
    assert canonical_json(json.loads(once)) == once
