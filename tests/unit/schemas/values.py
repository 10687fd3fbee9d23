"""This module makes hypothesis strategies for msgspec structs from their own annotations, so that a new field is covered."""

import types
import typing
from enum import EnumType
from typing import Any, Union

import msgspec
from hypothesis import strategies as st

INT64 = st.integers(-(2**63), 2**63 - 1)
JSON = st.recursive(
    st.none() | st.booleans() | INT64 | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def structs(kind: type[msgspec.Struct], **fixed: Any) -> st.SearchStrategy[Any]:
    """Return a strategy of values of one struct type; ``fixed`` fields have the value that is given."""
    hints = typing.get_type_hints(kind)
    fields = {name: values_of(hints[name]) for name in kind.__struct_fields__ if name not in fixed}
    return st.builds(kind, **fields, **{name: st.just(value) for name, value in fixed.items()})


def values_of(hint: Any) -> st.SearchStrategy[Any]:
    """Return a strategy of what a field with this annotation can hold."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        return st.one_of([values_of(each) for each in arguments])
    if origin is tuple:
        return st.lists(values_of(arguments[0]), max_size=3).map(tuple)
    if origin is dict:
        return st.dictionaries(st.text(max_size=8), values_of(arguments[1]), max_size=3)
    if isinstance(hint, EnumType):
        return st.sampled_from(list(hint))
    simple = {int: INT64, float: st.floats(allow_nan=False, allow_infinity=False), str: st.text(max_size=12),
              bool: st.booleans(), type(None): st.none(), Any: JSON}  # fmt: skip
    return simple[hint]
