"""This module runs a backtest in this process, without servers: the commits are those that a worker would append.

Nothing here decides or simulates: the submit command is read and answered by the same code as in a worker's intake, and the
simulation is the same generator. No wall clock and no random id gets in, so that equal calls give equal bytes.
"""

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import TYPE_CHECKING, Any

from backtape.market_input import Data, Instruments, is_store, market_of, market_of_store
from backtape.spec_input import Described, Document, document_of, with_overrides
from engine.strategy import Strategy
from schemas.canonical import document_digest
from schemas.commands import parse_command
from schemas.commit import Author, EncodedCommit, encode_commit
from schemas.errors import FieldError, SchemaError
from schemas.ids import BacktestId, id_from
from schemas.market_data import Market
from schemas.spec import BacktestSpec, parse_spec
from schemas.strategies import complete_parameters
from schemas.times import parse_time

if TYPE_CHECKING:
    import pandas as pd

    from backtape.result import Result

ISSUED_AT = "1970-01-01T00:00:00Z"  # of the command that stands for the call: a clock would make equal calls unequal
_NANOSECONDS_PER_MILLISECOND = 1_000_000


def run(
    spec_or_strategy: Described,
    data: Data,
    *,
    parameters: Mapping[str, Any] | None = None,
    symbol: str | None = None,
    timezone: str | None = None,
    instruments: Instruments | None = None,
    actions: "pd.DataFrame | None" = None,
    rates: "pd.DataFrame | None" = None,
    backtest_id: str | None = None,
    issued_at: str = ISSUED_AT,
    **overrides: Any,
) -> "Result":
    """Run one backtest and return its result.

    spec_or_strategy : a strategy class; or a spec as BacktestSpec, dict, or path to a JSON file
    data : a pandas frame of one symbol (time in a DatetimeIndex or in the column timestamp; open, high, low, close, volume),
        a dict of symbol to frame, a Market; or, for a spec that names a data set, the store: a folder, file:///… or s3://…
    parameters : of the strategy; they replace those of the spec one by one
    symbol : what one frame's bars are called
    timezone : of times that name no zone, for example America/New_York
    instruments : symbol to Instrument or a dict of its fields (tick, lot, multiplier, currency, calendar, contract …)
    actions : with frames that hold raw prices: corporate actions, a frame of timestamp, symbol, action, value, new_symbol
    rates : with frames: conversion, funding and borrow rates, a frame of timestamp, kind, name, rate (docs/data.md)
    overrides : fields of the spec (cash=50_000, commission={"type": "rate", "rate": 0.001}, start="2020-01-01") or whole
        sections (account={…}), merged into the spec

    Raises SchemaError for a wrong spec or parameter, BadDataError for a wrong frame (row and column), NotFoundError for data
    that is not there, StrategyError with the line when the strategy raises. The spec's limits of time and memory are a
    worker's: in process nothing ends a run but its end.
    """
    document = with_overrides(document_of(spec_or_strategy), overrides)
    document["strategy"] = _strategy_section(document, parameters)
    strategy = strategy_of(spec_or_strategy, document)
    if is_store(data):
        market = market_of_store(data, parse_spec(document))  # type: ignore[arg-type]
    else:
        asked = {**document.get("data", {}), **({"symbols": [symbol]} if symbol is not None else {})}
        market = market_of(data, asked, instruments=instruments, timezone=timezone, actions=actions, rates=rates)  # type: ignore[arg-type]
        document["data"] = _data_section(market, asked, document.get("statistics", {}).get("benchmark"))
    command = {
        "type": "SubmitBacktest",
        "command_id": id_from("command", document_digest(document), market.digest),
        "backtest_id": backtest_id or id_from("backtest", document_digest(document), market.digest),
        "issued_at": issued_at,
        "spec": document,
    }
    return result_of(command, market, strategy)


def result_of(command: Document, market: Market, strategy: type[Strategy]) -> "Result":
    """Run a SubmitBacktest command to its end. An array-driven run has its statistics before its log, which is made on demand."""
    from backtape.result import Result
    from engine.simulation import run_ahead, simulate

    backtest_id = BacktestId(command["backtest_id"])
    spec, opening = _opening(command, market, strategy)
    run_of = (backtest_id, spec, opening[-1].head, market, strategy)
    outcome = run_ahead(*run_of)
    if outcome is None:
        return Result([commit.body for commit in (*opening, *simulate(*run_of))], market.bars)
    bodies = (commit.body for commit in chain(opening, outcome.commits()))
    return Result(bodies, market.bars, backtest_id=backtest_id, statistics=outcome.summary.as_recorded())


def commits_of(command: Document, market: Market, strategy: type[Strategy]) -> Iterator[EncodedCommit]:
    """Yield what a worker would append for a SubmitBacktest command. Raises SchemaError for one that would be rejected."""
    from engine.simulation import simulate

    spec, opening = _opening(command, market, strategy)
    yield from opening
    yield from simulate(BacktestId(command["backtest_id"]), spec, opening[-1].head, market, strategy)


def _opening(command: Document, market: Market, strategy: type[Strategy]) -> tuple[BacktestSpec, list[EncodedCommit]]:
    """Return the spec that the log records, and its first two commits: accepted and started."""
    from engine.timeline import started

    accepted, spec = _accepted(command, strategy)
    event = started(spec, market, accepted.head.sequence + 1)
    return spec, [accepted, encode_commit(BacktestId(command["backtest_id"]), accepted.head, Author.OWNER, [event])]


def _accepted(command: Document, strategy: type[Strategy]) -> tuple[EncodedCommit, BacktestSpec]:
    """Return the first commit, and the spec that it records."""
    from engine.lifecycle import IntakeRules, decide
    from engine.registry import card

    parsed = parse_command(command)
    name = command["spec"]["strategy"]["name"]
    described = card(strategy, name)
    received_ms = parse_time(command["issued_at"]) // _NANOSECONDS_PER_MILLISECOND
    decision = decide(None, parsed, IntakeRules(catalogue={name: described}), received_ms=received_ms, queued=0)
    if decision.commit is None:
        raise SchemaError(decision.detail)
    recorded = parse_spec(command["spec"]).recorded()
    recorded["strategy"]["parameters"] = complete_parameters(described, recorded["strategy"]["parameters"])
    return decision.commit, parse_spec(recorded)


def _strategy_section(document: Document, parameters: Mapping[str, Any] | None) -> Document:
    section = document.get("strategy")
    if not isinstance(section, Mapping):
        raise FieldError.of("strategy", section, "the strategy's name and parameters: {'name': …, 'parameters': {…}}")
    return {**section, "parameters": {**section.get("parameters", {}), **(parameters or {})}}


def _data_section(market: Market, asked: Mapping[str, Any], benchmark: object) -> Document:
    """Return the spec's data section, completed by what the market is. A benchmark is traded only where it is asked for."""
    timeframes = sorted({bars.timeframe for bars in market.bars})
    if len(timeframes) != 1:
        raise FieldError.of("data", timeframes, "bars of one timeframe")
    traded = [bars.symbol for bars in market.bars if bars.symbol != benchmark or len(market.bars) == 1]
    return {"dataset": market.dataset, "symbols": traded, "timeframe": timeframes[0], **asked}


def strategy_of(described: Described, document: Document) -> type[Strategy]:
    """Return the strategy class itself, or the one that the document names. Raises FieldError for a name of none."""
    if isinstance(described, type):
        return described
    from engine.registry import BUILTINS

    name = document["strategy"].get("name")
    if name in BUILTINS:
        return BUILTINS[name]
    if not isinstance(name, str):
        raise FieldError.of("strategy.name", name, "the name that a strategy is registered under")
    from adapters.errors import NotFoundError
    from adapters.strategies import load_strategy
    from consumers.settings import load_settings

    try:
        return load_strategy(name, load_settings().strategy_files)
    except NotFoundError as error:
        raise FieldError.of("strategy.name", name, f"one of {', '.join(BUILTINS)}, or one that is installed") from error
