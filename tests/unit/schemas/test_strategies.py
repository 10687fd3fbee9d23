"""Tests of how a strategy's parameters are held to its schema."""

from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.registry import BUILTINS, card
from schemas.errors import FieldError
from schemas.strategies import StrategyCard, _plainly_follow, complete_parameters

BOUNDED = {"type": "integer", "minimum": 2, "exclusiveMaximum": 5}
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 12), st.floats(-3, 12), st.just(float("nan")), st.text(max_size=2), st.just([1])
)
BOUND = st.integers(0, 9)
NUMBER = st.fixed_dictionaries(
    {"type": st.sampled_from(["integer", "number"])},
    optional={
        "minimum": BOUND, "maximum": BOUND, "exclusiveMinimum": BOUND, "exclusiveMaximum": BOUND, "multipleOf": st.integers(1, 9),
    },
)  # fmt: skip
PLAIN = st.one_of(NUMBER, st.sampled_from([{"type": "boolean"}, {"type": "string"}, {"type": "null"}, {"enum": [1]}, {}]))
PARTS = st.one_of(PLAIN, st.fixed_dictionaries({"anyOf": st.lists(PLAIN, min_size=1, max_size=2)}))


@given(PARTS, VALUES)
def test_what_passes_quickly_follows_the_schema(part: dict[str, Any], value: object) -> None:
    """The short way says yes only where JSON Schema says yes; it may leave the answer to it."""
    schema = {"type": "object", "properties": {"x": part}, "additionalProperties": False}
    if _plainly_follow(schema, {"x": value}):
        assert jsonschema.Draft202012Validator(schema).is_valid({"x": value})


@pytest.mark.parametrize(
    ("value", "is_allowed"),
    [(1, False), (2, True), (4, True), (5, False), (2.5, False), (True, False), ("3", False), (None, False)],
)
def test_a_bound_is_kept(value: object, is_allowed: bool) -> None:
    """At least 2, less than 5, whole."""
    one = StrategyCard(
        name="one", summary="", parameters=_object({"x": BOUNDED}), defaults={}, code_digest=""
    )  # fmt: skip
    if is_allowed:
        assert complete_parameters(one, {"x": value}) == {"x": value}
    else:
        with pytest.raises(FieldError, match=r"spec\.strategy\.parameters"):
            complete_parameters(one, {"x": value})


@pytest.mark.parametrize("name", sorted(set(BUILTINS) - {"order_list", "target_weights"}))
def test_the_parameters_of_built_in_strategies_need_no_validator(name: str) -> None:
    """Their schemas are of the plain kind: a cold start does not load what is needed for the others."""
    described = card(BUILTINS[name], name)
    assert _plainly_follow(described.parameters, described.defaults)


def test_an_unknown_or_missing_parameter_is_no_plain_yes() -> None:
    """Names are held to the schema too."""
    schema = _object({"x": BOUNDED}) | {"required": ["x"]}
    assert _plainly_follow(schema, {"x": 3})
    assert not _plainly_follow(schema, {})
    assert not _plainly_follow(schema, {"x": 3, "y": 3})


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "additionalProperties": False}
