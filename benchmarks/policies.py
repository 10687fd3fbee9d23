"""This module shows what each execution policy changes: one strategy, one policy moved at a time, and the presets.

    python -m benchmarks.policies        # writes docs/policies.md and docs/images/policies.png

The data are MSFT's daily bars as traded, 2004 to 2013, from the package that the demo reads. The strategy is made to
need every kind of order; nobody should trade it. A test runs this again and compares the page.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from backtape import Result, Strategy, run
from backtape.data.sample_market import RAW_STOCKS, sample_market
from engine.strategies.indicators import crossings, highest, sma
from reports.theme import MUTED, drawing_rules
from schemas.market_data import Instrument, Market
from schemas.presets import PRESETS
from schemas.spec import parse_spec
from schemas.times import parse_time

DOCS = Path(__file__).parents[1] / "docs"
PAGE, PICTURE = DOCS / "policies.md", DOCS / "images" / "policies.png"

SYMBOL, START = "MSFT", "2004-01-01"

# Each policy with the values that are not its default; the notes say where in the strategy it matters.
POLICIES: dict[str, tuple[Any, ...]] = {
    "market_fill": ("same_close", "next_close"),
    "limit_touch": ("strict", "close", "range"),
    "gap_limit": ("limit", "close", "within"),
    "stop_touch": ("range", "close"),
    "gap_stop": ("stop", "close", "within"),
    "stop_limit": ("at_stop", "same_bar", "on_close"),
    "trail": ("before_test", "after_close"),
    "same_bar": ("submission", "independent", "path", "adaptive_path"),
    "entry_bar": ("wait", "by_entry"),
    "cash_short": ("cancel", "partial", "allow"),
    "slippage": ({"type": "basis_points", "value": 5.0}, {"type": "ticks", "ticks": 2}, {"type": "spread", "rate": 0.001}),
    "commission": ({"type": "rate", "rate": 0.0005}, {"type": "maker_taker", "maker": 0.0, "taker": 0.0005}),
    "volume_limit": (2e-5,),
    "limit_fill_probability": (0.0,),
    "latency_bars": (1,),
}


class EveryOrder(Strategy):
    """Enters in turn by a market order, a limit and a stop-limit; leaves by brackets, and a trailing stop."""

    def prepare(self, data: Any) -> None:
        self.cross = self.indicator(crossings(sma(data.close, 5), sma(data.close, 20)))
        self.top = self.indicator(highest(data.high, 10))
        self.turn = 0

    def on_bar(self) -> None:
        close = self.bars.close[-1]
        if self.position.is_open:
            return
        for order in self.orders:
            if order.parent_id is None:
                order.cancel()
        if self.cross[-1] > 0:
            self.turn += 1
        kind, levels = self.turn % 3, {"stop_loss": close * 0.97, "take_profit": close * 1.04}
        if kind == 0 and self.cross[-1] > 0:
            self.buy(fraction=1.0, **levels)
        elif kind == 1:
            self.buy(500, limit=round(close * 0.99, 2), **levels)
        elif kind == 2 and close < self.top[-1]:
            entry = self.buy(700, stop=self.top[-1], limit=round(self.top[-1] * 0.999, 2))
            self.sell(700, trail_percent=4.0, parent=entry, reduce_only=True)


@dataclass(frozen=True, slots=True)
class Variant:
    """One run: a policy and its value, and what came out."""

    policy: str
    value: str
    result: Result
    difference: int  # fills of the default run that it has not, and of it that the default run has not

    @property
    def final_equity(self) -> float:
        return float(self.result.stats["final_equity"])


def market() -> Market:
    """Return MSFT's daily bars as traded, from 2004 on: on the grid of cents, no split in them."""
    spec = parse_spec(
        {"data": {"dataset": RAW_STOCKS, "symbols": [SYMBOL], "timeframe": "1d"}, "strategy": {"name": "order_list"}}
    )
    whole = sample_market(spec)
    return replace(
        whole,
        bars=(whole.bars[0].between(parse_time(START), None),),
        instruments=(Instrument(symbol=SYMBOL, tick=0.01, lot=1.0),),
        adjusted=True,  # nothing is left to apply
    )


def variants() -> Iterator[Variant]:
    """Run the default, then each policy's other values, then the presets."""
    found = market()
    default = _run(found, {})
    base = _fills(default)
    yield Variant("(all defaults)", "", default, 0)
    for policy, values in POLICIES.items():
        for value in values:
            result = _run(found, {policy: value})
            yield Variant(policy, _named(value), result, len(base ^ _fills(result)))
    for preset in PRESETS:
        result = _run(found, {"preset": preset})
        yield Variant("preset", preset, result, len(base ^ _fills(result)))


def _run(found: Market, execution: dict[str, Any]) -> Result:
    return run(EveryOrder, found, cash=20_000.0, execution=execution, recording={"equity_every": 1})


def _fills(result: Result) -> set[tuple[Any, ...]]:
    fills = result.fills
    return set(zip(fills["time"], fills["side"], fills["quantity"], fills["price"], fills["commission"], strict=True))


def _named(value: Any) -> str:
    if isinstance(value, dict):
        return value["type"] + " " + ", ".join(f"{amount:g}" for name, amount in value.items() if name != "type")
    return f"{value:g}" if isinstance(value, int | float) else str(value)


# --- the page -------------------------------------------------------------------------------------------------------


def page(found: list[Variant]) -> str:
    """Return the page: the table of all variants."""
    default = found[0]
    rows = [
        f"| {each.policy if each.policy in ('preset', '(all defaults)') else f'`{each.policy}`'} | {each.value} "
        f"| {len(each.result.fills)} | {each.difference or '–'} | {each.result.stats['trades']} "
        f"| {each.final_equity:,.2f} | {each.final_equity - default.final_equity:+,.2f} |"
        for each in found
    ]
    return TEXT.format(rows="\n".join(rows), default=f"{default.final_equity:,.2f}")


TEXT = """# What each policy changes

One strategy on one data set (MSFT, daily bars as traded, 2004 to 2013; 20,000 at the start), each policy of
`execution` moved alone from its default, then the presets. The strategy enters in turn by a market order, a limit
order and a stop-limit order, and leaves by brackets and a trailing stop, so that every policy has something to
decide; it is made for this page and for nothing else. `python -m benchmarks.policies` writes this page and the
picture; a test holds it to what the engine does now. What the policies mean is in [execution.md](execution.md).

`cash_short: cancel` gives the fills of `refuse`: an order that is too large ends at its fill, not when it is sent. A
bracket sends its stop first, so `same_bar: submission` has nothing to decide here. *Fills that differ* counts the
fills of either run that the other has not (time, side, quantity, price, commission).

| policy | value | fills | fills that differ | trades | final equity | against the default |
|---|---|---:|---:|---:|---:|---:|
{rows}

![Equity of each variant less that of the default](images/policies.png)

Each panel shows, for one policy, equity less that of the run with all defaults ({default} at the end), over time. A
first fill that differs changes what the strategy can buy afterwards, so curves do not come back: the picture says how
much hangs on an assumption about what happened inside a bar, not which assumption is right.
"""


# Told apart also by those who don't see red and green (Okabe and Ito 2008), dark enough on white; one is dashed besides.
LINES = ("#0072b2", "#d55e00", "#009e73", "#a33c7d", "#1b1f24", "#b8860b", "#56a0c9")
ACROSS = 3  # panels side by side


def picture(found: list[Variant], path: Path) -> None:
    """Draw one panel a policy: equity less the default's. Variants with the same equity share a line."""
    from matplotlib.figure import Figure

    groups: dict[str, list[Variant]] = {}
    for each in found[1:]:
        groups.setdefault(each.policy, []).append(each)
    presets = groups.pop("preset")
    base = found[0].result.equity["equity"]
    rows = -(-len(groups) // ACROSS)
    with drawing_rules():
        figure = Figure(figsize=(13.0, 2.5 * rows + 4.6), layout="constrained")
        grid = figure.add_gridspec(rows + 1, ACROSS, height_ratios=[2.5] * rows + [4.4])
        for place, (policy, members) in enumerate(groups.items()):
            _panel(figure.add_subplot(grid[place // ACROSS, place % ACROSS]), policy, members, base)
        _panel(figure.add_subplot(grid[rows, :]), "preset", presets, base)
        figure.supylabel("Equity less that of the default, USD", fontsize=10, color=MUTED)
        figure.savefig(path, dpi=80, metadata={"Software": None})


def _panel(panel: Any, policy: str, members: list[Variant], base: Any) -> None:
    from matplotlib.dates import DateFormatter, YearLocator

    curves: list[tuple[list[str], Any]] = []
    for each in members:
        curve = each.result.equity["equity"] - base
        same = next((names for names, other in curves if other.equals(curve)), None)
        if same is None:
            curves.append(([each.value], curve))
        else:
            same.append(each.value)
    panel.axhline(0.0, color=MUTED, linewidth=0.9)
    for place, (names, curve) in enumerate(curves):
        is_same = not curve.any()
        label = ", ".join(names) + (": no difference" if is_same else "")
        style = {"linewidth": 1.3, "color": MUTED if is_same else LINES[place], "linestyle": "--" if place == 1 else "-"}
        panel.plot(base.index, curve, label=label, **style)
    panel.set_title(policy, fontsize=11, loc="left", fontweight="bold", pad=22)
    legend = panel.legend(
        fontsize=8, frameon=False, loc="lower left", bbox_to_anchor=(-0.01, 0.99), ncols=len(curves), borderpad=0.2,
        handlelength=1.6, columnspacing=1.2, borderaxespad=0.0,
    )  # fmt: skip
    legend.set_in_layout(False)  # a long one may reach beyond its panel; it must not push the others away
    panel.margins(x=0.01)
    panel.xaxis.set_major_locator(YearLocator(2))
    panel.xaxis.set_major_formatter(DateFormatter("%Y"))
    panel.yaxis.set_major_formatter(lambda value, _: f"{value:+,.0f}".replace("-", "\N{MINUS SIGN}") if value else "0")


def main() -> None:
    found = list(variants())
    PAGE.write_text(page(found), encoding="utf-8")
    picture(found, PICTURE)


if __name__ == "__main__":
    main()
