"""This module prints results: of a run in process, of one backtest, of many."""

import json
from typing import TYPE_CHECKING, Any

from backtape.cli.output import STDOUT, number, percent, print_json, say, table

if TYPE_CHECKING:
    from backtape.result import Result

RESULTS = ("backtest", "strategy", "symbols", "status", "return", "Sharpe", "drawdown", "trades", "fills", "final equity")


# --- a run in process -----------------------------------------------------------------------------------------------


def show_result(result: "Result", *, as_json: bool) -> None:
    """Print the statistics of a run in process, and what identifies it."""
    counts = result.counts
    if as_json:
        print_json(
            {
                "backtest_id": result.backtest_id,
                "status": result.status,
                **counts,
                "statistics": result.statistics,
                "chain_head": result.chain_head,
                "spec": result.spec,
            }
        )
        return
    from reports.statistics_table import groups_of
    from reports.view import view_of

    spec = result.spec
    title = f"{spec['strategy']['name']} on {', '.join(spec['data']['symbols'])}"
    rows = [
        ("" if index else group.title, line.label, line.value, line.unit)
        for group in groups_of(view_of(result.tables))
        for index, line in enumerate(group.lines)
    ]
    table(title, ("", "statistic", "value", "unit"), rows, right=("value",))
    STDOUT.print(", ".join(f"{value:,} {name}" for name, value in counts.items()))
    STDOUT.print(f"backtest {result.backtest_id}, chain head {result.chain_head}", soft_wrap=True)


# --- the read model -------------------------------------------------------------------------------------------------


def show_backtest(row: dict[str, Any], *, as_json: bool) -> None:
    """Print all that the read model has of one backtest."""
    if as_json:
        print_json(row)
    else:
        known = [(name, _value(value)) for name, value in row.items() if value is not None and name != "spec"]
        table(row["backtest_id"], ("field", "value"), known)
        STDOUT.print("spec", json.dumps(row["spec"]), markup=False, soft_wrap=True)


def say_progress(row: dict[str, Any]) -> None:
    """Say how far a backtest is, on stderr."""
    bars = f"{row['bars_done']:,} of {row['bars']:,} bars" if row["bars"] else "not started"
    equity = "" if row["equity"] is None else f", equity {row['equity']:,.2f} {row['currency']}"
    say(f"{row['status']}: {bars}, {row['fills']:,} fills, {row['trades']:,} trades{equity}")


def _value(value: Any) -> Any:
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return " ".join(value)
    return json.dumps(value) if isinstance(value, dict | list) else value


def show_totals(totals: dict[str, Any], *, as_json: bool) -> None:
    """Print how many there are of what."""
    if as_json:
        print_json(totals)
    else:
        rows = [(name.replace("_", " "), f"{count:,}") for name, count in totals.items()]
        table("Totals", ("what", "number"), rows, right=("number",))


def show_results(title: str, rows: list[dict[str, Any]]) -> None:
    """Print the table of results."""
    cells = [
        (
            row["backtest_id"],
            row["strategy"],
            " ".join(row["symbols"]),
            _status(row),
            percent(row["total_return"]),
            number(row["sharpe"]),
            percent(row["max_drawdown"]),
            row["trades"],
            row["fills"],
            number(row["final_equity"]),
        )
        for row in rows
    ]
    table(title, RESULTS, cells, right=RESULTS[4:])


def _status(row: dict[str, Any]) -> str:
    match row["status"]:
        case "running" if row["bars"]:
            return f"running {100 * (row['bars_done'] or 0) / row['bars']:.0f} %"
        case "failed":
            return f"failed: {row['failure_reason']}"
        case "completed" if row["origin"] == "imported":
            return "imported"
        case status:
            return str(status)
