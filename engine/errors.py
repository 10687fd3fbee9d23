"""This module holds the errors that a simulation can end with.

The tree::

    EngineError                the run can't go on; the message is what the run's owner records
    ├── StrategyError          the strategy's own code raised, or broke a rule of the engine
    ├── NoDataError            no bar lies in the range that the spec asks for
    ├── UnknownSymbolError     the market has no bars of a symbol that the spec names
    ├── CurrencyError          an instrument is paid in another currency than the account's, and there is no rate
    └── ParametersError        the strategy's parameters do not follow their schema
"""

import traceback
from pathlib import Path

CALLBACKS = ("__init__", "prepare", "signals", "on_start", "on_bar", "on_order", "on_fill", "on_position", "on_end")
MAX_DETAIL = 1_000  # characters of a detail that an event repeats


class EngineError(Exception):
    """The run can't go on."""


class NoDataError(EngineError):
    """No bar lies in the range that the spec asks for."""


class NoSessionError(NoDataError):
    """The sessions of a calendar do not cover the bars."""


class UnknownSymbolError(EngineError):
    """The market has no bars of a symbol that the spec names."""


class CurrencyError(EngineError):
    """An instrument is paid in another currency than the account's, and the data set has no rate that converts it."""


class ParametersError(EngineError):
    """The strategy's parameters do not follow their schema, or the spec's policies do not fit the instruments."""


class StrategyError(EngineError):
    """The strategy raised. The text holds the exception's type and message, and the line in the strategy's file."""


def strategy_error(error: BaseException) -> BaseException:
    """Return the error as a StrategyError if the strategy's code had a part in it, else the error itself.

    The file's name is kept without its folder, and nothing in the text depends on the machine: it becomes an event.
    """
    if isinstance(error, EngineError):
        return error
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not _is_ours(frame.filename)]
    if not frames:
        return error
    last = frames[-1]
    theirs = next((frame for frame in frames if frame.name in CALLBACKS), last)
    message = " ".join(str(error).split())
    place = f"{Path(last.filename).name}:{last.lineno}: {(last.line or '').strip()}"
    return StrategyError(f"{type(error).__name__} in {theirs.name} at {place}: {message}"[:MAX_DETAIL])


def _is_ours(filename: str) -> bool:
    """Tell whether a frame belongs to the engine itself; its built-in strategies count as users' code."""
    path = Path(filename)
    here = Path(__file__).parent
    return here in path.parents and path.parent != here / "strategies"
