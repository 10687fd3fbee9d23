"""This module writes the report: one HTML file that needs nothing else, no server and no network.

The figures are inline SVG, drawn by the same code as the PNG files, with a few lines of script for values under the pointer:
some hundred kilobytes, readable without the script, sharp on paper. (An embedded plotly alone would weigh 4 MB and print badly.)
A content security policy in the page forbids every load, so that a mistake here can't become a request.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
import pyarrow as pa

from reports import words
from reports.axes import Scene
from reports.figures import FIGURES, FigureKind
from reports.script import SCRIPT
from reports.statistics_table import Group, Line, groups_of, headlines_of
from reports.stylesheet import STYLE
from reports.svg import SvgFigure, svg_figure
from reports.view import RunView, SymbolResult, Tables, view_of
from schemas.market_data import Bars

EXTREME_TRADES = 5  # best and worst trades that are listed
EXTREME_SYMBOLS = 20
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


def report_from_tables(tables: Tables | Mapping[str, pa.Table], bars: Iterable[Bars] = (), *, title: str | None = None) -> str:
    """Return the report of one run as HTML.

    tables : backtests, equity, fills, trades, statistics, from a fold, the log or Parquet; what is missing counts as empty
    bars : of the run's symbols, for the trades on price; without them fills are drawn alone
    """
    scene = Scene(view_of(tables), tuple(bars))
    figures = [(kind, svg_figure(kind, scene)) for kind in FIGURES]
    return _page(scene.view, figures, title or _title(scene.view))


def _page(view: RunView, figures: Sequence[tuple[FigureKind, SvgFigure]], title: str) -> str:
    readouts = {kind.name: figure.readouts for kind, figure in figures if figure.readouts}
    body = "\n".join(
        [
            _header(view, title),
            _banner(view),
            _headlines(headlines_of(view)),
            *(_figure(kind, figure) for kind, figure in figures),
            _statistics(groups_of(view)),
            _symbols(view),
            _extreme_trades(view),
            _provenance(view),
        ]
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<title>{escape(title)}</title>
<style>{STYLE}</style>
</head>
<body>
<main>
{body}
<footer>Backtest {escape(view.backtest_id)}. Times are UTC. {words.UNDEFINED} means undefined. Made by Backtape.</footer>
</main>
<script type="application/json" id="readouts" data-days="{int(view.has_whole_days)}">{_json(readouts)}</script>
<script>{SCRIPT}</script>
</body>
</html>
"""


def _title(view: RunView) -> str:
    symbols = view.symbols
    named = ", ".join(symbols[:4]) + (f" and {len(symbols) - 4} more" if len(symbols) > 4 else "")
    return f"{view.run['strategy'] or 'Backtest'} on {named}" if named else view.run["strategy"] or view.backtest_id


def _header(view: RunView, title: str) -> str:
    run = view.run
    parts = [f"{run['timeframe']} bars" if run["timeframe"] else ""]
    if run["first_bar"] is not None:
        parts.append(f"{view.time(run['first_bar'])} to {view.time(run['last_bar'])}")
    if run["bars"] is not None:
        parts.append(words.bars(run["bars"]))
    if view.initial_cash is not None:
        parts.append(f"{words.money(view.initial_cash)} {view.currency} at the start")
    status = escape(run["status"])
    subtitle = " · ".join(escape(part) for part in parts if part)
    return f'<h1>{escape(title)} <span class="status {status}">{status}</span></h1>\n<p class="subtitle">{subtitle}</p>'


def _banner(view: RunView) -> str:
    """Say what a reader must know of a run that did not reach its end, and of a result that was imported."""
    run = view.run
    if run["origin"] == "imported":
        engine = json.loads(run["imported"])["engine"]["name"]
        text = (
            f"This result was imported: {engine} computed it, and it can't be proven. Its trades and its equity are in Parquet."
        )
        return f'<p class="banner">{escape(text)}</p>'
    match run["status"]:
        case "failed":
            text = f"This run failed ({run['failure_reason']}): {run['failure_detail']}"
        case "cancelled":
            text = f"This run was cancelled: {run['cancel_reason'] or 'no reason was given'}"
        case "completed":
            return ""
        case status:
            text = f"This run is {status}: {words.count(run['bars_done'])} of {words.count(run['bars'] or 0)} bars are done."
    return f'<p class="banner">{escape(text)} What follows shows it as far as it went.</p>'


def _headlines(lines: list[Line]) -> str:
    cells = "\n".join(f"<div><dt>{escape(line.label)}</dt><dd>{_value(line)}</dd></div>" for line in lines)
    return f'<dl class="headlines">\n{cells}\n</dl>' if lines else ""


def _figure(kind: FigureKind, figure: SvgFigure) -> str:
    note = f"\n<figcaption>{escape(figure.note)}</figcaption>" if figure.note else ""
    return f'<section>\n<h2>{escape(kind.title)}</h2>\n<figure><div class="scroll">{figure.svg}</div>{note}</figure>\n</section>'


def _statistics(groups: list[Group]) -> str:
    if not groups:
        return ""
    tables = "\n".join(
        f'<div class="group"><h3>{escape(group.title)}</h3><table>\n'
        + "\n".join(
            f'<tr><th scope="row">{escape(line.label)}</th><td class="number">{_value(line)}</td></tr>' for line in group.lines
        )
        + "\n</table></div>"
        for group in groups
    )
    return f'<section>\n<h2>Statistics</h2>\n<div class="groups">\n{tables}\n</div>\n</section>'


def _value(line: Line) -> str:
    if line.is_undefined:
        return f'<span class="undefined" title="undefined">{words.UNDEFINED}</span>'
    unit = f" <small>{escape(line.unit)}</small>" if line.unit else ""
    return escape(line.value) + unit


def _symbols(view: RunView) -> str:
    """Show each symbol's closed trades; of one symbol alone the statistics have told it."""
    if len(view.by_symbol) < 2:
        return ""
    names = ("Trades", "Win rate", "Profit factor", "Commission", f"PnL, {view.currency}".rstrip(", "))
    head = '<th scope="col">Symbol</th>' + "".join(f'<th scope="col" class="number">{escape(name)}</th>' for name in names)
    ranked = sorted(view.by_symbol, key=lambda each: -each.realized_pnl)
    shown = ranked if len(ranked) <= 2 * EXTREME_SYMBOLS else [*ranked[:EXTREME_SYMBOLS], *ranked[-EXTREME_SYMBOLS:]]
    rows = "\n".join(_symbol(each) for each in shown)
    left_out = len(ranked) - len(shown)
    note = f'<p class="note">{words.count(left_out)} symbols between them are left out.</p>' if left_out else ""
    return (
        '<section>\n<h2>By symbol</h2>\n<div class="scroll"><table class="trades">\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody>\n</table></div>{note}\n</section>"
    )


def _symbol(each: SymbolResult) -> str:
    numbers = (
        words.count(each.trades),
        words.or_undefined(each.win_rate, words.percent),
        words.or_undefined(each.profit_factor, words.ratio),
        words.money(each.commission),
    )
    cells = "".join(f'<td class="number">{number}</td>' for number in numbers)
    sign = "gain" if each.realized_pnl > 0 else "loss" if each.realized_pnl < 0 else ""
    return f'<tr><td>{escape(each.symbol)}</td>{cells}<td class="number {sign}">{words.money(each.realized_pnl)}</td></tr>'


def _extreme_trades(view: RunView) -> str:
    trades = view.trades
    if not len(trades):
        return ""
    order = np.argsort(trades.pnl, kind="stable")
    count = min(EXTREME_TRADES, (len(order) + 1) // 2)
    best, worst = order[::-1][:count], order[: min(count, len(order) - count)]
    columns = ("Symbol", "Side", "Opened", "Closed")
    numbers = ("Bars", "Quantity", "Entry", "Exit", "Return", f"PnL, {view.currency}".rstrip(", "))
    head = "".join(f'<th scope="col">{name}</th>' for name in columns)
    head += "".join(f'<th scope="col" class="number">{escape(name)}</th>' for name in numbers)
    rows = [f'<tr class="part"><th colspan="10">Best of {words.count(len(trades))}</th></tr>', *_rows(view, best)]
    if len(worst):
        rows += ['<tr class="part"><th colspan="10">Worst</th></tr>', *_rows(view, worst)]
    return (
        '<section>\n<h2>Best and worst trades</h2>\n<div class="scroll"><table class="trades">\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n" + "\n".join(rows) + "\n</tbody>\n</table></div>\n</section>"
    )


def _rows(view: RunView, places: Iterable[int]) -> list[str]:
    return [_row(view, int(place)) for place in places]


def _row(view: RunView, at: int) -> str:
    trades = view.trades
    pnl = float(trades.pnl[at])
    texts = (
        trades.symbol[at],
        "long" if trades.is_long[at] else "short",
        view.time(int(trades.opened_ns[at])),
        view.time(int(trades.closed_ns[at])),
    )
    numbers = (
        words.count(int(trades.bars_held[at])),
        words.quantity(float(trades.quantity[at])),
        words.price(float(trades.open_price[at])),
        words.price(float(trades.close_price[at])),
        words.or_undefined(float(trades.return_fraction[at]), words.percent),
    )
    cells = "".join(f"<td>{escape(str(text))}</td>" for text in texts)
    cells += "".join(f'<td class="number">{number}</td>' for number in numbers)
    sign = "gain" if pnl > 0 else "loss" if pnl < 0 else ""
    return f'<tr>{cells}<td class="number {sign}">{words.money(pnl)}</td></tr>'


def _provenance(view: RunView) -> str:
    """Say what the run was made of: with these digests it can be run again and compared byte for byte."""
    run = view.run
    facts = [
        ("Backtest", run["backtest_id"]),
        ("Strategy", run["strategy"]),
        ("Data set", _data_set(run)),
        ("Data digest", run["data_digest"]),
        ("Spec digest", run["spec_digest"]),
        ("Chain head", run["chain_head"]),
        ("Log", f"{words.count(run['last_number'])} commits, {words.count(run['last_sequence'])} events"),
    ]
    rows = "\n".join(f"<dt>{name}</dt><dd>{_fact(name, value)}</dd>" for name, value in facts)
    spec = run["spec"]
    shown = json.dumps(json.loads(spec), indent=2, ensure_ascii=False) if spec else ""
    details = f"\n<details><summary>The whole spec</summary><pre>{escape(shown)}</pre></details>" if shown else ""
    return f'<section>\n<h2>Provenance</h2>\n<dl class="facts">\n{rows}\n</dl>{details}\n</section>'


def _data_set(run: dict[str, Any]) -> str | None:
    if run["dataset"] is None:
        return None
    version = run["dataset_version"]
    return f"{run['dataset']}, version {version}" if version is not None else str(run["dataset"])


def _fact(name: str, value: str | None) -> str:
    if not value:
        return f'<span class="undefined">{words.UNDEFINED}</span>'
    return f"<code>{escape(value)}</code>" if name.endswith(("digest", "head")) else escape(value)


def _json(document: Any) -> str:
    """Return JSON that can stand in a script element: nothing in it can end the element."""
    return json.dumps(document, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
