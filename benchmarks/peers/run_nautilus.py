"""This module times nautilus_trader's backtest engine, its logs switched off."""

from decimal import Decimal

import pandas as pd
from common import CASH, STOP, TARGET, main
from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
from nautilus_trader.config import LoggingConfig
from nautilus_trader.model.currencies import USDT
from nautilus_trader.model.data import BarType
from nautilus_trader.model.enums import AccountType, OmsType, OrderSide
from nautilus_trader.model.identifiers import InstrumentId, Symbol, Venue
from nautilus_trader.model.objects import Money, Price, Quantity
from nautilus_trader.persistence.wranglers import BarDataWrangler
from nautilus_trader.test_kit.providers import TestInstrumentProvider
from nautilus_trader.trading.strategy import Strategy


class Cross(Strategy):
    def __init__(self, bar_types, fast, slow, brackets):
        super().__init__()
        self.places = {bar_type: place for place, bar_type in enumerate(bar_types)}
        self.fast, self.slow, self.brackets = fast, slow, brackets
        self.seen = [0] * len(bar_types)
        self.fills = 0

    def on_start(self):
        for bar_type in self.places:
            self.subscribe_bars(bar_type)

    def on_order_filled(self, event):
        self.fills += 1

    def on_bar(self, bar):
        place = self.places[bar.bar_type]
        row = self.seen[place]
        self.seen[place] = row + 1
        fast, slow = self.fast[place], self.slow[place]
        if row and fast[row] > slow[row] and fast[row - 1] <= slow[row - 1]:
            self.enter(bar)
        elif row and fast[row] < slow[row] and fast[row - 1] >= slow[row - 1] and not self.brackets:
            self.close_all_positions(bar.bar_type.instrument_id)

    def enter(self, bar):
        instrument_id = bar.bar_type.instrument_id
        one, close = Quantity.from_str("1.000000"), float(bar.close)
        if not self.brackets:
            self.submit_order(self.order_factory.market(instrument_id, OrderSide.BUY, one))
        elif self.portfolio.is_flat(instrument_id):
            self.submit_order_list(
                self.order_factory.bracket(
                    instrument_id, OrderSide.BUY, one, sl_trigger_price=Price(close * STOP, 2), tp_price=Price(close * TARGET, 2)
                )
            )


def timed(columns, symbols, brackets=False):
    engine = BacktestEngine(BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True)))
    venue = Venue("BINANCE")
    engine.add_venue(venue, OmsType.NETTING, AccountType.MARGIN, [Money(CASH, USDT)], default_leverage=Decimal(10))
    template = TestInstrumentProvider.btcusdt_perp_binance()
    bar_types = []
    for symbol in range(symbols):
        fields = template.to_dict(template)
        name = f"S{symbol}USDT-PERP"
        fields.update(id=str(InstrumentId(Symbol(name), venue)), raw_symbol=name, maker_fee="0", taker_fee="0")
        fields.update(price_precision=2, price_increment="0.01", size_precision=6, size_increment="0.000001")
        fields.update(max_price=None, min_price=None, max_quantity=None, min_quantity=None, min_notional=None, max_notional=None)
        instrument = type(template).from_dict(fields)
        engine.add_instrument(instrument)
        bar_type = BarType.from_str(f"{instrument.id}-1-MINUTE-LAST-EXTERNAL")
        names = ("open", "high", "low", "close", "volume")
        picked = {each: columns[each] if symbols == 1 else columns[each][symbol] for each in names}
        picked["volume"] = picked["volume"] * 0.0 + 1_000_000.0
        frame = pd.DataFrame(picked, index=pd.to_datetime(columns["time_ns"], utc=True)).round(2).copy()
        engine.add_data(BarDataWrangler(bar_type, instrument).process(frame))
        bar_types.append(bar_type)
    fast, slow = ([columns[name].tolist()] if symbols == 1 else columns[name].tolist() for name in ("fast", "slow"))
    strategy = Cross(bar_types, fast, slow, brackets)
    engine.add_strategy(strategy)

    def run():
        engine.run()
        return strategy.fills

    return run


main(
    {
        "cross": lambda columns: timed(columns, 1),
        "brackets": lambda columns: timed(columns, 1, True),
        "portfolio": lambda columns: timed(columns, len(columns["close"])),
    }
)
