"""This package is the command line. Each command imports what it needs when it runs, so that ``--help`` is quick."""


def main() -> None:
    """Run the command line."""
    from backtape.cli.app import run

    run()
