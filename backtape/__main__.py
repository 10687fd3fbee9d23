"""This module lets ``python -m backtape`` be the command line."""

from backtape.cli import main

if __name__ == "__main__":
    main()
