"""Strategies that do what no strategy should. Loaded by the name each class gives itself."""

import os
import signal
import time

from engine.strategy import Strategy


class Raises(Strategy):
    name = "raises"

    def on_bar(self) -> None:
        if self.bars["SIM"].close and self.data_length() > 100:
            raise RuntimeError("this strategy has had enough")

    def data_length(self) -> int:
        self.seen = getattr(self, "seen", 0) + 1
        return self.seen


class Loops(Strategy):
    name = "loops"

    def on_bar(self) -> None:
        while True:
            pass


class Sleeps(Strategy):
    name = "sleeps"

    def on_bar(self) -> None:
        time.sleep(0.05)


class EatsMemory(Strategy):
    name = "eats_memory"

    def on_bar(self) -> None:
        self.eaten = [*getattr(self, "eaten", []), bytearray(32 * 1024 * 1024)]


class Exits(Strategy):
    name = "exits"

    def on_bar(self) -> None:
        os._exit(7)


class ExitsPolitely(Strategy):
    name = "exits_politely"

    def on_bar(self) -> None:
        raise SystemExit(3)


class IsKilled(Strategy):
    name = "is_killed"

    def on_bar(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


class Spawns(Strategy):
    """Leaves a process behind."""

    name = "spawns"

    def on_start(self) -> None:
        if os.fork() == 0:
            os.close(1)
            while True:
                time.sleep(1)
