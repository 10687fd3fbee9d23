"""This module prints events."""

from collections.abc import Sequence
from typing import get_args

import msgspec

from backtape.cli.output import STDOUT, fail, print_json
from backtape.proof.run_log import StoredCommit
from schemas.events import AnyEvent
from schemas.times import format_time

MAX_LINE = 200  # characters of an event's fields on one line


def check_kinds(kinds: Sequence[str]) -> None:
    """Refuse a type of event that does not exist: no output would look like an answer."""
    known = sorted(kind.__name__ for kind in get_args(AnyEvent))
    for kind in kinds:
        if kind not in known:
            fail(f"--type: {kind!r} is not allowed: one of {', '.join(known)}")


def print_events(commits: Sequence[StoredCommit], *, first: int | None, last: int | None, kinds: set[str], as_json: bool) -> None:
    """Print the events of a run between two sequences, of some types."""
    chosen = [
        (stored, event)
        for stored in commits
        for event in stored.commit.events
        if (first is None or event.sequence >= first)
        and (last is None or event.sequence <= last)
        and (not kinds or type(event).__name__ in kinds)
    ]
    if as_json:
        print_json(
            [
                {**msgspec.to_builtins(event), "commit": stored.commit.number, "offset": stored.record.offset}
                for stored, event in chosen
            ]
        )
        return
    for _, event in chosen:
        STDOUT.print(_line(event), markup=False, soft_wrap=True)


def _line(event: AnyEvent) -> str:
    fields = msgspec.to_builtins(event)
    time = format_time(event.time_ns) if event.time_ns else "–"
    rest = {name: value for name, value in fields.items() if name not in ("type", "sequence", "time_ns")}
    text = " ".join(f"{name}={_short(value)}" for name, value in rest.items())
    return f"{event.sequence:>7}  {time:<20}  {type(event).__name__:<18}  {text[:MAX_LINE]}"


def _short(value: object) -> str:
    if isinstance(value, list) and len(value) > 3:
        return f"[{value[0]} … {value[-1]}; {len(value)}]"
    return str(value)
