"""This module names the shapes that rows have between the fold and whoever writes them. It imports nothing that costs memory."""

from typing import Any, Literal

Row = tuple[Any, ...]  # in the order of a table's columns; times are int64 nanoseconds
Form = Literal["sql", "full"]  # of Arrow columns: projections/arrow.py
