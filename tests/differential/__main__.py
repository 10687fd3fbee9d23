"""This module runs every pair of engine and rule on the real data, compares fill by fill, and writes docs/conformance.md's table.

    python -m tests.differential [--data FOLDER] [--peers PYTHON] [NAME…]

FOLDER : holds the bars of each data set as NAME.parquet with columns timestamp, open, high, low, close, volume
PYTHON : of an environment that has the other engines; without it benchmarks/peers.txt is installed into .backtape/peers
NAME : run these engines, rules and data sets alone, and write nothing

Exit code 1 when a pair differs in a way that ``KNOWN`` does not explain, or no longer differs where it does.
"""

import argparse
import json
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import peers
from tests.differential.known import KNOWN
from tests.differential.ours import Fill, run_ours
from tests.differential.page import write_table
from tests.differential.rules import STRATEGIES, TICKS

FOLDER = Path(__file__).parent / "peers"
ROOT = Path(__file__).parents[2]
TOLERANCE = 1e-9  # relative, of the final equity

# Engine: its script, the execution section that stands for it, the rules that it has no order for.
ENGINES: dict[str, tuple[str, dict[str, Any], tuple[str, ...]]] = {
    "backtesting.py": ("run_backtesting_py.py", {"preset": "backtesting.py"}, ()),
    "backtrader": ("run_backtrader.py", {"preset": "backtrader"}, ()),
    "vectorbt": ("run_vectorbt.py", {"preset": "vectorbt"}, ("limit_reversion",)),
    "nautilus": ("run_nautilus.py", {"preset": "nautilus", "gap_stop": "stop"}, ()),  # 1.221: the last for Python 3.11
}


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison. Fills of one order that an engine reports in parts (a close and an opening) are put together first."""

    engine: str
    version: str
    strategy: str
    data: str
    theirs: int
    ours: int
    agreeing: int
    their_equity: float
    our_equity: float
    only_theirs: list[Fill]
    only_ours: list[Fill]

    @property
    def agrees(self) -> bool:
        same_equity = abs(self.their_equity - self.our_equity) <= TOLERANCE * abs(self.their_equity)
        return self.theirs == self.ours == self.agreeing and same_equity

    def __str__(self) -> str:
        counts = f"{self.agreeing:,} of {self.theirs:,} fills, {self.ours:,} of ours"
        text = (
            f"{self.engine:15} {self.strategy:16} {self.data:12} {counts}, equity {self.their_equity!r} and {self.our_equity!r}"
        )
        for name, fills in (("theirs", self.only_theirs), ("ours", self.only_ours)):
            text += "".join(f"\n    only {name}: {fill}" for fill in fills[:3])
        return text


def compare(engine: str, strategy: str, data: str, python: str, folder: Path) -> Row:
    script, execution, _ = ENGINES[engine]
    path = folder / f"{data}.parquet"
    answer = subprocess.run(
        [python, "-W", "ignore", str(FOLDER / script), str(path), data, strategy], capture_output=True, text=True, check=False
    )
    if answer.returncode:
        raise RuntimeError(f"{engine} {strategy} {data}: {answer.stderr[-2_000:]}")
    document = json.loads(answer.stdout.splitlines()[-1])
    theirs = merged([(time, side, quantity, price) for time, side, quantity, price in document["fills"]])
    ours, equity = run_ours(path, data, strategy, execution)
    ours = merged(ours)
    only_theirs, only_ours = differing(theirs, ours, TICKS[data])
    return Row(
        engine, document["engine"], strategy, data, len(theirs), len(ours), len(theirs) - len(only_theirs),
        document["final_equity"], equity, only_theirs, only_ours,
    )  # fmt: skip


def merged(fills: list[Fill]) -> list[Fill]:
    """Put neighbours of the same time, side and price together."""
    result: list[Fill] = []
    for time, side, quantity, price in fills:
        if result and (result[-1][0], result[-1][1], result[-1][3]) == (time, side, price):
            quantity += result.pop()[2]
        result.append((time, side, quantity, price))
    return result


def differing(theirs: list[Fill], ours: list[Fill], tick: float) -> tuple[list[Fill], list[Fill]]:
    """Return the fills that only one side has. Equal: time, side, quantity, and the price to a millionth of a tick."""

    def key(fill: Fill) -> tuple[int, int, float, int]:
        return fill[0], fill[1], round(fill[2], 9), round(fill[3] / tick * 1e6)

    left, right = Counter(map(key, theirs)), Counter(map(key, ours))
    return [fill for fill in theirs if left[key(fill)] > right[key(fill)]], [
        fill for fill in ours if right[key(fill)] > left[key(fill)]
    ]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.differential")
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--peers", default="")
    options = parser.parse_args()
    if missing := [name for name in TICKS if not (options.data / f"{name}.parquet").exists()]:
        print(f"no bars of {', '.join(missing)} in {options.data}: name their folder by --data", file=sys.stderr)
        return 2
    if not options.peers:
        peers.install()
    python = options.peers or str(peers.python())
    names = set(options.names)
    cases = [
        (engine, strategy, data)
        for engine, (_, _, without) in ENGINES.items()
        for strategy in STRATEGIES
        for data in TICKS
        if strategy not in without and all(part & {engine, strategy, data} for part in asked(names))
    ]
    rows = []
    for case in cases:
        rows.append(compare(*case, python, options.data))
        print(rows[-1], flush=True)
    if not names:
        write_table(ROOT / "docs" / "conformance.md", rows)
    unexplained = [row for row in rows if row.agrees == ((row.engine, row.strategy, row.data) in KNOWN)]
    return 1 if unexplained else 0


def asked(names: set[str]) -> list[set[str]]:
    """Return the kinds of names that were given, each with what of it was."""
    kinds: list[set[str]] = [set(ENGINES), set(STRATEGIES), set(TICKS)]
    return [kind & names for kind in kinds if kind & names]


if __name__ == "__main__":
    sys.exit(main())
