"""A run that is cut anywhere and run again goes on with the bytes that the log lacks.

Nothing of a simulation is kept between two processes: resuming is running again and skipping what the log holds, after its
last digest was found again. So the commits of both processes together must be those of one that was never cut, whatever state
the strategy holds: random numbers, lists, timers, handles on orders.
"""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.market_data import MemoryMarketData
from consumers.simulation import child
from consumers.simulation.frames import AnyFrame, Committed, Failed, Job
from engine.resample import by_time
from engine.strategy import Data, Strategy
from schemas.commit import Head
from schemas.ids import Digest
from schemas.spec import parse_spec
from schemas.times import format_time
from tests.unit.engine.recipes import walk

BARS = 9_000  # two blocks and a rest, about 12 commits
# The same bars, and those of two hours that they make up: played along the hours, with quotes, and each fill a lot of its own.
RICH: dict[str, Any] = {
    "data": {"dataset": "quoted", "symbols": ["X"], "timeframe": "2h", "warmup": 10},
    "account": {"cash": 1e6, "positions": "hedging", "leverage": 3.0, "maintenance_margin": 0.2},
    "execution": {
        "detail_timeframe": "1h",
        "slippage": {"type": "quotes"},
        "volume_limit": 0.002,
        "latency_bars": 1,
        "limit_fill_probability": 0.7,
    },
}
PLAIN: dict[str, Any] = {
    "data": {"dataset": "walks", "symbols": ["X"], "timeframe": "1h", "warmup": 10},
    "account": {"cash": 1e6},
}
ACCEPTED = Head(1, 1, Digest("a" * 64))


class Died(BaseException):
    """The process is gone: nothing of it is caught or flushed."""


class Stateful(Strategy):
    """Holds everything that a strategy can hold, and lets all of it decide."""

    dies_at: int | None = None

    def prepare(self, data: Data) -> None:
        self.same = self.indicator(data.close)
        self.seen: list[float] = []
        self.handles: list[Any] = []

    def on_start(self) -> None:
        self.every("1d", self.rebalance)
        self.at(format_time(1_704_067_200_000_000_000 + 400 * 3_600_000_000_000), self.cancel_all)

    def on_bar(self) -> None:
        if self.dies_at is not None and self.step >= self.dies_at:
            raise Died
        self.seen.append(self.same[-1] * self.random.random())
        if len(self.seen) % 3 == 0:
            side = self.buy if self.random.random() < 0.5 else self.sell
            self.handles.append(side(self.random.randint(1, 5), limit=self.bars.close[-1], time_in_force="day"))
        if len(self.handles) > 4:
            self.handles.pop(0).cancel()

    def on_fill(self, fill: Any) -> None:
        self.seen.append(fill.price)

    def rebalance(self) -> None:
        self.target(quantity=round(sum(self.seen[-5:])) % 7 - 3)


class StatefulLots(Stateful):
    """The same with lots: the oldest one is closed each day."""

    def rebalance(self) -> None:
        for lot in self.lots("X")[:1]:
            (self.sell if lot.quantity > 0 else self.buy)(abs(lot.quantity), position=lot)


@pytest.fixture(scope="module")
def data() -> MemoryMarketData:
    store = MemoryMarketData()
    hours = walk(BARS)
    store.publish("walks", [hours])
    quoted = replace(hours, bid=hours.close - 0.02, ask=hours.close + 0.03)
    store.publish("quoted", [by_time(quoted, "2h", None).bars, quoted])
    return store


def frames_of(data: MemoryMarketData, known: Head, dies_at: int | None, parts: dict[str, Any] = PLAIN) -> list[AnyFrame]:
    """Run a job in this process as a child would, up to its end or its death."""
    document = {"strategy": {"name": "stateful"}, "seed": 7, **parts}
    job = Job(backtest_id="cut", spec=parse_spec(document).recorded(), accepted=ACCEPTED, known=known)
    sent: list[AnyFrame] = []
    strategy = type("Stateful", (StatefulLots if parts is RICH else Stateful,), {"dies_at": dies_at})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(child, "load_strategy", lambda name, files: strategy)
        patch.setattr(child, "_limit_memory", lambda megabytes: None)
        try:
            child.run_job(job, child.Surroundings(data), sent.append)
        except Died:
            assert dies_at is not None
    return sent


def commits_of(frames: list[AnyFrame]) -> list[Committed]:
    assert not [frame for frame in frames if isinstance(frame, Failed)]
    return [frame for frame in frames if isinstance(frame, Committed)]


@pytest.fixture(scope="module")
def whole(data: MemoryMarketData) -> list[Committed]:
    commits = commits_of(frames_of(data, ACCEPTED, None))
    assert len(commits) > 6
    return commits


def head_of(commit: Committed) -> Head:
    return Head(commit.number, commit.sequence, Digest(commit.digest))


def test_cut_at_every_commit_the_rest_is_byte_for_byte_the_same(data: MemoryMarketData, whole: list[Committed]) -> None:
    """The log ends with commit n: exactly the commits behind n are sent again."""
    for place, last in enumerate(whole[:-1]):
        assert commits_of(frames_of(data, head_of(last), None)) == whole[place + 1 :]


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(first=st.integers(0, BARS - 11), second=st.integers(0, BARS - 11))
def test_dying_at_any_bar_twice_gives_the_same_log(
    data: MemoryMarketData, whole: list[Committed], first: int, second: int
) -> None:
    """Two processes die at any two bars, a third one ends: what they sent, one after another, is the log of one run."""
    log: list[Committed] = []
    for dies_at in (first, second, None):
        known = head_of(log[-1]) if log else ACCEPTED
        log += commits_of(frames_of(data, known, dies_at))
    assert log == whole


def test_lots_quotes_and_finer_bars_go_on_with_the_same_bytes(data: MemoryMarketData) -> None:
    """A process dies between two of the strategy's bars: the second one sends what the first one had not."""
    whole = commits_of(frames_of(data, ACCEPTED, None, RICH))
    assert len(whole) > 6
    for dies_at in (BARS // 3, BARS - 60):
        sent = commits_of(frames_of(data, ACCEPTED, dies_at, RICH))
        assert 0 < len(sent) < len(whole)
        assert sent + commits_of(frames_of(data, head_of(sent[-1]), None, RICH)) == whole


def test_a_log_that_does_not_follow_from_the_run_is_noticed(data: MemoryMarketData, whole: list[Committed]) -> None:
    """The digest of the last commit is compared: another one ends the run, nothing is appended to it."""
    wrong = Head(whole[3].number, whole[3].sequence, Digest("f" * 64))
    frames = frames_of(data, wrong, None)
    assert isinstance(frames[-1], Failed)
    assert not [frame for frame in frames if isinstance(frame, Committed)]
