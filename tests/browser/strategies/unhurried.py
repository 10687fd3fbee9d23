"""A strategy that takes its time, so that somebody can watch it, cancel it, or kill its worker."""

import time

from engine.strategy import Strategy


class Unhurried(Strategy):
    """Buy and sell in turns, and rest a moment at every bar."""

    name = "unhurried"

    class Parameters(Strategy.Parameters):
        milliseconds: float = 0.2
        trades_every: int = 500  # bars

    def on_bar(self) -> None:
        self.bar = getattr(self, "bar", 0) + 1
        time.sleep(self.parameters.milliseconds / 1000)
        if self.bar % self.parameters.trades_every == 0:
            if self.position.is_open:
                self.close()
            else:
                self.buy(fraction=0.5)
