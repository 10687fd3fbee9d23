"""This module looks for look-ahead in the strategy of a spec, on the data that the spec names."""

from typing import TYPE_CHECKING

from backtape.market_input import market_of_store
from backtape.running import strategy_of
from backtape.spec_input import Document
from schemas.spec import parse_spec

if TYPE_CHECKING:
    from engine.lookahead import LookAhead


def lookahead_of(document: Document, store: str, *, cuts: int) -> "LookAhead | None":
    """Return the first event that depends on later bars, None if there is none.

    store : of data sets: a folder, file:///… or s3://…
    Raises SchemaError for a wrong spec, NotFoundError for data or a strategy that is not there, StrategyError when it raises.
    """
    from engine.lookahead import find_lookahead

    spec = parse_spec(document)
    strategy = strategy_of(document, document)
    return find_lookahead(spec, market_of_store(store, spec), strategy, cuts)
