"""This module is what the scripts share that run inside the peers' environment. It imports nothing of ours.

Each script gets a case, a file of bars (npz: time_ns, open, high, low, close, volume, fast, slow, entries, exits; of several
symbols with a first axis) and the number of runs, and prints one JSON document: seconds of each run, and the count of fills.
"""

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

CASH = 10_000_000.0
STOP, TARGET = 0.99, 1.02  # of the last close: where brackets lie


def main(cases: dict[str, Callable[[dict[str, Any]], Callable[[], int]]]) -> None:
    """Run one case. Each case is given the columns, makes its data ready, and returns what is to be timed."""
    case, path, runs = sys.argv[1], sys.argv[2], int(sys.argv[3])
    clock = time.perf_counter if sys.argv[4:] == ["--wall"] else time.process_time
    with np.load(path) as file:
        columns = {name: file[name] for name in file.files}
    seconds, fills = [], 0
    for _ in range(runs):
        timed = cases[case](columns)
        began = clock()
        fills = timed()
        seconds.append(clock() - began)
    print(json.dumps({"seconds": seconds, "fills": fills}))
