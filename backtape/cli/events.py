"""This module prints events."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

import msgspec

from adapters.run_log import StoredCommit
from backtape.cli.output import console, fail, print_json
from projections.replay_state import point_of
from schemas.events import AnyEvent
from schemas.times import format_time

if TYPE_CHECKING:
    from consumers.settings import Settings

MAX_LINE = 200  # characters of an event's fields on one line


@dataclass(frozen=True, slots=True)
class Choice:
    """Which events to show. A point is a sequence or a market time; None: no bound."""

    first: tuple[int | None, int | None]
    last: tuple[int | None, int | None]
    kinds: frozenset[str]

    def has(self, event: AnyEvent) -> bool:
        (from_sequence, from_ns), (to_sequence, to_ns) = self.first, self.last
        return (
            (from_sequence is None or event.sequence >= from_sequence)
            and (from_ns is None or event.time_ns >= from_ns)
            and (to_sequence is None or event.sequence <= to_sequence)
            and (to_ns is None or event.time_ns <= to_ns)
            and (not self.kinds or type(event).__name__ in self.kinds)
        )


def choice_of(*, first: str | None, last: str | None, kinds: Sequence[str]) -> Choice:
    """Read the bounds; refuse a type of event that does not exist: no output would look like an answer."""
    known = sorted(kind.__name__ for kind in get_args(AnyEvent))
    for kind in kinds:
        if kind not in known:
            fail(f"--type: {kind!r} is not allowed: one of {', '.join(known)}")
    return Choice(point_of(first), point_of(last), frozenset(kinds))


def print_events(commits: Sequence[StoredCommit], choice: Choice, *, as_json: bool) -> None:
    """Print the chosen events of a run."""
    chosen = [(stored, event) for stored in commits for event in stored.commit.events if choice.has(event)]
    if as_json:
        print_json(
            [
                {**msgspec.to_builtins(event), "commit": stored.commit.number, "offset": stored.record.offset}
                for stored, event in chosen
            ]
        )
        return
    for _, event in chosen:
        console().print(_line(event), markup=False, soft_wrap=True)


async def follow_events(settings: "Settings", backtest_id: str, choice: Choice) -> None:
    """Print the chosen events as they come, up to the run's end."""
    from backtape.run_records import follow

    async for stored in follow(settings, backtest_id):
        for event in stored.commit.events:
            if choice.has(event):
                console().print(_line(event), markup=False, soft_wrap=True)


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
