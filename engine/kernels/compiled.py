"""This module holds the decorator that compiles a kernel, and keeps the cache of compiled kernels honest.

numba's own cache looks at one file's time stamp only: a caller keeps an outdated copy of a callee from another file. Here
the stamp is the digest of all kernel sources, so that any change recompiles what may depend on it.
"""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numba

from schemas.ids import sha256

Function = TypeVar("Function", bound=Callable[..., Any])

OPTIONS: dict[str, Any] = {"cache": True, "error_model": "numpy", "_nrt": False}


@functools.cache
def sources_digest() -> str:
    """Return the SHA-256 over all kernel sources, in the order of their names."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return sha256(b"\0".join(file.read_bytes() for file in files))


def kernel(function: Function) -> Function:
    """Compile a function on first use, without fastmath, cached on disk. Division by zero must be guarded by the caller.

    No kernel makes an array, so numba's counting of references is switched off (a kernel that allocates does not compile): it
    costs two locked instructions for each array of a named tuple at each look at one, 200 ns in a loop that needs 1 without.
    """
    compiled: Any = numba.njit(**OPTIONS)(function)
    if hasattr(compiled, "get_call_template"):
        _forget_constants(compiled)
    cache = getattr(compiled, "_cache", None)  # absent when NUMBA_DISABLE_JIT is set
    index = getattr(cache, "_cache_file", None)
    if index is not None:
        index._source_stamp = sources_digest()
    result: Function = compiled
    return result


def _forget_constants(compiled: Any) -> None:
    """Let a kernel be compiled once for each type of its arguments, not again for each constant that is written at a call.

    ``new_effect(state, FILLED, step)`` and its like made 17 kernels of one, each linked into all callers: half of the time that
    compiling took. What is worth specialising is inlined all the same.
    """
    template_for: Any = compiled.get_call_template
    unliteral: Any = numba.types.unliteral

    def get_call_template(args: tuple[Any, ...], kws: dict[str, Any]) -> Any:
        return template_for(tuple(unliteral(each) for each in args), {name: unliteral(each) for name, each in kws.items()})

    compiled.get_call_template = get_call_template
