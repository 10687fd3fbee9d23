"""This module is ``make mutation``: it runs the mutants that have no verdict yet and writes docs/mutation.md.

    python -m tests.mutation [MODULE…] [--seconds N] [--budget N] [--again-survivors] [--report]

--seconds : stop after so many and write down how far it came; the next run goes on from there
--budget : a first look: leave a mutant undecided after tests of so many seconds; the next run without it decides
--again-survivors : try what survived once more, after tests were added
--report : run nothing, write the page

Exit code 1 when a mutant survives that EXPLAINED does not explain.
"""

import argparse
import functools
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from schemas.ids import sha256
from tests.mutation.explained import EQUIVALENT, EXPLAINED
from tests.mutation.mutants import Mutant, mutants_of
from tests.mutation.page import write_page
from tests.mutation.runner import NOT_REACHED, SURVIVED, UNDECIDED, Mutations, Verdict

ROOT = Path(__file__).parents[2]
MODULES = (
    "touch", "matching", "accounting", "valuation", "costs", "trailing", "path", "execution", "book", "buying_power", "rounding",
    "margin", "corporate", "due", "lots", "kinds", "own_orders", "chance",
)  # fmt: skip
TESTS = ("tests/unit/engine", "tests/golden", "tests/property")
LONG = "many_blocks or across_blocks or many_lots or long_run or evenly or card"  # thousands of bars, or no kernel
# Beside the point: other processes and texts; whole runs that find nothing which a smaller test does not find sooner.
LEFT_OUT = (
    "test_determinism.py", "test_recorder.py", "test_forbidden.py", "test_lookahead.py", "test_resume.py", "test_replay.py",
)  # fmt: skip


def main() -> int:
    assert os.environ.get("NUMBA_DISABLE_JIT") == "1", "run with NUMBA_DISABLE_JIT=1: compiled code has no lines to change"
    parser = argparse.ArgumentParser(prog="python -m tests.mutation")
    parser.add_argument("modules", nargs="*", default=MODULES)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--budget", type=float, default=float("inf"))
    parser.add_argument("--again-survivors", action="store_true")
    parser.add_argument("--report", action="store_true")
    options = parser.parse_args()
    file = ROOT / ".backtape" / "mutation" / "verdicts.jsonl"
    file.parent.mkdir(parents=True, exist_ok=True)
    verdicts = read(file)
    if not options.report:
        stop_at = time.monotonic() + options.seconds

        def todo() -> Iterator[Mutant]:
            os.nice(19)  # it takes hours: whatever else runs here comes first
            for mutant in (mutant for module in options.modules for mutant in mutants_of(module)):
                if any(one.holds_for(mutant) for one in EQUIVALENT):
                    continue
                old = verdicts.get(mutant.key)
                again = options.again_survivors and old is not None and old.state in (SURVIVED, NOT_REACHED)
                undecided = old is not None and old.state == UNDECIDED and options.budget == float("inf")
                if (old is None or again or undecided) and time.monotonic() < stop_at:
                    yield mutant

        def judge(mutant: Mutant, verdict: Verdict) -> None:
            verdicts[mutant.key] = verdict
            with file.open("a") as results:
                results.write(json.dumps([mutant.key, verdict.state, verdict.test, verdict.seconds]) + "\n")
            if verdict.state in (SURVIVED, NOT_REACHED):
                place = f"{mutant.module}.py:{mutant.first_line} {mutant.function}"
                print(f"{verdict.state}: {place}: {mutant.was}  ->  {mutant.became}  [{mutant.operator}]", flush=True)

        arguments = ["-q", "-s", "--tb=no", "-p", "no:cacheprovider", "-W", "ignore", "-k", f"not ({LONG})", *TESTS]
        arguments += [f"--ignore-glob=*/{name}" for name in LEFT_OUT]
        code = pytest.main(
            arguments, plugins=[Mutations(todo, judge, file.with_name("reached.json"), digest_of_sources(), options.budget)]
        )
        if code not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            return int(code)
    mutants = [mutant for module in MODULES for mutant in mutants_of(module)]
    unexplained = write_page(ROOT / "docs" / "mutation.md", mutants, verdicts, EQUIVALENT + EXPLAINED)
    for mutant in unexplained:
        print(f"unexplained: {mutant.module}.py:{mutant.first_line} {mutant.function}: {mutant.was}  ->  {mutant.became}")
    return 1 if unexplained else 0


def digest_of_sources() -> Callable[[Path], str]:
    """Return what computes the SHA-256 over whatever decides which lines the tests of a file reach."""
    files = sorted(file for folder in ("engine", "schemas") for file in (ROOT / folder).rglob("*.py"))
    files += sorted((ROOT / "tests" / "conformance").rglob("*.json"))
    files += [ROOT / "tests" / "unit" / "engine" / name for name in ("factories.py", "recipes.py")]
    common = b"\0".join(file.read_bytes() for file in files)
    return functools.cache(lambda file: sha256(common + file.read_bytes()))


def read(file: Path) -> dict[str, Verdict]:
    """Return the last verdict on each mutant, by its key."""
    if not file.exists():
        return {}
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    return {key: Verdict(state, test, seconds) for key, state, test, seconds in rows}


if __name__ == "__main__":
    sys.exit(main())
