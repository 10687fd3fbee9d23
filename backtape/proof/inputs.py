"""This module checks what a run's results rest on: the cash that its own events give, and the bytes of the data that it read."""

from collections.abc import Sequence

from adapters.errors import IntegrityError, NotFoundError
from adapters.ports import BlobStore, MarketData
from adapters.run_log import StoredCommit
from backtape.proof.rerun import Finding, Verdict
from projections.replay import Book
from schemas.events import BacktestAccepted, BacktestStarted
from schemas.ids import sha256
from schemas.times import format_time


def check_books(commits: Sequence[StoredCommit]) -> Finding:
    """Fold fills, commissions and payments into cash, and compare it with every recorded equity mark, for equality."""
    book, marks = Book(), 0
    for stored in commits:
        book.take(stored.commit, stored.body)
        for mark, cash in book.marks:
            marks += 1
            if cash != mark.cash:
                where = f"commit {stored.commit.number}, EquityMarked at {format_time(mark.time_ns)}"
                return Finding("books", Verdict.DIFFERENT, f"{where}: cash is recorded as {mark.cash}, the events give {cash}")
    return Finding("books", Verdict.PROVEN, f"cash follows from fills, commissions and payments at {marks} marks")


def check_data(market: MarketData, store: BlobStore, commits: Sequence[StoredCommit]) -> Finding:
    """Check that the data-set version that the run recorded is at hand, digest by digest down to the bytes of its files.

    What is not at hand, or not what was recorded, is no verdict on the run: it could not be tried.
    """
    events = [event for stored in commits[:2] for event in stored.commit.events]
    accepted = next((event for event in events if isinstance(event, BacktestAccepted)), None)
    started = next((event for event in events if isinstance(event, BacktestStarted)), None)
    if accepted is None or started is None:
        return Finding("data", Verdict.PROVEN, "it ended before it read any data")
    name = f"data set {started.dataset} version {started.dataset_version}"
    try:
        manifest = market.resolve(started.dataset, started.dataset_version)
    except (NotFoundError, IntegrityError) as error:
        return Finding(
            "data", Verdict.NOT_TRIED, f"recorded with {name}, digest {started.data_digest}; it is not at hand: {error}"
        )
    if manifest.digest() != started.data_digest:
        detail = f"recorded with {name}, digest {started.data_digest}; the one at hand has digest {manifest.digest()}"
        return Finding("data", Verdict.NOT_TRIED, detail)
    files = [file for file in manifest.files if file.symbol in started.symbols]
    for file in files:
        found = sha256(store.get(file.key)) if store.head(file.key) is not None else "nothing"
        if found != file.sha256:
            detail = f"recorded with {name}, {file.symbol} {file.timeframe} of SHA-256 {file.sha256}; at hand is {found}"
            return Finding("data", Verdict.NOT_TRIED, detail)
    return Finding("data", Verdict.PROVEN, f"{name}: the digest and the bytes of {len(files)} files are those that were recorded")
