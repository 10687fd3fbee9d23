"""This module holds the commands about market data: import, generate, list, show."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from backtape.cli.app import data_app, settings
from backtape.cli.output import JSON_OPTION, NO, fail, print_json, say, table

DATASET = typer.Option(..., "--dataset", help="Name of the data set; a version is added to it.")


def _store() -> Any:
    from consumers.wiring import blob_store

    return blob_store(settings())


@data_app.command("import")
def import_data(
    paths: list[Path] = typer.Argument(help="CSV or Parquet files, one symbol each; SYMBOL.TIMEFRAME.csv names both."),
    dataset: str = DATASET,
    symbol: list[str] = typer.Option([], help="The symbol of each file, in order; default: from the file's name."),
    timeframe: str | None = typer.Option(None, help="Length of a bar, such as 1m, 1h, 1d; default: from the file's name."),
    timezone: str | None = typer.Option(None, help="Time zone of times that name none, such as UTC or America/New_York."),
    time_format: str | None = typer.Option(None, help="strptime format of the times, where they are not ISO 8601."),
    column: list[str] = typer.Option([], help="A column by another name, such as timestamp=Date; may be repeated."),
    tick: float = typer.Option(0.0, min=0, help="Smallest price step; 0: none."),
    lot: float = typer.Option(1e-8, min=1e-8, help="Smallest quantity step."),
    calendar: str = typer.Option("exchange", help="XNYS, XLON … (exchange_calendars); always (24/7); exchange (UTC days)."),
    currency: str = typer.Option("USD", help="Currency that the instruments are paid in."),
    multiplier: float = typer.Option(1.0, help="Money per point and unit."),
    contract: str = typer.Option("linear", help="linear, inverse or quanto."),
    settlement: str | None = typer.Option(None, help="full: a buyer pays the price; margin: profit and loss only."),
    initial_margin: float | None = typer.Option(None, help="Share of a position's value; default: 1 / the account's leverage."),
    maintenance_margin: float | None = typer.Option(None, help="Share of a position's value; default: the account's."),
    borrow_rate: float = typer.Option(0.0, help="Cost of a short position a year, as a fraction."),
    actions: Path | None = typer.Option(None, help="File of corporate actions: timestamp, symbol, action, value, new_symbol."),
    rates: Path | None = typer.Option(None, help="File of rates: timestamp, kind (conversion, funding, borrow), name, rate."),
    adjusted: bool = typer.Option(False, "--adjusted", help="Splits and dividends are already in the prices."),
    repair: bool = typer.Option(False, "--repair", help="Mend what can be mended, and list what was done."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Check bars and store them as an immutable version of a data set. What is wrong is named by row and column."""
    from backtape.data import import_files
    from schemas.market_data import Instrument

    columns = dict(each.partition("=")[::2] for each in column)
    symbols = symbol or [path.name.partition(".")[0] for path in paths]
    document = {
        "tick": tick, "lot": lot, "calendar": calendar, "currency": currency, "multiplier": multiplier, "contract": contract,
        "initial_margin": initial_margin, "maintenance_margin": maintenance_margin, "borrow_rate": borrow_rate,
    } | ({} if settlement is None else {"settlement": settlement})  # fmt: skip
    with _refusals():
        instruments = [Instrument.model_validate({"symbol": name, **document}) for name in symbols]
        imported = import_files(
            _store(), paths, dataset=dataset, symbols=symbols, timeframe=timeframe, timezone=timezone, time_format=time_format,
            columns=columns or None, instruments=instruments, adjusted=adjusted, repair=repair, actions=actions, rates=rates,
        )  # fmt: skip
    _show_imported(imported, as_json=as_json)


@data_app.command("generate")
def generate(
    dataset: str = DATASET,
    bars: int = typer.Option(..., min=1, max=100_000_000, help="Bars of each symbol."),
    seed: int = typer.Option(1, min=0, help="Another seed is another walk; the same one gives the same bytes."),
    timeframe: str = typer.Option("1m", help="Length of a bar."),
    symbol: list[str] = typer.Option(["SIM"], help="Symbols; may be repeated."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Make seeded bars of any length, for long runs and load."""
    from backtape.data import generate_dataset

    with _refusals():
        imported = generate_dataset(_store(), dataset=dataset, bars=bars, seed=seed, timeframe=timeframe, symbols=symbol)
    _show_imported(imported, as_json=as_json)


@contextlib.contextmanager
def _refusals() -> Iterator[None]:
    """Bad data is a no; a wrong option means that nothing was tried."""
    import pydantic

    from backtape.data import BadDataError
    from schemas.errors import field_error

    try:
        yield
    except BadDataError as error:
        fail(str(error), NO)
    except pydantic.ValidationError as error:
        fail(str(field_error(error)))
    except ValueError as error:
        fail(str(error))


def _show_imported(imported: Any, *, as_json: bool) -> None:
    manifest = imported.manifest
    for line in imported.repairs:
        say(f"repaired: {line}")
    for line in imported.ignored:
        say(f"not used: {line}")
    if as_json:
        print_json({**manifest.model_dump(mode="json"), "digest": manifest.digest(), "is_new": imported.is_new})
        return
    rows = sum(file.rows for file in manifest.files)
    kept = "" if imported.is_new else " (it says the same already: nothing was added)"
    say(f"{manifest.dataset} version {manifest.version}: {len(manifest.files)} files, {rows:,} bars{kept}")


@data_app.command("list")
def list_data(as_json: bool = JSON_OPTION) -> None:
    """List the data sets."""
    from backtape.data import list_datasets

    found = list_datasets(_store())
    rows = [
        (each.dataset, each.newest.version, " ".join(sorted({file.symbol for file in each.newest.files})), each.rows)
        for each in found
    ]
    columns = ("dataset", "newest version", "symbols", "bars")
    if as_json:
        print_json([dict(zip(("dataset", "version", "symbols", "bars"), row, strict=True)) for row in rows])
    else:
        table("Data sets", columns, rows, right=("newest version", "bars"))


@data_app.command("show")
def show(dataset: str, version: int | None = typer.Option(None, min=1), as_json: bool = JSON_OPTION) -> None:
    """Show one version of a data set."""
    from backtape.data import show_dataset
    from schemas.times import format_time

    manifest = show_dataset(_store(), dataset, version)
    if as_json:
        print_json({**manifest.model_dump(mode="json"), "digest": manifest.digest()})
        return
    say(
        f"{manifest.dataset} version {manifest.version}, {'adjusted' if manifest.adjusted else 'raw'}, digest {manifest.digest()}"
    )
    say(manifest.source)
    rows = [
        (file.symbol, file.timeframe, file.rows, format_time(file.first_ns), format_time(file.last_ns), file.sha256[:16])
        for file in manifest.files
    ]
    table("Files", ("symbol", "timeframe", "bars", "first", "last", "SHA-256"), rows, right=("bars",))
    for name, side in (("corporate actions", manifest.actions), ("rates", manifest.rates)):
        if side is not None:
            say(f"{name}: {side.rows:,} rows, SHA-256 {side.sha256[:16]}")
