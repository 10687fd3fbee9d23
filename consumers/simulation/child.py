"""This module is what a simulation's process does: resolve the data, load the strategy, simulate, send frames.

It runs in a fork of the zygote, alone with one run: what a strategy leaves behind, breaks or exits goes with the process.
Everything a run's log depends on is in the job, the data and the code.
"""

import contextlib
import resource
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from adapters.errors import IntegrityError, NotFoundError, RetryableError
from adapters.ports import MarketData
from adapters.strategies import load_strategy
from consumers.simulation.frames import AnyFrame, DataReady, Failed, Job, Resolved, Waiting, committed
from engine.assemble import assemble
from engine.errors import CurrencyError, NoDataError, ParametersError, StrategyError, UnknownSymbolError
from engine.registry import strategy_digest
from engine.simulation import simulate
from engine.timeline import started
from engine.version import code_digest
from schemas.commit import Author, EncodedCommit, encode_commit
from schemas.events import FailureReason
from schemas.ids import BacktestId
from schemas.market_data import Bars, DataSetManifest, Market
from schemas.spec import BacktestSpec, parse_spec

RETRY_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0)  # the last one repeats while the data is out of reach

Send = Callable[[AnyFrame], None]
Found = TypeVar("Found")


class RunFailed(Exception):
    """The run can't go on; carries what the owner records."""

    def __init__(self, reason: FailureReason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a simulation's process needs beside the job."""

    market_data: MarketData
    strategy_files: tuple[Path, ...] = ()


def run_job(job: Job, surroundings: Surroundings, send: Send) -> None:
    """Run one simulation and send its frames: the last is a terminal commit, or Failed."""
    spec = parse_spec(job.spec)
    try:
        _run(job, spec, surroundings, send)
    except RunFailed as failure:
        send(Failed(reason=failure.reason, detail=failure.detail))
    except (StrategyError, ParametersError, MemoryError) as error:
        _lift_memory_limit()
        if isinstance(error, MemoryError) or isinstance(error.__cause__, MemoryError):
            send(
                Failed(reason=FailureReason.MEMORY_LIMIT, detail=f"limits.memory_mb: {spec.limits.memory_mb} MB were not enough")
            )
        else:
            send(Failed(reason=FailureReason.STRATEGY_RAISED, detail=str(error)))


def _run(job: Job, spec: BacktestSpec, surroundings: Surroundings, send: Send) -> None:
    manifest = _resolve(job, spec, surroundings.market_data, send)
    market = _market(spec, manifest, surroundings.market_data, send)
    send(DataReady())
    _limit_memory(spec.limits.memory_mb)
    strategy = _strategy(spec, surroundings.strategy_files)
    resolved = Resolved(
        data_version=manifest.version,
        data_digest=market.digest,
        code_digest=code_digest(),
        strategy_digest=strategy_digest(strategy),
    )
    send(resolved)
    for commit in _beyond_known(job, resolved, _commits(job, spec, market, strategy)):
        send(committed(commit))


# --- what the run reads -------------------------------------------------------------------------------------------


def _resolve(job: Job, spec: BacktestSpec, data: MarketData, send: Send) -> DataSetManifest:
    version = job.data_version if job.data_version is not None else spec.data.version
    try:
        manifest = _patiently(lambda: data.resolve(spec.data.dataset, version), send)
    except NotFoundError as error:
        raise RunFailed(FailureReason.UNKNOWN_DATASET, f"spec.data.dataset: {error}") from error
    except IntegrityError as error:
        raise RunFailed(FailureReason.DATA_DIGEST_MISMATCH, str(error)) from error
    if job.data_digest is not None and manifest.digest() != job.data_digest:
        detail = f"data set {manifest.dataset} version {manifest.version} had digest {job.data_digest}, now {manifest.digest()}"
        raise RunFailed(FailureReason.DATA_CHANGED, detail)
    return manifest


def _market(spec: BacktestSpec, manifest: DataSetManifest, data: MarketData, send: Send) -> Market:
    def read(symbol: str, timeframe: str) -> Bars:
        try:
            return _patiently(lambda: data.bars(manifest, symbol, timeframe), send)
        except NotFoundError as error:
            raise RunFailed(FailureReason.UNKNOWN_SYMBOL, f"{_field_of(spec, symbol)}: {error}") from error
        except IntegrityError as error:
            raise RunFailed(FailureReason.DATA_DIGEST_MISMATCH, str(error)) from error

    try:
        side = _patiently(lambda: data.side(manifest), send)
    except IntegrityError as error:
        raise RunFailed(FailureReason.DATA_DIGEST_MISMATCH, str(error)) from error
    return assemble(spec, manifest, side, read)


def _field_of(spec: BacktestSpec, symbol: str) -> str:
    return "spec.data.symbols" if symbol in spec.data.symbols else "spec.statistics.benchmark"


def _patiently(read: Callable[[], Found], send: Send) -> Found:
    """Read, and read again while the store is out of reach: a run waits for its data, it does not fail."""
    attempt = 0
    while True:
        try:
            return read()
        except RetryableError as error:
            send(Waiting(detail=str(error)))
            time.sleep(RETRY_SECONDS[min(attempt, len(RETRY_SECONDS) - 1)])
            attempt += 1


def _strategy(spec: BacktestSpec, files: tuple[Path, ...]) -> type[Any]:
    try:
        return load_strategy(spec.strategy.name, files)
    except MemoryError:
        raise
    except Exception as error:
        raise RunFailed(FailureReason.STRATEGY_RAISED, f"strategy {spec.strategy.name!r} can't be loaded: {error!r}") from error


# --- commits ------------------------------------------------------------------------------------------------------


def _commits(job: Job, spec: BacktestSpec, market: Market, strategy: type[Any]) -> Iterator[EncodedCommit]:
    """Yield the Started commit, which the owner appends as its own, then the simulation's."""
    backtest_id = BacktestId(job.backtest_id)
    try:
        event = started(spec, market, job.accepted.sequence + 1)
    except NoDataError as error:
        raise RunFailed(FailureReason.NO_DATA_IN_RANGE, str(error)) from error
    except UnknownSymbolError as error:
        raise RunFailed(FailureReason.UNKNOWN_SYMBOL, str(error)) from error
    except CurrencyError as error:
        raise RunFailed(FailureReason.MISSING_RATE, str(error)) from error
    start = encode_commit(backtest_id, job.accepted, Author.OWNER, [event])
    yield start
    yield from simulate(backtest_id, spec, start.head, market, strategy)


def _beyond_known(job: Job, resolved: Resolved, commits: Iterator[EncodedCommit]) -> Iterator[EncodedCommit]:
    """Yield what the log does not hold yet, after proving that the re-run agrees with the log where the log ends."""
    known = job.known
    for commit in commits:
        if commit.head.number < known.number:
            continue
        if commit.head.number == known.number:
            if commit.head != known:
                raise RunFailed(_what_changed(job, resolved), f"re-run gives {commit.head}, the log ends with {known}")
            continue
        yield commit


def _what_changed(job: Job, resolved: Resolved) -> FailureReason:
    if job.code_digest not in (None, resolved.code_digest) or job.strategy_digest not in (None, resolved.strategy_digest):
        return FailureReason.CODE_CHANGED
    return FailureReason.NONDETERMINISTIC


# --- memory -------------------------------------------------------------------------------------------------------


def _limit_memory(megabytes: int) -> None:
    """Allow this process so much more private memory than it has; beyond, allocations raise MemoryError.

    RLIMIT_DATA counts what is allocated, not what is mapped from files: market data is free.
    """
    with open("/proc/self/statm") as statm:
        data_pages = int(statm.read().split()[5])
    limit = data_pages * resource.getpagesize() + megabytes * 1024 * 1024
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))


def _lift_memory_limit() -> None:
    with contextlib.suppress(ValueError, OSError):
        hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
        resource.setrlimit(resource.RLIMIT_DATA, (hard, hard))
