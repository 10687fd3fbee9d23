"""This module plays a given list of orders: signals from elsewhere, or cases for a test."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from engine.strategy import Order, Strategy
from schemas.spec import Model, Symbol
from schemas.times import TimeField, parse_time


class Instruction(Model):
    """One line of the list, at the close of bar ``at`` (0 is the first) or of the first bar that starts at or after ``time``.

    Either an order (``side`` …), or ``cancel`` or ``modify`` with the id of an earlier one.
    """

    at: Annotated[int, Field(ge=-1)] | None = None
    time: TimeField | None = None
    id: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    symbol: Symbol | None = None
    side: Literal["buy", "sell"] | None = None
    quantity: float | None = None
    value: float | None = None
    fraction: float | None = None
    limit_price: float | None = None
    stop_price: float | None = None
    time_in_force: Literal["gtc", "day", "gtd", "ioc", "fok"] = "gtc"
    expires_at: TimeField | None = None
    trail_amount: float | None = None
    trail_percent: float | None = None
    trail_ticks: float | None = None
    limit_offset: float | None = None
    touch_price: float | None = None
    session: Literal["open", "close"] | None = None
    post_only: bool = False
    reduce_only: bool = False
    oco_group: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    parent: str | None = None
    stop_loss: float | None = None
    take_profit: float | None = None
    cancel: str | None = None
    modify: str | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.at is None) == (self.time is None):
            raise ValueError("exactly one of at, time is needed")
        if sum(choice is not None for choice in (self.side, self.cancel, self.modify)) != 1:
            raise ValueError("exactly one of side, cancel, modify is needed")
        sizes = sum(size is not None for size in (self.quantity, self.value, self.fraction))
        if self.side is not None and sizes != 1:
            raise ValueError("exactly one of quantity, value, fraction is needed")
        return self


class OrderList(Strategy):
    """Play a given list of orders, cancels and changes, each at its bar."""

    class Parameters(Strategy.Parameters):
        orders: Annotated[list[Instruction], Field(max_length=10_000)] = Field(default_factory=list)

    def on_start(self) -> None:
        self.sent: dict[str, Order] = {}
        self.by_step: dict[int, list[Instruction]] = {}
        self.by_time: list[tuple[int, int, Instruction]] = []
        for place, instruction in enumerate(self.parameters.orders):
            if instruction.at is not None:
                self.by_step.setdefault(instruction.at, []).append(instruction)
            else:
                self.by_time.append((parse_time(instruction.time), place, instruction))
        self.by_time.sort(key=lambda entry: entry[:2], reverse=True)  # the next one stands last
        for instruction in self.by_step.pop(-1, []):
            self._follow(instruction)

    def on_bar(self) -> None:
        if self.by_step:
            for instruction in self.by_step.pop(self.step, ()):
                self._follow(instruction)
        while self.by_time and self.by_time[-1][0] <= self.time_ns:
            self._follow(self.by_time.pop()[2])

    def _follow(self, instruction: Instruction) -> None:
        if instruction.cancel is not None:
            if instruction.cancel in self.sent:
                self.sent[instruction.cancel].cancel()
        elif instruction.modify is not None:
            if instruction.modify in self.sent:
                self.sent[instruction.modify].modify(
                    quantity=instruction.quantity, limit=instruction.limit_price, stop=instruction.stop_price
                )
        else:
            self._send(instruction)

    def _send(self, instruction: Instruction) -> None:
        terms: dict[str, Any] = {
            "symbol": instruction.symbol,
            "value": instruction.value,
            "fraction": instruction.fraction,
            "limit": instruction.limit_price,
            "stop": instruction.stop_price,
            "time_in_force": instruction.time_in_force,
            "expires_at": instruction.expires_at,
            "trail_amount": instruction.trail_amount,
            "trail_percent": instruction.trail_percent,
            "trail_ticks": instruction.trail_ticks,
            "limit_offset": instruction.limit_offset,
            "touch": instruction.touch_price,
            "session": instruction.session,
            "post_only": instruction.post_only,
            "reduce_only": instruction.reduce_only,
            "oco": instruction.oco_group,
            "stop_loss": instruction.stop_loss,
            "take_profit": instruction.take_profit,
            "parent": self.sent.get(instruction.parent) if instruction.parent is not None else None,
            "tag": instruction.id,
        }
        send = self.buy if instruction.side == "buy" else self.sell
        order = send(instruction.quantity, **terms)
        if instruction.id is not None:
            self.sent[instruction.id] = order
