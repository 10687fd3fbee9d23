"""This module prints the state of a run at one point."""

from backtape.cli.output import console, number, print_json, table
from projections.replay_state import Replayed, document
from schemas.times import format_time

MONEY = ("cash", "equity", "realized_pnl", "commission", "funding", "dividends", "borrow", "initial_cash")


def show_replay(state: Replayed, *, as_json: bool) -> None:
    """Print account, positions and working orders."""
    if as_json:
        print_json(document(state))
        return
    when = _time(state.time_ns)
    console().print(
        f"{state.backtest_id} after event {state.sequence} (commit {state.commit}), {when}: {state.status}", soft_wrap=True
    )
    rows = [(name.replace("_", " "), number(getattr(state, name)), state.currency) for name in MONEY]
    rows += [(name, f"{getattr(state, name):,}", "") for name in ("orders", "fills", "trades")]
    table(f"Account (equity as of {_time(state.equity_ns)})", ("", "value", ""), rows, right=("value",))
    table(
        "Positions",
        ("id", "symbol", "quantity", "average price", "last price", "of", "value", "unrealized PnL", "opened"),
        [
            (each.position_id, each.symbol, f"{each.quantity:,.10g}", number(each.average_price, 6), number(each.last_price, 6),
             _time(each.last_price_ns), number(each.value), number(each.unrealized_pnl), _time(each.opened_ns))
            for each in state.positions
        ],
        right=("id", "quantity", "average price", "last price", "value", "unrealized PnL"),
    )  # fmt: skip
    table(
        "Working orders",
        ("id", "symbol", "side", "type", "open", "of", "limit", "stop", "status", "submitted"),
        [
            (each.order_id, each.symbol, each.side, each.order_type, each.leaves_quantity, each.quantity, each.limit_price,
             each.stop_price, each.status, _time(each.submitted_ns))
            for each in state.working_orders
        ],
        right=("id", "open", "of", "limit", "stop"),
    )  # fmt: skip


def _time(time_ns: int | None) -> str:
    return format_time(time_ns) if time_ns else "–"
