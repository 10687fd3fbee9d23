"""Tests of the names of the read model's generations."""

import pytest

from schemas.generations import Generation, parse_generation


@pytest.mark.parametrize(
    ("generation", "name", "schema"),
    [
        (Generation(1), "v1", "backtape_v1"),
        (Generation(1, 2), "v1_2", "backtape_v1_2"),
        (Generation(12, 34), "v12_34", "backtape_v12_34"),
    ],
)
def test_a_name_says_version_and_number(generation: Generation, name: str, schema: str) -> None:
    """Names follow from the two numbers, and lead back to them."""
    assert (generation.name, generation.schema) == (name, schema)
    assert parse_generation(name) == generation


@pytest.mark.parametrize("name", ["", "1", "v0", "v1_1", "v1_0", "v1_2_3", "backtape_v1", "v1; DROP", "v01"])
def test_another_name_is_refused(name: str) -> None:
    """What is no generation's own name never reaches a statement."""
    with pytest.raises(ValueError, match="no generation of the read model"):
        parse_generation(name)


def test_generations_are_ordered_by_version_then_number() -> None:
    """The newest is the greatest."""
    assert max(Generation(1, 9), Generation(2), Generation(1)) == Generation(2)
