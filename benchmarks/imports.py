"""This module writes small results of another system, as many as one wants, for `backtape import-results` to be timed with.

python -m benchmarks.imports FOLDER 10000
"""

import json
import sys
from pathlib import Path

from tests.legacy_results import legacy


def write(folder: Path, documents: int) -> None:
    """Write one file a document: 3 trades, 6 points of equity, 4 metrics; 1.2 KB each."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(documents):
        (folder / f"{number:07d}.json").write_text(json.dumps(legacy(number)))


if __name__ == "__main__":
    write(Path(sys.argv[1]), int(sys.argv[2]))
