"""This module runs tests against mutants, inside one pytest session.

The tests are collected and run once, without compilation, to learn which lines of the kernels each of them reaches and how
long it takes. Then each mutant gets a fork of this warm process: the code of the changed function is put in its place there, and
the tests that reach the changed statement run until one fails: first those that have found mutants of the same function, then
the quick ones. What a mutant does stays in its process.
"""

import importlib
import itertools
import json
import os
import resource
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from _pytest.runner import runtestprotocol
from coverage import Coverage
from hypothesis import Phase, settings

from tests.mutation.mutants import KERNELS, Mutant

KILLED, SURVIVED, TIMED_OUT, NOT_REACHED = "killed", "survived", "timed out", "not reached"
UNDECIDED = "undecided"  # it lived through the tests that a first look had time for
EXAMPLES = 12  # of a property: enough to reach a line often, few enough to run each mutant against it
LIMIT_TIMES, LIMIT_SECONDS = 10.0, 10.0  # of CPU: a test that takes this much longer than it did has timed out
Line = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a mutant. ``test``: the one that found it."""

    state: str
    test: str = ""
    seconds: float = 0.0


@dataclass
class Mutations:
    """A pytest plugin that runs mutants in place of the session's tests.

    notes : a file that keeps which lines the tests reach; digest_of : whatever decides that, for a file of tests
    budget_seconds : a mutant that has lived through tests of so many seconds stays undecided
    """

    todo: Callable[[], Iterator[Mutant]]
    judge: Callable[[Mutant, Verdict], None]
    notes: Path
    digest_of: Callable[[Path], str]
    budget_seconds: float
    lines: dict[str, set[Line]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    kills: Counter[tuple[str, str, str]] = field(default_factory=Counter)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        for item in session.items:
            settle_hypothesis(item)
        self._learn(session.items)
        items = {item.nodeid: item for item in session.items if self.lines[item.nodeid]}
        print(f"{len(items)} tests reach the kernels, in {sum(self.seconds[name] for name in items):.0f} s", flush=True)
        for mutant in self.todo():
            self.judge(mutant, self._try(mutant, items))
        return True

    def _learn(self, items: list[pytest.Item]) -> None:
        """Run the tests as they are, unless that was done with the same sources."""
        notes: dict[str, Any] = json.loads(self.notes.read_text()) if self.notes.exists() else {}
        reached = Reached()
        for item in items:
            digest = self.digest_of(item.path)
            if notes.get(item.nodeid, [""])[0] != digest:
                started = time.process_time()
                reached.start()
                reports = runtestprotocol(item, log=False, nextitem=None)
                lines = reached.stop()
                if failed := [report for report in reports if report.failed]:
                    raise pytest.UsageError(f"{item.nodeid} fails without any change: {failed[0].longreprtext[-2_000:]}")
                notes[item.nodeid] = [digest, time.process_time() - started, lines]
            _, self.seconds[item.nodeid], lines = notes[item.nodeid]
            self.lines[item.nodeid] = {(module, line) for module, line in lines}
        self.notes.write_text(json.dumps(notes))

    def _try(self, mutant: Mutant, items: dict[str, pytest.Item]) -> Verdict:
        span = {(mutant.module, line) for line in range(mutant.first_line, mutant.last_line + 1)}
        reaching = [name for name in items if self.lines[name] & span]
        if not reaching:
            return Verdict(NOT_REACHED)
        reaching.sort(key=lambda name: self._rank(mutant, name))
        everything = len(reaching)
        if self.budget_seconds < float("inf"):
            total = list(itertools.accumulate(self.seconds[name] for name in reaching))
            reaching = [
                name for name, spent in zip(reaching, total, strict=True) if spent <= self.budget_seconds or name == reaching[0]
            ]
        started = time.monotonic()
        state, place = in_fork(lambda report: self._attack(mutant, [items[name] for name in reaching], report))
        test = "" if state == SURVIVED else reaching[place]
        if state == SURVIVED and len(reaching) < everything:
            state = UNDECIDED
        if state == KILLED:
            self.kills[mutant.module, mutant.function, test] += 1
            self.kills[mutant.module, "", test.partition("::")[0]] += 1
        return Verdict(state, test, round(time.monotonic() - started, 2))

    def _rank(self, mutant: Mutant, name: str) -> tuple[float, ...]:
        """Order tests: what found mutants of this function first; then files that found some in this module; then the quick."""
        file = name.partition("::")[0]
        in_file = self.kills[mutant.module, "", file]
        return -self.kills[mutant.module, mutant.function, name], -in_file, self.seconds[name]

    def _attack(self, mutant: Mutant, items: list[pytest.Item], report: Callable[[int], None]) -> bool:
        """Put the mutant in its place and tell whether a test fails. ``report`` is told the test that runs."""
        put_in_place(mutant)
        for place, item in enumerate(items):
            report(place)
            limit = time.process_time() + self.seconds[item.nodeid] * LIMIT_TIMES + LIMIT_SECONDS
            resource.setrlimit(resource.RLIMIT_CPU, (int(limit), resource.RLIM_INFINITY))
            if fails(item):
                return True
        return False


def fails(item: Any) -> bool:
    """Run a test and tell whether it fails, without the report that pytest would write about it."""
    try:
        item._initrequest()
        item.session._setupstate.setup(item)
        item.runtest()
    except pytest.skip.Exception:
        return False
    except (Exception, pytest.fail.Exception):
        return True
    finally:
        item.session._setupstate.teardown_exact(None)
    return False


def in_fork(work: Callable[[Callable[[int], None]], bool]) -> tuple[str, int]:
    """Return how work ends in a process of its own, and the last number it reported."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        code = 2
        try:
            silence = os.open(os.devnull, os.O_WRONLY)
            os.dup2(silence, 1)
            os.dup2(silence, 2)
            code = 1 if work(lambda place: os.write(writing, place.to_bytes(4, "big")) and None) else 0
        except BaseException:
            code = 1  # the mutant broke more than a test
        finally:
            os._exit(code)
    os.close(writing)
    reported = b""
    while part := os.read(reading, 65_536):
        reported += part
    os.close(reading)
    _, status = os.waitpid(child, 0)
    place = int.from_bytes(reported[-4:], "big")
    if os.WIFSIGNALED(status):
        return TIMED_OUT, place
    return (KILLED if os.WEXITSTATUS(status) else SURVIVED), place


def put_in_place(mutant: Mutant) -> None:
    """Give the function the mutant's code; whoever has imported it has it too."""
    module = importlib.import_module(f"engine.kernels.{mutant.module}")
    names = dict(vars(module))
    exec(compile(mutant.source, f"<{mutant.operator}>", "exec"), names)
    vars(module)[mutant.function].__code__ = names[mutant.function].__code__


def settle_hypothesis(item: pytest.Item) -> None:
    """Let a property draw the same few examples each time, and not look for a smaller one when it fails."""
    test = getattr(item, "obj", None)
    given: Any = getattr(test, "_hypothesis_internal_use_settings", None)
    if given is None:
        return
    test._hypothesis_internal_use_settings = settings(  # type: ignore[union-attr]
        given,
        derandomize=True,
        database=None,
        deadline=None,
        max_examples=min(EXAMPLES, given.max_examples),
        phases=(Phase.explicit, Phase.generate),
    )


class Reached:
    """Which lines of the kernels run between start and stop."""

    def __init__(self) -> None:
        self.coverage = Coverage(data_file=None, include=[f"{KERNELS}/*"], config_file=False)

    def start(self) -> None:
        self.coverage.erase()
        self.coverage.start()

    def stop(self) -> list[Line]:
        self.coverage.stop()
        data = self.coverage.get_data()
        return [(Path(file).stem, line) for file in data.measured_files() for line in data.lines(file) or ()]
