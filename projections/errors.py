"""This module holds the error of a fold: events that contradict each other, or hold what no row can.

::

    FoldError(Exception)    the commit is refused as a whole; its backtest is quarantined
"""


class FoldError(Exception):
    """An event does not fit what came before it."""
