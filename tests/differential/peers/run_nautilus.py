"""This script runs one of the rules in NautilusTrader, on bars alone. Volumes are made large: their limit is no subject here."""

from decimal import Decimal

import nautilus_trader
import numpy as np
from common import rules, task
from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
from nautilus_trader.config import LoggingConfig
from nautilus_trader.model.currencies import USDT
from nautilus_trader.model.data import Bar, BarType
from nautilus_trader.model.enums import AccountType, OmsType, OrderSide
from nautilus_trader.model.identifiers import InstrumentId, Symbol, Venue
from nautilus_trader.model.instruments import Equity
from nautilus_trader.model.objects import Money, Price, Quantity
from nautilus_trader.trading.strategy import Strategy

TASK = task()
COLUMNS, TIMES = TASK.columns, TASK.times
PLACES = max(0, round(-np.log10(TASK.tick)))
INSTRUMENT = InstrumentId.from_str("X.SIM")
KIND = BarType.from_str("X.SIM-1-MINUTE-LAST-EXTERNAL")
VENUE = Venue("SIM")


class Rules(Strategy):
    def on_start(self) -> None:
        self.bar = -1
        self.held = 0
        self.entry = None
        self.trail = None
        self.subscribe_bars(KIND)

    def on_order_filled(self, event) -> None:
        side = 1 if event.order_side == OrderSide.BUY else -1
        TASK.fill(event.ts_event, side, event.last_qty.as_double(), event.last_px.as_double())

    def is_flat(self) -> bool:
        return self.portfolio.is_flat(INSTRUMENT)

    def price(self, value: float) -> Price:
        return Price(float(value), PLACES)

    def on_bar(self, bar: Bar) -> None:
        self.bar += 1
        place, quantity = self.bar, Quantity(TASK.quantity, 0)
        if TASK.strategy == "limit_reversion":
            if self.entry is not None and self.entry.is_open:
                self.cancel_order(self.entry)
            self.held = 0 if self.is_flat() else self.held + 1
            if not self.is_flat():
                if self.held == rules.HOLD_BARS:
                    self.close_all_positions(INSTRUMENT)
            elif COLUMNS["enter"][place]:
                self.entry = self.order_factory.limit(INSTRUMENT, OrderSide.BUY, quantity, self.price(COLUMNS["limit"][place]))
                self.submit_order(self.entry)
            return
        if TASK.strategy == "trailing_stop" and not self.is_flat():
            level = rules.on_grid(np.array([bar.close.as_double() * (1.0 - TASK.trail)]), TASK.tick)[0]
            if self.trail is None or self.trail.is_closed:
                self.trail = self.order_factory.stop_market(
                    INSTRUMENT, OrderSide.SELL, quantity, self.price(level), reduce_only=True
                )
                self.submit_order(self.trail)
            elif level > self.trail.trigger_price.as_double():
                self.modify_order(self.trail, trigger_price=self.price(level))
        if TASK.strategy == "sma_reversal":
            size = Quantity(TASK.quantity * (1 if self.is_flat() else 2), 0)
            for column, side in (("enter", OrderSide.BUY), ("leave", OrderSide.SELL)):
                if COLUMNS[column][place]:
                    self.submit_order(self.order_factory.market(INSTRUMENT, side, size))
        elif not self.is_flat():
            if COLUMNS["leave"][place]:
                self.close_all_positions(INSTRUMENT)
        elif COLUMNS["enter"][place]:
            if np.isnan(COLUMNS["stop"][place]):
                self.submit_order(self.order_factory.market(INSTRUMENT, OrderSide.BUY, quantity))
            else:
                self.submit_order_list(
                    self.order_factory.bracket(
                        INSTRUMENT, OrderSide.BUY, quantity,
                        sl_trigger_price=self.price(COLUMNS["stop"][place]), tp_price=self.price(COLUMNS["target"][place]),
                    )
                )  # fmt: skip


def main() -> None:
    engine = BacktestEngine(BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True)))
    engine.add_venue(VENUE, OmsType.NETTING, AccountType.MARGIN, [Money(rules.CASH, USDT)], base_currency=USDT)
    increment = Price(TASK.tick, PLACES)
    engine.add_instrument(
        Equity(INSTRUMENT, Symbol("X"), USDT, PLACES, increment, Quantity.from_int(1), 0, 0, margin_init=Decimal(0))
    )
    volume = Quantity.from_int(1_000_000_000)
    rows = TASK.frame[["open", "high", "low", "close"]].to_numpy()
    engine.add_data(
        [
            Bar(KIND, *(Price(value, PLACES) for value in row), volume, int(time), int(time))
            for row, time in zip(rows, TIMES, strict=True)
        ]
    )
    engine.add_strategy(Rules())
    engine.run()
    cash = engine.cache.account_for_venue(VENUE).balance_total(USDT).as_double()
    open_gain = sum(position.unrealized_pnl(Price(rows[-1][3], PLACES)).as_double() for position in engine.cache.positions_open())
    TASK.report(f"nautilus_trader {nautilus_trader.__version__}", cash + open_gain)


main()
