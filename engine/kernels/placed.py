"""This module hands the kernels their arrays by reference: one address for all arrays of a tape, a state or a plan.

A compiled function takes an array as seven values or more: those of a tape and a state are 170, and were pushed on the stack
again at every call of one kernel by another, which took more time than what the kernels do. Behind an address lie the same values
as words in memory; a kernel loads those that it uses. Calls from Python become cheaper as well: 0.3 us instead of 1.6.
"""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import numba
import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import extending
from numba.core import cgutils as numba_cgutils
from numba.core.typing.templates import AttributeTemplate

Arrays = TypeVar("Arrays", bound=tuple[Any, ...])


extend: Any = extending  # numba's own annotations are few, and wrong in places
cgutils: Any = numba_cgutils
types: Any = extend.types
IS_COMPILED = not getattr(numba.config, "DISABLE_JIT")  # noqa: B009


class Placed(Generic[Arrays]):
    """A named tuple of arrays, laid where kernels find it. It must live as long as its address is used."""

    __slots__ = ("_words", "address", "arrays")

    def __init__(self, arrays: Arrays) -> None:
        self.arrays = arrays
        words = [word for array in arrays for word in _words_of(array)]
        self._words = np.array(words, dtype=np.int64)
        # Not compiled, a kernel is given the arrays themselves in the place of an address.
        self.address: Any = int(self._words.ctypes.data) if IS_COMPILED else arrays


def _words_of(array: Any) -> list[int]:
    """Return an array as numba lays it out: nobody counts references, no object, size, bytes an item, data, shape, strides."""
    assert array.flags.c_contiguous and array.flags.aligned, "kernels are compiled for arrays without gaps"
    return [0, 0, array.size, array.itemsize, array.__array_interface__["data"][0], *array.shape, *array.strides]


class Reference(types.Type):  # type: ignore[misc]  # numba has no types
    """The type of an address behind which a named tuple's arrays lie; its attributes are the tuple's fields."""

    def __init__(self, target: Any) -> None:
        self.target = target
        super().__init__(name=f"Reference({target})")


@extend.register_model(Reference)
class _ReferenceModel(extend.models.OpaqueModel):  # type: ignore[misc]
    pass


@extend.infer_getattr
class _ReferenceFields(AttributeTemplate):
    key = Reference

    def generic_resolve(self, reference: Reference, name: str) -> Any:  # type: ignore[override]
        fields = reference.target.fields
        return reference.target.types[fields.index(name)] if name in fields else None


@extend.lower_getattr_generic(Reference)  # type: ignore[untyped-decorator]
def _load_field(context: Any, builder: Any, reference: Reference, value: Any, name: str) -> Any:
    place = reference.target.fields.index(name)
    words = builder.bitcast(value, context.get_value_type(reference.target).as_pointer())
    return builder.load(cgutils.gep_inbounds(builder, words, 0, place))


@extend.intrinsic  # type: ignore[untyped-decorator]
def _prefetch(typing_context: Any, array: Any, place: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        word, pointer = ir.IntType(32), builder.bitcast(builder.gep(data, [arguments[1]]), cgutils.voidptr_t)
        kind = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, word, word, word])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        builder.call(function, [pointer, word(0), word(3), word(1)])  # to read, to be kept, data
        return context.get_dummy_value()

    return types.none(array, types.int64), generate


def _prefetch_nothing(array: Any, place: int) -> None:
    """Nothing to do where nothing is compiled."""


# Have a value fetched from memory, which takes longer than an order does. The place may lie outside of the array.
prefetch: Callable[[Any, int], None] = _prefetch if IS_COMPILED else _prefetch_nothing


def reader(arrays: tuple[Any, ...]) -> Callable[[Any], Any]:
    """Return what makes, in a kernel, a reference of an address.

    arrays : a named tuple of arrays with the types of those that will lie there
    """
    if not IS_COMPILED:
        return lambda address: address
    typeof: Any = numba.typeof
    kind = Reference(typeof(arrays))

    @extend.intrinsic  # type: ignore[untyped-decorator]
    def at(typing_context: Any, address: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.inttoptr(arguments[0], cgutils.voidptr_t)

        return kind(types.int64), generate

    result: Callable[[Any], Any] = at
    return result
