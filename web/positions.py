"""This module answers positions: the columns of the view as the model ``Position`` names them."""

from typing import Any

from projections.pages import Condition, Order
from web.models.rows import Position
from web.paging import rows_of
from web.services import Services

COLUMNS = tuple(Position.model_fields)


async def positions_page(
    services: Services,
    backtest_id: str,
    *,
    symbol: str | None = None,
    is_open: bool | None = None,
    order: Order = Order("position_id"),  # noqa: B008, frozen
    after: str | None = None,
    limit: int,
) -> tuple[list[dict[str, Any]], str | None]:
    """Return some positions of a backtest, and the word that asks for the next ones."""
    conditions = [Condition("backtest_id = {}", backtest_id)]
    if symbol is not None:
        conditions.append(Condition("symbol = {}", symbol))
    if is_open is not None:
        conditions.append(Condition("is_open = {}", is_open))
    return await rows_of(
        services, "positions", columns=COLUMNS, conditions=conditions, order=order, after=after, limit=limit
    )
