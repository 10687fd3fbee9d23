"""This package is the command line. Each command imports what it needs when it runs, so that ``--help`` is quick."""

import gc

# New objects until the next collection. At Python's 700 it looks through all that is being imported dozens of times: a tenth of
# a cold start. Cycles are rare here (events take no part in collections), and so many of them weigh a few megabytes.
COLLECT_AFTER = 50_000


def main() -> None:
    """Run the command line."""
    gc.set_threshold(COLLECT_AFTER)

    from backtape.cli.app import run

    run()
