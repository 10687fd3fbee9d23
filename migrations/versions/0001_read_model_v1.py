"""Make the read model, version 1."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations.views_0001 import STATEMENTS

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Roles belong to the whole cluster: another database may have made it, or make it at this moment.
READER_ROLE = """
DO $$ BEGIN
    CREATE ROLE backtape_reader NOLOGIN;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$
"""


def upgrade() -> None:
    op.execute("CREATE SCHEMA backtape_v1")
    op.create_table(
        "account_events",
        sa.Column("backtest_id", sa.Text(collation="C"), autoincrement=False, nullable=False, comment="the backtest"),
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False, comment="sequence of the event"),
        sa.Column("time", sa.DateTime(timezone=True), autoincrement=False, nullable=False, comment="market time"),
        sa.Column(
            "kind", sa.Text(), autoincrement=False, nullable=False, comment="funding, borrow, dividend, split or margin_call"
        ),
        sa.Column(
            "symbol", sa.Text(), autoincrement=False, nullable=True, comment="the position's symbol; null for a margin call"
        ),
        sa.Column(
            "amount",
            sa.Double(),
            autoincrement=False,
            nullable=True,
            comment="added to cash, account currency; negative was taken; null for a margin call",
        ),
        sa.Column(
            "rate",
            sa.Double(),
            autoincrement=False,
            nullable=True,
            comment="funding rate, dividend per unit, or new price / old price of a split",
        ),
        sa.Column("equity", sa.Double(), autoincrement=False, nullable=True, comment="equity at a margin call, account currency"),
        sa.Column(
            "maintenance",
            sa.Double(),
            autoincrement=False,
            nullable=True,
            comment="maintenance margin that equity fell below, account currency",
        ),
        sa.PrimaryKeyConstraint("backtest_id", "sequence"),
        schema="backtape_v1",
        comment="One row per funding, borrow cost, dividend, split and margin call.",
    )
    op.create_table(
        "backtests",
        sa.Column(
            "backtest_id",
            sa.Text(collation="C"),
            autoincrement=False,
            nullable=False,
            comment="the backtest's id, chosen by whoever submitted it",
        ),
        sa.Column(
            "origin",
            sa.Text(),
            autoincrement=False,
            nullable=False,
            comment="run: recorded by a worker, provable; imported: brought in from another system, not provable",
        ),
        sa.Column("command_id", sa.Text(), autoincrement=False, nullable=False, comment="the command that asked for it"),
        sa.Column(
            "issued_at",
            sa.DateTime(timezone=True),
            autoincrement=False,
            nullable=True,
            comment="when that command was issued, as it says; null for an imported one",
        ),
        sa.Column(
            "submitter",
            sa.Text(),
            autoincrement=False,
            nullable=True,
            comment="who submitted it, as the command says; null if it does not",
        ),
        sa.Column(
            "priority",
            sa.BigInteger(),
            autoincrement=False,
            nullable=False,
            comment="its place in the queue, -100 to 100: higher runs first",
        ),
        sa.Column("tags", sa.ARRAY(sa.Text()), autoincrement=False, nullable=False, comment="free words from the spec"),
        sa.Column(
            "strategy", sa.Text(), autoincrement=False, nullable=True, comment="name of the strategy; null for an imported one"
        ),
        sa.Column(
            "dataset", sa.Text(), autoincrement=False, nullable=True, comment="name of the data set; null for an imported one"
        ),
        sa.Column("symbols", sa.ARRAY(sa.Text()), autoincrement=False, nullable=False, comment="the symbols that the spec names"),
        sa.Column(
            "timeframe",
            sa.Text(),
            autoincrement=False,
            nullable=True,
            comment="length of a bar, such as 1m, 1h, 1d; null for an imported one",
        ),
        sa.Column(
            "currency",
            sa.Text(),
            autoincrement=False,
            nullable=True,
            comment="the account's currency, unit of all money in this row; null for an imported one",
        ),
        sa.Column(
            "initial_cash",
            sa.Double(),
            autoincrement=False,
            nullable=True,
            comment="cash at the start, account currency; null for an imported one",
        ),
        sa.Column(
            "spec",
            postgresql.JSONB(astext_type=sa.Text()),
            autoincrement=False,
            nullable=True,
            comment="the recorded spec with every default explicit; null for an imported one",
        ),
        sa.Column(
            "spec_digest",
            sa.Text(),
            autoincrement=False,
            nullable=True,
            comment="SHA-256 of the recorded spec's canonical bytes; null for an imported one",
        ),
        sa.Column(
            "submitted_digest",
            sa.Text(),
            autoincrement=False,
            nullable=True,
            comment="SHA-256 of the spec as it was submitted; null for an imported one",
        ),
        sa.Column(
            "records_orders",
            sa.Boolean(),
            autoincrement=False,
            nullable=False,
            comment="whether the log holds the orders, and not only fills and positions",
        ),
        sa.Column(
            "accepted_at",
            sa.DateTime(timezone=True),
            autoincrement=False,
            nullable=False,
            comment="when it was accepted: the broker record's time, wall clock",
        ),
        sa.Column(
            "log_id",
            sa.Text(),
            autoincrement=False,
            nullable=True,
            comment="the log that holds its events; null for results in process",
        ),
        sa.Column(
            "partition", sa.Integer(), autoincrement=False, nullable=False, comment="the log's partition that holds its events"
        ),
        sa.Column(
            "first_offset",
            sa.BigInteger(),
            autoincrement=False,
            nullable=False,
            comment="offset of its first commit in that partition",
        ),
        sa.Column(
            "status", sa.Text(), autoincrement=False, nullable=False, comment="queued, running, completed, cancelled or failed"
        ),
        sa.Column(
            "dataset_version",
            sa.BigInteger(),
            autoincrement=False,
            nullable=True,
            comment="version of the data set that it reads; null before the start",
        ),
        sa.Column(
            "data_digest",
            sa.Text(),
            autoincrement=False,
            nullable=True,
            comment="SHA-256 of the data set's manifest; null before the start",
        ),
        sa.Column(
            "first_bar",
            sa.DateTime(timezone=True),
            autoincrement=False,
            nullable=True,
            comment="start of the first bar; null before the start",
        ),
        sa.Column(
            "last_bar",
            sa.DateTime(timezone=True),
            autoincrement=False,
            nullable=True,
            comment="start of the last bar; null before the start",
        ),
        sa.Column(
            "bars",
            sa.BigInteger(),
            autoincrement=False,
            nullable=True,
            comment="number of bars on the merged time line; null before the start",
        ),
        sa.Column(
            "bars_done", sa.BigInteger(), autoincrement=False, nullable=False, comment="bars simulated so far, as last reported"
        ),
        sa.Column(
            "equity",
            sa.Double(),
            autoincrement=False,
            nullable=True,
            comment="equity as last reported, account currency; null before the first report",
        ),
        sa.Column(
            "orders",
            sa.BigInteger(),
            autoincrement=False,
            nullable=False,
            comment="orders submitted so far; 0 while running if orders are not recorded",
        ),
        sa.Column("fills", sa.BigInteger(), autoincrement=False, nullable=False, comment="fills so far"),
        sa.Column("trades", sa.BigInteger(), autoincrement=False, nullable=False, comment="closed positions so far"),
        sa.Column(
            "started_at",
            sa.DateTime(timezone=True),
            autoincrement=False,
            nullable=True,
            comment="when the simulation's start was recorded, wall clock",
        ),
        sa.Column(
            "finished_at",
            sa.DateTime(timezone=True),
            autoincrement=False,
            nullable=True,
            comment="when the end was recorded, wall clock; null while it is open",
        ),
        sa.Column(
            "final_equity",
            sa.Double(),
            autoincrement=False,
            nullable=True,
            comment="equity at the end, account currency; null unless completed",
        ),
        sa.Column(
            "total_return",
            sa.Double(),
            autoincrement=False,
            nullable=True,
            comment="final equity / initial cash - 1; null if undefined",
        ),
        sa.Column(
            "cagr",
            sa.Double(),
            autoincrement=False,
            nullable=True,
            comment="compound annual growth rate over actual days / 365.25; null if undefined",
        ),
        sa.Column(
            "volatility",
            sa.Double(),
            autoincrement=False,
            nullable=True,
            comment="standard deviation of returns, annualised; null if undefined",
        ),
        sa.Column(
            "sharpe", sa.Double(), autoincrement=False, nullable=True, comment="Sharpe ratio, annualised; null if undefined"
        ),
        sa.Column(
            "sortino", sa.Double(), autoincrement=False, nullable=True, comment="Sortino ratio, annualised; null if undefined"
        ),
        sa.Column(
            "max_drawdown",
            sa.Double(),
            autoincrement=False,
            nullable=True,
            comment="largest fall of equity from its peak, a fraction <= 0; null if undefined",
        ),
        sa.Column("calmar", sa.Double(), autoincrement=False, nullable=True, comment="CAGR / |max drawdown|; null if undefined"),
        sa.Column(
            "win_rate",
            sa.Double(),
            autoincrement=False,
            nullable=True,
            comment="closed positions with profit / all closed positions; null without any",
        ),
        sa.Column(
            "profit_factor",
            sa.Double(),
            autoincrement=False,
            nullable=True,
            comment="sum of profits / |sum of losses|; null without losses",
        ),
        sa.Column(
            "sqn",
            sa.Double(),
            autoincrement=False,
            nullable=True,
            comment="system quality: sqrt(n) * mean / standard deviation of PnL; null if undefined",
        ),
        sa.Column(
            "failure_reason", sa.Text(), autoincrement=False, nullable=True, comment="why it failed, one word; null unless failed"
        ),
        sa.Column(
            "failure_detail", sa.Text(), autoincrement=False, nullable=True, comment="what exactly happened; null unless failed"
        ),
        sa.Column(
            "cancel_reason",
            sa.Text(),
            autoincrement=False,
            nullable=True,
            comment="the cancel command's reason; null unless cancelled",
        ),
        sa.Column(
            "cancel_command_id",
            sa.Text(),
            autoincrement=False,
            nullable=True,
            comment="the cancel command; null unless cancelled",
        ),
        sa.Column(
            "import_manifest",
            sa.Text(),
            autoincrement=False,
            nullable=True,
            comment="key of an imported result's manifest in the blob store; null for a run",
        ),
        sa.Column(
            "last_number", sa.BigInteger(), autoincrement=False, nullable=False, comment="number of the last commit in this row"
        ),
        sa.Column(
            "last_sequence",
            sa.BigInteger(),
            autoincrement=False,
            nullable=False,
            comment="sequence of the last event in this row",
        ),
        sa.Column(
            "chain_head",
            sa.Text(),
            autoincrement=False,
            nullable=False,
            comment="SHA-256 of the last commit: the head of the hash chain",
        ),
        sa.Column("last_mark", sa.BigInteger(), autoincrement=False, nullable=False, comment="number of equity marks so far"),
        sa.PrimaryKeyConstraint("backtest_id"),
        schema="backtape_v1",
        comment="One row per backtest: what was asked for, how far it is, what came out.",
    )
    op.create_index("backtests_by_accepted_at", "backtests", ["accepted_at"], unique=False, schema="backtape_v1")
    op.create_index("backtests_by_status", "backtests", ["status", "accepted_at"], unique=False, schema="backtape_v1")
    op.create_table(
        "commands",
        sa.Column(
            "partition", sa.Integer(), autoincrement=False, nullable=False, comment="partition of the command and of its receipt"
        ),
        sa.Column("receipt_offset", sa.BigInteger(), autoincrement=False, nullable=False, comment="offset of the receipt"),
        sa.Column(
            "command_offset",
            sa.BigInteger(),
            autoincrement=False,
            nullable=False,
            comment="offset of the command on the commands topic",
        ),
        sa.Column(
            "recorded_at",
            sa.DateTime(timezone=True),
            autoincrement=False,
            nullable=False,
            comment="when the receipt was written, wall clock",
        ),
        sa.Column(
            "outcome",
            sa.Text(),
            autoincrement=False,
            nullable=False,
            comment="accepted, duplicate, rejected, expired, queue_full, forwarded or dead",
        ),
        sa.Column(
            "command_type",
            sa.Text(),
            autoincrement=False,
            nullable=True,
            comment="SubmitBacktest, CancelBacktest, ...; null if it could not be read",
        ),
        sa.Column(
            "command_id",
            sa.Text(collation="C"),
            autoincrement=False,
            nullable=True,
            comment="the command's id; null if it could not be read",
        ),
        sa.Column(
            "backtest_id",
            sa.Text(collation="C"),
            autoincrement=False,
            nullable=True,
            comment="the backtest it speaks of; null if it could not be read",
        ),
        sa.Column("submitter", sa.Text(), autoincrement=False, nullable=True, comment="who sent it, as it says"),
        sa.Column(
            "issued_at", sa.DateTime(timezone=True), autoincrement=False, nullable=True, comment="when it was issued, as it says"
        ),
        sa.Column("reason", sa.Text(), autoincrement=False, nullable=True, comment="why it was not simply carried out, one word"),
        sa.Column("detail", sa.Text(), autoincrement=False, nullable=True, comment="the same in a sentence"),
        sa.PrimaryKeyConstraint("partition", "receipt_offset"),
        schema="backtape_v1",
        comment="One row per receipt: what came in, and what became of it.",
    )
    op.create_index("commands_by_backtest", "commands", ["backtest_id"], unique=False, schema="backtape_v1")
    op.create_table(
        "commits",
        sa.Column("backtest_id", sa.Text(collation="C"), autoincrement=False, nullable=False, comment="the backtest"),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False, comment="counts 1, 2, 3 ... per backtest"),
        sa.Column("log_id", sa.Text(), autoincrement=False, nullable=True, comment="the log; null for results in process"),
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False, comment="the log's partition"),
        sa.Column("offset", sa.BigInteger(), autoincrement=False, nullable=False, comment="offset in that partition"),
        sa.Column("first_sequence", sa.BigInteger(), autoincrement=False, nullable=False, comment="sequence of its first event"),
        sa.Column("last_sequence", sa.BigInteger(), autoincrement=False, nullable=False, comment="sequence of its last event"),
        sa.Column(
            "author", sa.Text(), autoincrement=False, nullable=False, comment="owner: decided by a worker; simulation: a result"
        ),
        sa.Column(
            "digest",
            sa.Text(),
            autoincrement=False,
            nullable=False,
            comment="SHA-256 of its bytes; the next commit names it as parent",
        ),
        sa.Column("bytes", sa.BigInteger(), autoincrement=False, nullable=False, comment="its size"),
        sa.Column(
            "recorded_at",
            sa.DateTime(timezone=True),
            autoincrement=False,
            nullable=False,
            comment="when it was appended, wall clock",
        ),
        sa.PrimaryKeyConstraint("backtest_id", "number"),
        schema="backtape_v1",
        comment="One row per commit: where one backtest's records lie in the log.",
    )
    op.create_table(
        "dead_letters",
        sa.Column(
            "partition",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
            comment="partition of the dead letter and of the command",
        ),
        sa.Column("letter_offset", sa.BigInteger(), autoincrement=False, nullable=False, comment="offset of the dead letter"),
        sa.Column(
            "command_offset",
            sa.BigInteger(),
            autoincrement=False,
            nullable=True,
            comment="offset of the command on the commands topic",
        ),
        sa.Column(
            "recorded_at",
            sa.DateTime(timezone=True),
            autoincrement=False,
            nullable=False,
            comment="when it was set aside, wall clock",
        ),
        sa.Column("reason", sa.Text(), autoincrement=False, nullable=False, comment="why it could not be read, one word"),
        sa.Column("detail", sa.Text(), autoincrement=False, nullable=False, comment="the same in a sentence"),
        sa.Column("length", sa.BigInteger(), autoincrement=False, nullable=True, comment="bytes of the whole message"),
        sa.Column("sha256", sa.Text(), autoincrement=False, nullable=True, comment="SHA-256 of the whole message"),
        sa.Column(
            "beginning",
            sa.LargeBinary(),
            autoincrement=False,
            nullable=True,
            comment="its first bytes, at most 4 KiB; the dead-letters topic has more",
        ),
        sa.PrimaryKeyConstraint("partition", "letter_offset"),
        schema="backtape_v1",
        comment="One row per message that could not be read as a command.",
    )
    op.create_table(
        "equity",
        sa.Column("backtest_id", sa.Text(collation="C"), autoincrement=False, nullable=False, comment="the backtest"),
        sa.Column("mark", sa.BigInteger(), autoincrement=False, nullable=False, comment="counts 1, 2, 3 ... per backtest"),
        sa.Column("time", sa.DateTime(timezone=True), autoincrement=False, nullable=False, comment="market time"),
        sa.Column(
            "equity",
            sa.Double(),
            autoincrement=False,
            nullable=False,
            comment="cash and positions at their marks, account currency",
        ),
        sa.Column("cash", sa.Double(), autoincrement=False, nullable=False, comment="account currency"),
        sa.Column(
            "exposure",
            sa.Double(),
            autoincrement=False,
            nullable=False,
            comment="sum of |quantity * multiplier * mark|, account currency",
        ),
        sa.Column(
            "drawdown",
            sa.Double(),
            autoincrement=False,
            nullable=False,
            comment="equity / highest equity so far - 1, over all bars, <= 0",
        ),
        sa.PrimaryKeyConstraint("backtest_id", "mark"),
        schema="backtape_v1",
        comment="One row per equity mark.",
    )
    op.create_table(
        "fills",
        sa.Column("backtest_id", sa.Text(collation="C"), autoincrement=False, nullable=False, comment="the backtest"),
        sa.Column("fill_id", sa.BigInteger(), autoincrement=False, nullable=False, comment="counts 1, 2, 3 ... per backtest"),
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False, comment="sequence of the event"),
        sa.Column(
            "time",
            sa.DateTime(timezone=True),
            autoincrement=False,
            nullable=False,
            comment="when it was filled, market time (the bar's start)",
        ),
        sa.Column("order_id", sa.BigInteger(), autoincrement=False, nullable=False, comment="the order"),
        sa.Column("symbol", sa.Text(), autoincrement=False, nullable=False, comment="what was traded"),
        sa.Column("side", sa.Text(), autoincrement=False, nullable=False, comment="buy or sell"),
        sa.Column("quantity", sa.Double(), autoincrement=False, nullable=False, comment="units, > 0"),
        sa.Column("price", sa.Double(), autoincrement=False, nullable=False, comment="price of a unit, slippage inside"),
        sa.Column(
            "commission", sa.Double(), autoincrement=False, nullable=False, comment="account currency; negative is a rebate"
        ),
        sa.Column(
            "leaves_quantity",
            sa.Double(),
            autoincrement=False,
            nullable=False,
            comment="what the order had open afterwards, units",
        ),
        sa.Column("is_maker", sa.Boolean(), autoincrement=False, nullable=False, comment="whether it added liquidity"),
        sa.PrimaryKeyConstraint("backtest_id", "fill_id"),
        schema="backtape_v1",
        comment="One row per execution.",
    )
    op.create_table(
        "orders",
        sa.Column("backtest_id", sa.Text(collation="C"), autoincrement=False, nullable=False, comment="the backtest"),
        sa.Column("order_id", sa.BigInteger(), autoincrement=False, nullable=False, comment="counts 1, 2, 3 ... per backtest"),
        sa.Column(
            "sequence", sa.BigInteger(), autoincrement=False, nullable=False, comment="sequence of the event that submitted it"
        ),
        sa.Column(
            "submitted_at",
            sa.DateTime(timezone=True),
            autoincrement=False,
            nullable=False,
            comment="when it was submitted, market time",
        ),
        sa.Column("symbol", sa.Text(), autoincrement=False, nullable=False, comment="what is traded"),
        sa.Column("side", sa.Text(), autoincrement=False, nullable=False, comment="buy or sell"),
        sa.Column("order_type", sa.Text(), autoincrement=False, nullable=False, comment="market, limit, stop, stop_limit, ..."),
        sa.Column("time_in_force", sa.Text(), autoincrement=False, nullable=False, comment="gtc, day, gtd, ioc or fok"),
        sa.Column(
            "expires_at",
            sa.DateTime(timezone=True),
            autoincrement=False,
            nullable=True,
            comment="when a gtd order ends, market time",
        ),
        sa.Column("post_only", sa.Boolean(), autoincrement=False, nullable=False, comment="whether it may only add liquidity"),
        sa.Column(
            "reduce_only", sa.Boolean(), autoincrement=False, nullable=False, comment="whether it may only reduce a position"
        ),
        sa.Column(
            "oco_group",
            sa.Text(),
            autoincrement=False,
            nullable=True,
            comment="orders of one group: the first to fill cancels the others",
        ),
        sa.Column(
            "parent_order_id", sa.BigInteger(), autoincrement=False, nullable=True, comment="the order that activates this one"
        ),
        sa.Column("tag", sa.Text(), autoincrement=False, nullable=True, comment="the strategy's own word for it"),
        sa.Column(
            "status",
            sa.Text(),
            autoincrement=False,
            nullable=False,
            comment="working, triggered, partially_filled, filled, rejected, cancelled or expired",
        ),
        sa.Column("is_open", sa.Boolean(), autoincrement=False, nullable=False, comment="whether it may still fill"),
        sa.Column(
            "quantity",
            sa.Double(),
            autoincrement=False,
            nullable=True,
            comment="what was asked for, units; null where that was no finite number",
        ),
        sa.Column("limit_price", sa.Double(), autoincrement=False, nullable=True, comment="limit price"),
        sa.Column("stop_price", sa.Double(), autoincrement=False, nullable=True, comment="stop price"),
        sa.Column("trail_amount", sa.Double(), autoincrement=False, nullable=True, comment="distance of a trailing stop, price"),
        sa.Column(
            "trail_percent", sa.Double(), autoincrement=False, nullable=True, comment="distance of a trailing stop, percent"
        ),
        sa.Column("filled_quantity", sa.Double(), autoincrement=False, nullable=False, comment="filled so far, units"),
        sa.Column("leaves_quantity", sa.Double(), autoincrement=False, nullable=True, comment="still open, units; 0 once ended"),
        sa.Column(
            "average_fill_price",
            sa.Double(),
            autoincrement=False,
            nullable=True,
            comment="mean price of its fills, weighted by quantity; null without fills",
        ),
        sa.Column(
            "commission", sa.Double(), autoincrement=False, nullable=False, comment="commissions of its fills, account currency"
        ),
        sa.Column("fills", sa.BigInteger(), autoincrement=False, nullable=False, comment="number of its fills"),
        sa.Column(
            "triggered_at",
            sa.DateTime(timezone=True),
            autoincrement=False,
            nullable=True,
            comment="when a stop became live, market time",
        ),
        sa.Column("trigger_price", sa.Double(), autoincrement=False, nullable=True, comment="price at which it became live"),
        sa.Column(
            "ended_at",
            sa.DateTime(timezone=True),
            autoincrement=False,
            nullable=True,
            comment="when it was filled, rejected, cancelled or expired, market time",
        ),
        sa.Column("reason", sa.Text(), autoincrement=False, nullable=True, comment="why it was rejected or cancelled, one word"),
        sa.Column("detail", sa.Text(), autoincrement=False, nullable=True, comment="more about a rejection"),
        sa.Column(
            "last_sequence",
            sa.BigInteger(),
            autoincrement=False,
            nullable=False,
            comment="sequence of the last event that changed it",
        ),
        sa.PrimaryKeyConstraint("backtest_id", "order_id"),
        schema="backtape_v1",
        comment="One row per order, in its current state. Empty for runs that do not record orders.",
    )
    op.create_index(
        "orders_open", "orders", ["backtest_id"], unique=False, schema="backtape_v1", postgresql_where=sa.text("is_open")
    )
    op.create_table(
        "position_history",
        sa.Column("backtest_id", sa.Text(collation="C"), autoincrement=False, nullable=False, comment="the backtest"),
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False, comment="sequence of the event"),
        sa.Column("position_id", sa.BigInteger(), autoincrement=False, nullable=False, comment="the position"),
        sa.Column("time", sa.DateTime(timezone=True), autoincrement=False, nullable=False, comment="market time"),
        sa.Column("symbol", sa.Text(), autoincrement=False, nullable=False, comment="what is held"),
        sa.Column("change", sa.Text(), autoincrement=False, nullable=False, comment="opened, changed, closed or split"),
        sa.Column(
            "quantity", sa.Double(), autoincrement=False, nullable=False, comment="units held afterwards, negative for short"
        ),
        sa.Column("average_price", sa.Double(), autoincrement=False, nullable=False, comment="average price afterwards"),
        sa.Column(
            "commission",
            sa.Double(),
            autoincrement=False,
            nullable=False,
            comment="commissions since its opening, account currency",
        ),
        sa.Column(
            "realized_pnl",
            sa.Double(),
            autoincrement=False,
            nullable=False,
            comment="realised since its opening, commissions inside, account currency",
        ),
        sa.Column(
            "gross_pnl",
            sa.Double(),
            autoincrement=False,
            nullable=False,
            comment="realised since its opening, without commissions, account currency",
        ),
        sa.PrimaryKeyConstraint("backtest_id", "sequence", "position_id"),
        schema="backtape_v1",
        comment="One row per change of a position, with its values after the change.",
    )
    op.create_table(
        "positions",
        sa.Column("backtest_id", sa.Text(collation="C"), autoincrement=False, nullable=False, comment="the backtest"),
        sa.Column("position_id", sa.BigInteger(), autoincrement=False, nullable=False, comment="counts 1, 2, 3 ... per backtest"),
        sa.Column("symbol", sa.Text(), autoincrement=False, nullable=False, comment="what is held"),
        sa.Column(
            "opened_at",
            sa.DateTime(timezone=True),
            autoincrement=False,
            nullable=False,
            comment="when it was opened, market time",
        ),
        sa.Column("is_open", sa.Boolean(), autoincrement=False, nullable=False, comment="whether it is held now"),
        sa.Column(
            "quantity",
            sa.Double(),
            autoincrement=False,
            nullable=False,
            comment="units held now, negative for short, 0 once closed",
        ),
        sa.Column("average_price", sa.Double(), autoincrement=False, nullable=False, comment="average price of what opened it"),
        sa.Column(
            "commission",
            sa.Double(),
            autoincrement=False,
            nullable=False,
            comment="commissions since its opening, account currency",
        ),
        sa.Column(
            "realized_pnl",
            sa.Double(),
            autoincrement=False,
            nullable=False,
            comment="realised since its opening, commissions inside, account currency",
        ),
        sa.Column(
            "gross_pnl",
            sa.Double(),
            autoincrement=False,
            nullable=False,
            comment="realised since its opening, without commissions, account currency",
        ),
        sa.Column(
            "changed_at",
            sa.DateTime(timezone=True),
            autoincrement=False,
            nullable=False,
            comment="when it last changed, market time",
        ),
        sa.Column(
            "closed_at",
            sa.DateTime(timezone=True),
            autoincrement=False,
            nullable=True,
            comment="when it was closed, market time; null while open",
        ),
        sa.Column(
            "last_sequence",
            sa.BigInteger(),
            autoincrement=False,
            nullable=False,
            comment="sequence of the last event that changed it",
        ),
        sa.PrimaryKeyConstraint("backtest_id", "position_id"),
        schema="backtape_v1",
        comment="One row per position, in its current (or, once closed, last) state.",
    )
    op.create_index(
        "positions_open", "positions", ["backtest_id"], unique=False, schema="backtape_v1", postgresql_where=sa.text("is_open")
    )
    op.create_table(
        "projection_state",
        sa.Column("topic", sa.Text(), autoincrement=False, nullable=False, comment="topic that is read"),
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False, comment="its partition"),
        sa.Column(
            "log_id",
            sa.Text(),
            autoincrement=False,
            nullable=True,
            comment="the log that the offset belongs to; null while no record has named it",
        ),
        sa.Column(
            "next_offset",
            sa.BigInteger(),
            autoincrement=False,
            nullable=False,
            comment="the next offset to read: everything before it is in these tables",
        ),
        sa.Column(
            "recorded_at",
            sa.DateTime(timezone=True),
            autoincrement=False,
            nullable=True,
            comment="time of the newest record in these tables, wall clock",
        ),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            autoincrement=False,
            nullable=False,
            comment="when this row last changed, wall clock of the database",
        ),
        sa.PrimaryKeyConstraint("topic", "partition"),
        schema="backtape_v1",
        comment="One row per source partition: how far it has been read. Every batch moves it in the transaction of its rows.",
    )
    op.create_table(
        "quarantine",
        sa.Column("topic", sa.Text(), autoincrement=False, nullable=False, comment="topic of what could not be projected"),
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False, comment="its partition"),
        sa.Column("offset", sa.BigInteger(), autoincrement=False, nullable=False, comment="its offset"),
        sa.Column(
            "backtest_id",
            sa.Text(collation="C"),
            autoincrement=False,
            nullable=True,
            comment="the backtest whose rows stand still since; null if it names none",
        ),
        sa.Column(
            "recorded_at",
            sa.DateTime(timezone=True),
            autoincrement=False,
            nullable=False,
            comment="the record's time, wall clock",
        ),
        sa.Column("reason", sa.Text(), autoincrement=False, nullable=False, comment="what is wrong with it"),
        sa.PrimaryKeyConstraint("topic", "partition", "offset"),
        schema="backtape_v1",
        comment="One row per record that could not be projected. The rows of its backtest stay as they were before it.",
    )
    op.create_index("quarantine_by_backtest", "quarantine", ["backtest_id"], unique=False, schema="backtape_v1")
    op.create_table(
        "snapshots",
        sa.Column("backtest_id", sa.Text(collation="C"), autoincrement=False, nullable=False, comment="the backtest"),
        sa.Column(
            "manifest_key", sa.Text(), autoincrement=False, nullable=False, comment="key of the manifest in the blob store"
        ),
        sa.Column("manifest_sha256", sa.Text(), autoincrement=False, nullable=False, comment="SHA-256 of the manifest"),
        sa.Column(
            "chain_head",
            sa.Text(),
            autoincrement=False,
            nullable=False,
            comment="SHA-256 of the last commit that the snapshot holds",
        ),
        sa.Column("bytes", sa.BigInteger(), autoincrement=False, nullable=False, comment="size of its Parquet files"),
        sa.Column("rows", sa.BigInteger(), autoincrement=False, nullable=False, comment="rows in its Parquet files"),
        sa.Column(
            "announced_at",
            sa.DateTime(timezone=True),
            autoincrement=False,
            nullable=False,
            comment="when it was announced, wall clock",
        ),
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False, comment="partition of the announcement"),
        sa.Column("offset", sa.BigInteger(), autoincrement=False, nullable=False, comment="offset of the announcement"),
        sa.PrimaryKeyConstraint("backtest_id"),
        schema="backtape_v1",
        comment="One row per snapshot in the blob store.",
    )
    op.create_table(
        "statistics",
        sa.Column("backtest_id", sa.Text(collation="C"), autoincrement=False, nullable=False, comment="the backtest"),
        sa.Column("name", sa.Text(), autoincrement=False, nullable=False, comment="name of the statistic"),
        sa.Column(
            "value", sa.Double(), autoincrement=False, nullable=True, comment="its value; null if undefined, or if it is a text"
        ),
        sa.Column(
            "text",
            sa.Text(),
            autoincrement=False,
            nullable=True,
            comment="its value if it is a text; RFC 3339 for a time (a name that ends in _ns)",
        ),
        sa.PrimaryKeyConstraint("backtest_id", "name"),
        schema="backtape_v1",
        comment="One row per statistic of a completed backtest.",
    )
    op.create_table(
        "trades",
        sa.Column("backtest_id", sa.Text(collation="C"), autoincrement=False, nullable=False, comment="the backtest"),
        sa.Column("trade_id", sa.BigInteger(), autoincrement=False, nullable=False, comment="id of the position that was closed"),
        sa.Column(
            "sequence", sa.BigInteger(), autoincrement=False, nullable=False, comment="sequence of the event that closed it"
        ),
        sa.Column("symbol", sa.Text(), autoincrement=False, nullable=False, comment="what was traded"),
        sa.Column("side", sa.Text(), autoincrement=False, nullable=False, comment="buy: it was long; sell: it was short"),
        sa.Column("quantity", sa.Double(), autoincrement=False, nullable=False, comment="largest absolute size it had, units"),
        sa.Column("opened_at", sa.DateTime(timezone=True), autoincrement=False, nullable=False, comment="market time"),
        sa.Column("closed_at", sa.DateTime(timezone=True), autoincrement=False, nullable=False, comment="market time"),
        sa.Column("bars_held", sa.BigInteger(), autoincrement=False, nullable=False, comment="bars from opening to close"),
        sa.Column("average_price", sa.Double(), autoincrement=False, nullable=False, comment="average price of what opened it"),
        sa.Column("average_close", sa.Double(), autoincrement=False, nullable=False, comment="average price of what closed it"),
        sa.Column("commission", sa.Double(), autoincrement=False, nullable=False, comment="account currency"),
        sa.Column(
            "realized_pnl",
            sa.Double(),
            autoincrement=False,
            nullable=False,
            comment="profit, commissions inside, account currency",
        ),
        sa.Column(
            "gross_pnl", sa.Double(), autoincrement=False, nullable=False, comment="profit without commissions, account currency"
        ),
        sa.Column(
            "return_fraction",
            sa.Double(),
            autoincrement=False,
            nullable=True,
            comment="side * (average close / average price - 1); null if the average price is 0",
        ),
        sa.Column(
            "mae", sa.Double(), autoincrement=False, nullable=False, comment="maximum adverse excursion, account currency, <= 0"
        ),
        sa.Column(
            "mfe",
            sa.Double(),
            autoincrement=False,
            nullable=False,
            comment="maximum favourable excursion, account currency, >= 0",
        ),
        sa.PrimaryKeyConstraint("backtest_id", "trade_id"),
        schema="backtape_v1",
        comment="One row per closed position, flat to flat.",
    )
    op.execute(READER_ROLE)
    for statement in STATEMENTS:
        op.execute(sa.text(statement.replace(":", "\\:")))


def downgrade() -> None:
    op.execute("DROP SCHEMA IF EXISTS backtape CASCADE")
    op.execute("DROP SCHEMA backtape_v1 CASCADE")
