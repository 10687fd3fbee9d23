"""This module runs every pair of engine and rule on the real data, compares fill by fill, and writes docs/conformance.md's table.

    python -m tests.differential PEERS_PYTHON DATA_FOLDER

Exit code 1 when a pair differs in a way that ``KNOWN`` does not explain.
"""

import json
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.differential.ours import Fill, run_ours
from tests.differential.rules import STRATEGIES

FOLDER = Path(__file__).parent / "peers"
PAGE = Path(__file__).parents[2] / "docs" / "conformance.md"
BEGIN, END = "<!-- table of make differential -->", "<!-- end of the table -->"
TICKS = {"AAPL.1d": 0.001, "SPY.1d": 0.01, "BTC-PERP.1m": 0.5, "GBPUSD.1m": 0.00001}
TOLERANCE = 1e-9  # relative, of a price and of the final equity

# Engine: its script, the execution section that stands for it, what it has no order for.
ENGINES: dict[str, tuple[str, dict[str, Any], tuple[str, ...]]] = {
    "backtesting.py": ("run_backtesting_py.py", {"preset": "backtesting.py"}, ()),
    "backtrader": ("run_backtrader.py", {"preset": "backtrader"}, ()),
    "vectorbt": ("run_vectorbt.py", {"preset": "vectorbt"}, ("limit_reversion",)),
    "nautilus": ("run_nautilus.py", {"preset": "nautilus", "gap_stop": "stop"}, ()),  # 1.221: the last for Python 3.11
}


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison."""

    engine: str
    version: str
    strategy: str
    data: str
    theirs: int
    ours: int
    agreeing: int
    their_equity: float
    our_equity: float
    first: str  # the first fill that only one side has

    @property
    def agrees(self) -> bool:
        same_equity = abs(self.their_equity - self.our_equity) <= TOLERANCE * abs(self.their_equity)
        return self.theirs == self.ours == self.agreeing and same_equity


def compare(engine: str, strategy: str, data: str, python: str, folder: Path) -> Row:
    script, execution, _ = ENGINES[engine]
    path, tick = folder / f"{data}.parquet", TICKS[data]
    answer = subprocess.run(
        [python, "-W", "ignore", str(FOLDER / script), str(path), data, strategy, str(tick)],
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.returncode:
        raise RuntimeError(f"{engine} {strategy} {data}: {answer.stderr[-2_000:]}")
    document = json.loads(answer.stdout[answer.stdout.index('{"engine"') :])
    theirs = [(time, side, quantity, price) for time, side, quantity, price in document["fills"]]
    ours, equity = run_ours(path, data, strategy, tick, execution)
    only_theirs, only_ours = differing(theirs, ours, tick)
    first = min([*(f"theirs {fill}" for fill in only_theirs[:1]), *(f"ours {fill}" for fill in only_ours[:1])], default="")
    return Row(
        engine, document["engine"], strategy, data, len(theirs), len(ours), len(theirs) - len(only_theirs),
        document["final_equity"], equity, first,
    )  # fmt: skip


def differing(theirs: list[Fill], ours: list[Fill], tick: float) -> tuple[list[Fill], list[Fill]]:
    """Return the fills that only one side has. Equal: time, side, quantity, and the price to a millionth of a tick."""

    def key(fill: Fill) -> tuple[int, int, float, int]:
        return fill[0], fill[1], round(fill[2], 9), round(fill[3] / tick * 1e6)

    left, right = Counter(map(key, theirs)), Counter(map(key, ours))
    return [fill for fill in theirs if left[key(fill)] > right[key(fill)]], [
        fill for fill in ours if right[key(fill)] > left[key(fill)]
    ]


def main() -> int:
    python, folder = sys.argv[1], Path(sys.argv[2])
    only = sys.argv[3:]
    rows = []
    for engine, (_, _, without) in ENGINES.items():
        for strategy in STRATEGIES:
            for data in TICKS:
                if strategy in without or (only and not {engine, strategy, data} & set(only)):
                    continue
                row = compare(engine, strategy, data, python, folder)
                rows.append(row)
                print(row, flush=True)
    return 0 if all(row.agrees for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
