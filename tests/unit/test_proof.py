"""An audit finds what was changed: a broken chain, a forged chain, an owner's commit that no owner may write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
import pytest

from adapters.folder import FolderBlobStore
from adapters.market_data import StoredMarketData
from adapters.memory_blobs import MemoryBlobStore
from adapters.ports import Record
from adapters.run_log import StoredCommit
from backtape import run
from backtape.data import generate_dataset
from backtape.proof.audit import check_snapshot
from backtape.proof.inputs import check_books, check_data
from backtape.proof.rerun import Verdict, check_chain, check_owner, check_rerun
from consumers.simulation.frames import AnyFrame, DataReady, Job, Resolved, committed
from consumers.simulation.runner import Ending
from schemas.commit import Author, EncodedCommit, Head, decode_commit, encode_commit
from schemas.events import AnyEvent, BacktestProgressed, OrderFilled
from schemas.ids import BacktestId, Digest, sha256
from schemas.strategies import Catalogue

ID = "audited"


@dataclass
class Replay:
    """A Runner whose simulations send given frames, as a re-run of the honest code would."""

    frames: list[AnyFrame]
    sent: int = field(default=0)

    async def start(self, job: Job) -> Replay:
        return self

    async def next(self) -> AnyFrame | None:
        self.sent += 1
        return self.frames[self.sent - 1] if self.sent <= len(self.frames) else None

    async def ending(self) -> Ending:
        return Ending(code=0, signal=None)

    def kill(self) -> None:
        pass

    async def catalogue(self) -> Catalogue:
        return {}

    async def close(self) -> None:
        pass


@pytest.fixture(scope="module")
def bodies() -> list[bytes]:
    """The commits of an honest run, with fills in it."""
    times = pd.date_range("2024-01-01", periods=300, freq="D", tz="UTC")
    close = 100 + 8 * np.sin(np.arange(300) / 15)
    bars = pd.DataFrame({"open": close, "high": close + 1, "low": close - 1, "close": close, "volume": 1e6}, index=times)
    spec = {
        "data": {"dataset": "m", "symbols": ["X"], "timeframe": "1d"},
        "strategy": {"name": "sma_cross", "parameters": {"fast": 5, "slow": 20}},
    }
    return list(run(spec, {"X": bars}, backtest_id=ID).commits)


def stored(bodies: Sequence[bytes]) -> list[StoredCommit]:
    return [
        StoredCommit(decode_commit(body), body, Record("events", 0, at, 0, ID.encode(), body)) for at, body in enumerate(bodies)
    ]


def rerun_of(bodies: Sequence[bytes]) -> Replay:
    frames: list[AnyFrame] = [DataReady(), Resolved(data_version=1, data_digest="d", code_digest="c", strategy_digest="s")]
    for commit in (decode_commit(body) for body in bodies[1:]):
        body = bodies[commit.number - 1]
        head = Head(commit.number, commit.last_sequence, sha256(body))
        frames.append(committed(EncodedCommit(body=body, head=head, is_terminal=commit.is_terminal)))
    return Replay(frames)


def forged(bodies: Sequence[bytes]) -> list[bytes]:
    """Improve the first fill's price, and hash the whole chain anew, as a careful forger would."""
    head = Head.start(Digest(decode_commit(bodies[0]).parent))
    result, is_done = [], False
    for commit in (decode_commit(body) for body in bodies):
        events: list[AnyEvent] = []
        for event in commit.events:
            if isinstance(event, OrderFilled) and not is_done:
                event, is_done = msgspec.structs.replace(event, price=event.price - 1.0), True
            events.append(event)
        encoded = encode_commit(BacktestId(ID), head, Author(commit.author), events)
        result.append(encoded.body)
        head = encoded.head
    assert is_done
    return result


async def test_an_honest_log_is_proven(bodies: list[bytes]) -> None:
    """Chain, owner and re-run agree."""
    assert check_chain(ID, stored(bodies)).verdict is Verdict.PROVEN
    assert check_owner(stored(bodies)).verdict is Verdict.PROVEN
    assert (await check_rerun(rerun_of(bodies), stored(bodies))).verdict is Verdict.PROVEN


def test_a_changed_commit_breaks_the_chain(bodies: list[bytes]) -> None:
    """One byte of one commit, and the next one names another parent."""
    changed = [bodies[0], bodies[1].replace(b'"bars":300', b'"bars":301'), *bodies[2:]]
    assert changed != bodies
    finding = check_chain(ID, stored(changed))
    assert finding.verdict is Verdict.DIFFERENT and "commit 3 names parent" in finding.detail


def test_a_missing_commit_breaks_the_chain(bodies: list[bytes]) -> None:
    """Its number is missed."""
    finding = check_chain(ID, stored([bodies[0], *bodies[2:]]))
    assert finding.verdict is Verdict.DIFFERENT and "commit number 3 where 2 follows" in finding.detail


async def test_a_forged_chain_is_found_by_the_rerun(bodies: list[bytes]) -> None:
    """The chain is whole, but the simulation gives another price: both are told."""
    log = stored(forged(bodies))
    assert check_chain(ID, log).verdict is Verdict.PROVEN
    finding = await check_rerun(rerun_of(bodies), log)
    assert finding.verdict is Verdict.DIFFERENT, finding
    assert "OrderFilled: price is recorded as" in finding.detail and "the re-run gives" in finding.detail


async def test_a_rerun_that_ends_early_proves_nothing(bodies: list[bytes]) -> None:
    """Commits that it does not give again are not proven."""
    finding = await check_rerun(rerun_of(bodies[:-1]), stored(bodies))
    assert finding.verdict is Verdict.DIFFERENT, finding


def test_an_owner_may_not_write_results(bodies: list[bytes]) -> None:
    """Only Accepted, Started and the end are the owner's."""
    head = Head.start(Digest(decode_commit(bodies[0]).parent))
    first = decode_commit(bodies[0])
    accepted = encode_commit(BacktestId(ID), head, Author.OWNER, first.events)
    event = BacktestProgressed(sequence=2, time_ns=0, bars_done=1, bars=2, equity=1e9)
    written = encode_commit(BacktestId(ID), accepted.head, Author.OWNER, [event])
    finding = check_owner(stored([accepted.body, written.body]))
    assert finding.verdict is Verdict.DIFFERENT and "BacktestProgressed" in finding.detail


def test_books_that_do_not_add_up_are_found(bodies: list[bytes]) -> None:
    """A forged fill price is in the cash of every mark after it; the first one is named with both values."""
    assert check_books(stored(bodies)).verdict is Verdict.PROVEN
    finding = check_books(stored(forged(bodies)))
    assert finding.verdict is Verdict.DIFFERENT
    assert "EquityMarked at 20" in finding.detail and "cash is recorded as" in finding.detail


def test_data_that_is_not_what_was_recorded_could_not_be_tried(tmp_path: Path) -> None:
    """Another digest, other bytes, or nothing: each is said, and none is a verdict on the run."""
    store = FolderBlobStore(tmp_path / "store")
    generate_dataset(store, dataset="bars", bars=50, seed=1)
    market = StoredMarketData(store, tmp_path / "cache")
    spec = {
        "data": {"dataset": "bars", "symbols": ["SIM"], "timeframe": "1m"},
        "strategy": {"name": "buy_and_hold", "parameters": {}},
    }
    log = stored(run(spec, data=store.url, backtest_id=ID).commits)
    assert check_data(market, store, log).verdict is Verdict.PROVEN
    (file,) = market.resolve("bars", 1).files
    body = store.get(file.key)
    store.put(file.key, body + b"!")
    finding = check_data(market, store, log)
    assert (
        finding.verdict is Verdict.NOT_TRIED and f"of SHA-256 {file.sha256}; at hand is {sha256(body + b'!')}" in finding.detail
    )
    store.delete(file.key)
    assert "at hand is nothing" in check_data(market, store, log).detail
    generate_dataset(store, dataset="bars", bars=51, seed=1)
    store.put(
        "datasets/bars/versions/00000001.json",
        store.get("datasets/bars/versions/00000002.json").replace(b'"version": 2', b'"version": 1'),
    )
    finding = check_data(market, store, log)
    assert finding.verdict is Verdict.NOT_TRIED and "the one at hand has digest" in finding.detail
    store.delete("datasets/bars/versions/00000001.json")
    assert "it is not at hand" in check_data(market, store, log).detail


def test_a_snapshot_that_is_not_written_yet_is_not_tried_and_a_missing_one_is_a_difference(bodies: list[bytes]) -> None:
    """A run that has just ended has none; one whose snapshot was announced has lost it."""
    on_its_way = check_snapshot(MemoryBlobStore(), ID, bodies, is_announced=False)
    assert (on_its_way.verdict, "no snapshot yet" in on_its_way.detail) == (Verdict.NOT_TRIED, True)
    lost = check_snapshot(MemoryBlobStore(), ID, bodies, is_announced=True)
    assert (lost.verdict, "the run has no snapshot" in lost.detail) == (Verdict.DIFFERENT, True)
