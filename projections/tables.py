"""This module defines the tables of the read model: the one place where their columns, units and meaning stand.

Each generation of the read model (schemas/generations.py) has a schema of its own; people read the views in schema ``backtape``
(projections/views.py). ``METADATA`` stands for the first generation, which a migration makes; ``tables_in`` gives the same tables
for any other. Every row follows from one source partition. Primary keys begin with the backtest's id,
so that one backtest's rows lie together.

A column that later events change is marked ``changes``; in each table those columns come last. A table without them is only
ever appended to. A column that only the fold and the views need is marked ``inner``: people don't see it.

``TRADES`` and ``POSITION_HISTORY`` are no tables of their own: each of their rows is a part of a row of ``positions``, or of
``position_changes``. projections/views.py shows them so, and projections/positions.py makes the same rows for results in process
and for Parquet files.
"""

from functools import cache
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeEngine

from schemas.generations import Generation

PROJECTION_VERSION = 1
FIRST = Generation(PROJECTION_VERSION)  # of this version: the one that a migration makes
SCHEMA = FIRST.schema

METADATA = MetaData(schema=SCHEMA)
_SHOWN_ONLY = MetaData()  # tables that people see, and nobody writes


def _column(
    name: str, kind: TypeEngine[Any], comment: str, *, key: bool = False, null: bool = False, **info: bool
) -> Column[Any]:
    return Column(name, kind, primary_key=key, nullable=null, comment=comment, autoincrement=False, info=info)


def _id(name: str, comment: str, **options: bool) -> Column[Any]:
    # Byte order: ids are compared in every index, and a language's collation makes that several times slower.
    return _column(name, Text(collation="C"), comment, **options)


def _text(name: str, comment: str, **options: bool) -> Column[Any]:
    return _column(name, Text(), comment, **options)


def _word(name: str, comment: str, **options: bool) -> Column[Any]:
    """A text column with few different values: dictionary-encoded in Parquet."""
    return _column(name, Text(), comment, word=True, **options)


def _integer(name: str, comment: str, **options: bool) -> Column[Any]:
    return _column(name, BigInteger(), comment, **options)


def _number(name: str, comment: str, **options: bool) -> Column[Any]:
    return _column(name, Double(), comment, **options)


def _flag(name: str, comment: str, **options: bool) -> Column[Any]:
    return _column(name, Boolean(), comment, **options)


def _moment(name: str, comment: str, **options: bool) -> Column[Any]:
    return _column(name, DateTime(timezone=True), comment, **options)


def _backtest_id() -> Column[Any]:
    return _id("backtest_id", "the backtest", key=True)


BACKTESTS = Table(
    "backtests",
    METADATA,
    _id("backtest_id", "the backtest's id, chosen by whoever submitted it", key=True),
    _word("origin", "run: recorded by a worker, provable; imported: brought in from another system, not provable"),
    _text("command_id", "the command that asked for it"),
    _moment("issued_at", "when that command was issued, as it says", null=True),
    _text("submitter", "who submitted it, as the command says; null if it does not", null=True),
    _integer("priority", "its place in the queue, -100 to 100: higher runs first"),
    _column("tags", ARRAY(Text()), "free words from the spec, or from an imported result"),
    _text("strategy", "name of the strategy; of an imported one: in the other system", null=True),
    _text("dataset", "name of the data set; null for an imported one", null=True),
    _column("symbols", ARRAY(Text()), "the symbols that the spec names, or an imported result"),
    _text("words", "id, strategy, data set, symbols, submitter and tags as words in lower case: what a search looks at"),
    _text("timeframe", "length of a bar, such as 1m, 1h, 1d; null for an imported one that does not say", null=True),
    _text("currency", "the account's currency, unit of all money in this row", null=True),
    _number("initial_cash", "cash at the start, account currency", null=True),
    _column("spec", JSONB(), "the recorded spec with every default explicit; null for an imported one", null=True),
    _text("spec_digest", "SHA-256 of the recorded spec's canonical bytes; null for an imported one", null=True),
    _text("submitted_digest", "SHA-256 of the spec as it was submitted; of an imported one: of the original document", null=True),
    _column("imported", JSONB(), "what an imported result's document says, all but its rows; null for a run", null=True),
    _text("import_digest", "SHA-256 of an imported result's manifest, as the log says; null for a run", null=True),
    _flag("records_orders", "whether the log holds the orders, and not only fills and positions"),
    _moment("accepted_at", "when it was accepted: the broker record's time, wall clock"),
    _text("log_id", "the log that holds its events; null for results in process", null=True),
    _column("partition", Integer(), "the log's partition that holds its events"),
    _integer("first_offset", "offset of its first commit in that partition"),
    _word("status", "queued, running, completed, cancelled or failed", changes=True),
    _integer("dataset_version", "version of the data set that it reads; null before the start", null=True, changes=True),
    _text("data_digest", "SHA-256 of the data set's manifest; null before the start", null=True, changes=True),
    _moment(
        "first_bar", "start of the first bar, or of an imported one's period; null before the start", null=True, changes=True
    ),
    _moment(
        "last_bar", "start of the last bar, or end of an imported one's period; null before the start", null=True, changes=True
    ),
    _integer("bars", "number of bars on the merged time line; null before the start, and if imported", null=True, changes=True),
    _integer("bars_done", "bars simulated so far, as last reported", changes=True),
    _number("equity", "equity as last reported, account currency; null before the first report", null=True, changes=True),
    _integer("orders", "orders submitted so far; 0 while running if orders are not recorded", changes=True),
    _integer("fills", "fills so far", changes=True),
    _integer("trades", "closed positions so far", changes=True),
    _moment(
        "started_at",
        "when the simulation's start was recorded, wall clock; null before it, and if imported",
        null=True,
        changes=True,
    ),
    _moment("finished_at", "when the end was recorded, wall clock; null while it is open", null=True, changes=True),
    _number("final_equity", "equity at the end, account currency; null unless completed", null=True, changes=True),
    _number("total_return", "final equity / initial cash - 1; null if undefined", null=True, changes=True),
    _number("cagr", "compound annual growth rate over actual days / 365.25; null if undefined", null=True, changes=True),
    _number("volatility", "standard deviation of returns, annualised; null if undefined", null=True, changes=True),
    _number("sharpe", "Sharpe ratio, annualised; null if undefined", null=True, changes=True),
    _number("sortino", "Sortino ratio, annualised; null if undefined", null=True, changes=True),
    _number("max_drawdown", "largest fall of equity from its peak, a fraction <= 0; null if undefined", null=True, changes=True),
    _number("calmar", "CAGR / |max drawdown|; null if undefined", null=True, changes=True),
    _number("win_rate", "closed positions with profit / all closed positions; null without any", null=True, changes=True),
    _number("profit_factor", "sum of profits / |sum of losses|; null without losses", null=True, changes=True),
    _number("sqn", "system quality: sqrt(n) * mean / standard deviation of PnL; null if undefined", null=True, changes=True),
    _word("failure_reason", "why it failed, one word; null unless failed", null=True, changes=True),
    _text("failure_detail", "what exactly happened; null unless failed", null=True, changes=True),
    _text("cancel_reason", "the cancel command's reason; null unless cancelled", null=True, changes=True),
    _text("cancel_command_id", "the cancel command; null unless cancelled", null=True, changes=True),
    _integer("last_number", "number of the last commit in this row", changes=True),
    _integer("last_sequence", "sequence of the last event in this row", changes=True),
    _text("chain_head", "SHA-256 of the last commit: the head of the hash chain", changes=True),
    _integer("last_mark", "number of equity marks so far", changes=True, inner=True),
    Index("backtests_by_accepted_at", "accepted_at", "backtest_id"),
    Index("backtests_by_status", "status", "accepted_at", "backtest_id"),
    Index("backtests_by_finished_at", "finished_at", "backtest_id"),
    Index("backtests_by_strategy", "strategy", "accepted_at", "backtest_id"),
    Index("backtests_by_submitter", "submitter", "accepted_at", "backtest_id", postgresql_include=["status"]),  # counts by status
    Index("backtests_by_symbol", "symbols", postgresql_using="gin"),
    Index("backtests_by_tag", "tags", postgresql_using="gin"),
    Index("backtests_by_word", text("to_tsvector('simple'::regconfig, words)"), postgresql_using="gin"),
    comment="One row per backtest: what was asked for, how far it is, what came out.",
    # Room for a row's next state on its own page: progress then changes no index.
    postgresql_with={"fillfactor": 80},
)
# The best first; what has no value comes last, which a plain index can't give. All of them are written once, at a run's end.
for _name in ("sharpe", "total_return", "max_drawdown", "cagr", "final_equity"):
    Index(f"backtests_by_{_name}", BACKTESTS.c[_name].desc().nulls_last(), BACKTESTS.c.backtest_id.desc())

ORDERS = Table(
    "orders",
    METADATA,
    _backtest_id(),
    _integer("order_id", "counts 1, 2, 3 ... per backtest", key=True),
    _integer("sequence", "sequence of the event that submitted it"),
    _moment("submitted_at", "when it was submitted, market time"),
    _word("side", "buy or sell"),
    _word("order_type", "market, limit, stop, stop_limit, ..."),
    _word("time_in_force", "gtc, day, gtd, ioc or fok"),
    _moment("expires_at", "when a gtd order ends, market time", null=True),
    _flag("post_only", "whether it may only add liquidity"),
    _flag("reduce_only", "whether it may only reduce a position"),
    _word("oco_group", "orders of one group: the first to fill cancels the others", null=True),
    _integer("parent_order_id", "the order that activates this one", null=True),
    _text("tag", "the strategy's own word for it", null=True),
    _integer("position_id", "hedging: the one position that it closes; null otherwise", null=True),
    _word("symbol", "what is traded; its present symbol, while the order is open", changes=True),
    _word("status", "working, triggered, partially_filled, filled, rejected, cancelled or expired", changes=True),
    _flag("is_open", "whether it may still fill", changes=True),
    _number("quantity", "what was asked for, units; null where that was no finite number", null=True, changes=True),
    _number("limit_price", "limit price", null=True, changes=True),
    _number("stop_price", "stop price", null=True, changes=True),
    _number("trail_amount", "distance of a trailing stop, price", null=True, changes=True),
    _number("trail_percent", "distance of a trailing stop, percent", null=True, changes=True),
    _number("filled_quantity", "filled so far, units", changes=True),
    _number("leaves_quantity", "still open, units; 0 once ended", null=True, changes=True),
    _number("average_fill_price", "mean price of its fills, weighted by quantity; null without fills", null=True, changes=True),
    _number("commission", "commissions of its fills, account currency", changes=True),
    _integer("fills", "number of its fills", changes=True),
    _moment("triggered_at", "when a stop became live, market time", null=True, changes=True),
    _number("trigger_price", "price at which it became live", null=True, changes=True),
    _moment("ended_at", "when it was filled, rejected, cancelled or expired, market time", null=True, changes=True),
    _word("reason", "why it was rejected or cancelled, one word", null=True, changes=True),
    _text("detail", "more about a rejection", null=True, changes=True),
    _integer("last_sequence", "sequence of the last event that changed it", changes=True),
    Index("orders_open", "backtest_id", postgresql_where=text("is_open")),
    Index("orders_rejected", "reason", "backtest_id", postgresql_where=text("status = 'rejected'")),
    comment="One row per order, in its current state. Empty for runs that do not record orders.",
)

FILLS = Table(
    "fills",
    METADATA,
    _backtest_id(),
    _integer("fill_id", "counts 1, 2, 3 ... per backtest", key=True),
    _integer("sequence", "sequence of the event"),
    _moment("time", "when it was filled, market time (the bar's start)"),
    _integer("order_id", "the order"),
    _word("symbol", "what was traded"),
    _word("side", "buy or sell"),
    _number("quantity", "units, > 0"),
    _number("price", "price of a unit, slippage inside"),
    _number("commission", "account currency; negative is a rebate"),
    _number("leaves_quantity", "what the order had open afterwards, units"),
    _flag("is_maker", "whether it added liquidity"),
    _number("conversion", "account currency per unit of the currency that the price is in"),
    _integer("position_id", "hedging: the position that it opened or reduced; null otherwise", null=True),
    comment="One row per execution.",
)

POSITIONS = Table(
    "positions",
    METADATA,
    _backtest_id(),
    _integer("position_id", "counts 1, 2, 3 ... per backtest", key=True),
    _word("side", "long or short"),
    _moment("opened_at", "when it was opened, market time"),
    # Its opening, which position_history shows.
    _integer("opened_sequence", "sequence of the event that opened it", inner=True),
    _word("opened_symbol", "its symbol when it was opened", inner=True),
    _number("opened_quantity", "units when it was opened, negative for short", inner=True),
    _number("opened_price", "average price when it was opened", inner=True),
    _number("opened_commission", "commission of its opening, account currency", inner=True),
    _number("opened_pnl", "realised by its opening, commissions inside, account currency", inner=True),
    _word("symbol", "what is held; its present symbol, while it is open", changes=True),
    _flag("is_open", "whether it is held now", changes=True),
    _number("quantity", "units held now, negative for short, 0 once closed", changes=True),
    _number("largest_quantity", "largest absolute size it had, units; null while it is open", null=True, changes=True),
    _number("average_price", "average price of what opened it", changes=True),
    _number("average_close", "average price of what closed it; null while it is open", null=True, changes=True),
    _number("commission", "commissions since its opening, account currency", changes=True),
    _number("realized_pnl", "realised since its opening, commissions inside, account currency", changes=True),
    _number("gross_pnl", "realised since its opening, without commissions, account currency", changes=True),
    _number(
        "mark",
        "last close when it was last valued, instrument's currency; null before that and once closed",
        null=True,
        changes=True,
    ),
    _number(
        "unrealized_pnl",
        "profit not realised when it was last valued, account currency; null before that, 0 once closed",
        null=True,
        changes=True,
    ),
    _number(
        "return_fraction",
        "side * (mark or average close / average price - 1); null if not valued, or if that is 0",
        null=True,
        changes=True,
    ),
    _number(
        "mae", "maximum adverse excursion when last valued, account currency, <= 0; null before that", null=True, changes=True
    ),
    _number(
        "mfe", "maximum favourable excursion when last valued, account currency, >= 0; null before that", null=True, changes=True
    ),
    _integer("bars_held", "bars from opening to when it was last valued, or closed; null before that", null=True, changes=True),
    _number("funding", "funding added to cash since its opening, account currency; negative was paid", changes=True),
    _number("borrow", "borrow costs taken from cash since its opening, account currency", changes=True),
    _number("dividends", "dividends added to cash since its opening, account currency; negative was paid", changes=True),
    _moment(
        "marked_at", "when it was last valued, market time: with each progress report; null before that", null=True, changes=True
    ),
    _moment("changed_at", "when it last changed, market time", changes=True),
    _moment("closed_at", "when it was closed, market time; null while open", null=True, changes=True),
    _integer("last_sequence", "sequence of the last event that changed it", changes=True),
    Index("positions_open", "backtest_id", postgresql_where=text("is_open")),
    Index(
        "positions_losing_by_time",
        text("(closed_at - opened_at)"),
        postgresql_where=text("realized_pnl < 0 AND NOT is_open"),
    ),
    comment="One row per position, in its current (or, once closed, last) state.",
)


def _position_columns(changes: str) -> list[Column[Any]]:
    """Return the columns of a position's changes. changes : which there are"""
    return [
        _backtest_id(),
        _integer("sequence", "sequence of the event", key=True),
        _integer("position_id", "the position", key=True),
        _moment("time", "market time"),
        _word("symbol", "what is held"),
        _word("change", changes),
        _number("quantity", "units held afterwards, negative for short"),
        _number("average_price", "average price afterwards"),
        _number("commission", "commissions since its opening, account currency"),
        _number("realized_pnl", "realised since its opening, commissions inside, account currency"),
        _number("gross_pnl", "realised since its opening, without commissions, account currency"),
    ]


POSITION_CHANGES = Table(
    "position_changes",
    METADATA,
    *_position_columns("changed, split or renamed; its opening and its closing stand in positions"),
    comment="One row per change of a position between its opening and its closing, with its values after the change.",
)

POSITION_HISTORY = Table(
    "position_history",
    _SHOWN_ONLY,
    *_position_columns("opened, changed, closed, split or renamed"),
    comment="One row per change of a position, with its values after the change.",
)

TRADES = Table(
    "trades",
    _SHOWN_ONLY,
    _backtest_id(),
    _integer("trade_id", "id of the position that was closed", key=True),
    _integer("sequence", "sequence of the event that closed it"),
    _word("symbol", "what was traded"),
    _word("side", "buy: it was long; sell: it was short"),
    _number("quantity", "largest absolute size it had, units"),
    _moment("opened_at", "market time"),
    _moment("closed_at", "market time"),
    _integer("bars_held", "bars from opening to close"),
    _number("average_price", "average price of what opened it"),
    _number("average_close", "average price of what closed it"),
    _number("commission", "account currency"),
    _number("realized_pnl", "profit, commissions inside, account currency"),
    _number("gross_pnl", "profit without commissions, account currency"),
    _number("return_fraction", "side * (average close / average price - 1); null if the average price is 0", null=True),
    _number("mae", "maximum adverse excursion, account currency, <= 0"),
    _number("mfe", "maximum favourable excursion, account currency, >= 0"),
    _number("funding", "funding added to cash while it was open, account currency; negative was paid"),
    _number("borrow", "borrow costs taken from cash while it was open, account currency"),
    _number("dividends", "dividends added to cash while it was open, account currency; negative was paid"),
    comment="One row per closed position, flat to flat.",
)

EQUITY = Table(
    "equity",
    METADATA,
    _backtest_id(),
    _integer("mark", "counts 1, 2, 3 ... per backtest", key=True),
    _moment("time", "market time"),
    _number("equity", "cash and positions at their marks, account currency"),
    _number("cash", "account currency"),
    _number("exposure", "sum of |quantity * multiplier * mark|, account currency"),
    _number("drawdown", "equity / highest equity so far - 1, over all bars, <= 0"),
    comment="One row per equity mark.",
)

ACCOUNT_EVENTS = Table(
    "account_events",
    METADATA,
    _backtest_id(),
    _integer("sequence", "sequence of the event", key=True),
    _moment("time", "market time"),
    _word("kind", "funding, borrow, dividend, split, symbol_change, delisting or margin_call"),
    _word("symbol", "the instrument's symbol; null for a margin call", null=True),
    _integer("position_id", "the position; null where it concerns none, or all", null=True),
    _number("amount", "added to cash, account currency; negative was taken; null where no cash moves", null=True),
    _number("rate", "funding rate, borrow rate a year, dividend per unit, new / old price of a split; else null", null=True),
    _number("price", "valuation of a funding or price of a delisting, instrument's currency; else null", null=True),
    _word("new_symbol", "the symbol from now on; null but for a symbol change", null=True),
    _number("equity", "equity at a margin call, account currency", null=True),
    _number("maintenance", "maintenance margin that equity fell below, account currency", null=True),
    comment="One row per funding, borrow cost, dividend, split, symbol change, delisting and margin call.",
)

STATISTICS = Table(
    "statistics",
    METADATA,
    _backtest_id(),
    _word("name", "name of the statistic", key=True),
    _number("value", "its value; null if undefined, or if it is a text", null=True),
    _text("text", "its value if it is a text; RFC 3339 for a time (a name that ends in _ns)", null=True),
    Index("statistics_by_value", "name", "value"),
    comment="One row per statistic of a completed backtest.",
)

MONTHLY_RETURNS = Table(
    "monthly_returns",
    METADATA,
    _backtest_id(),
    _word("month", "month of the UTC calendar, such as 2012-03", key=True),
    _number("equity", "equity at the month's last bar, account currency"),
    _number(
        "return_fraction",
        "equity / the month before's - 1, the first month's against the initial cash; null where that is not positive",
        null=True,
    ),
    comment="One row per month in which a completed backtest has bars.",
)

SYMBOL_STATISTICS = Table(
    "symbol_statistics",
    METADATA,
    _backtest_id(),
    _word("symbol", "what was traded", key=True),
    _integer("trades", "closed positions in it"),
    _number("win_rate", "those with profit / all of them", null=True),
    _number("profit_factor", "sum of profits / |sum of losses|; null without losses", null=True),
    _number("realized_pnl", "sum of their profits, commissions inside, account currency"),
    _number("gross_pnl", "sum of their profits without commissions, account currency"),
    _number("commission", "sum of their commissions, account currency"),
    Index("symbol_statistics_by_symbol", "symbol", "realized_pnl"),
    comment="One row per symbol in which a completed backtest has closed a position.",
)

COMMITS = Table(
    "commits",
    METADATA,
    _backtest_id(),
    _integer("number", "counts 1, 2, 3 ... per backtest", key=True),
    _text("log_id", "the log; null for results in process", null=True),
    _column("partition", Integer(), "the log's partition"),
    _integer("offset", "offset in that partition"),
    _integer("first_sequence", "sequence of its first event"),
    _integer("last_sequence", "sequence of its last event"),
    _word("author", "owner: decided by a worker; simulation: a result"),
    _text("digest", "SHA-256 of its bytes; the next commit names it as parent"),
    _integer("bytes", "its size"),
    _moment("recorded_at", "when it was appended, wall clock"),
    comment="One row per commit: where one backtest's records lie in the log.",
)

COMMANDS = Table(
    "commands",
    METADATA,
    _column("partition", Integer(), "partition of the command and of its receipt", key=True),
    _integer("receipt_offset", "offset of the receipt", key=True),
    _integer("command_offset", "offset of the command on the commands topic"),
    _moment("recorded_at", "when the receipt was written, wall clock"),
    _word("outcome", "accepted, duplicate, rejected, expired, queue_full, forwarded or dead"),
    _text("command_type", "SubmitBacktest, CancelBacktest, ...; null if it could not be read", null=True),
    _id("command_id", "the command's id; null if it could not be read", null=True),
    _id("backtest_id", "the backtest it speaks of; null if it could not be read", null=True),
    _text("submitter", "who sent it, as it says", null=True),
    _moment("issued_at", "when it was issued, as it says", null=True),
    _word("reason", "why it was not simply carried out, one word", null=True),
    _text("detail", "the same in a sentence", null=True),
    Index("commands_by_backtest", "backtest_id"),
    Index("commands_by_place", "partition", "command_offset"),
    Index("commands_by_time", "recorded_at", "partition", "receipt_offset"),
    Index("commands_by_outcome", "outcome", "recorded_at"),
    Index("commands_by_submitter", "submitter", "recorded_at"),
    comment="One row per receipt: what came in, and what became of it.",
)

DEAD_LETTERS = Table(
    "dead_letters",
    METADATA,
    _column("partition", Integer(), "partition of the dead letter and of the command", key=True),
    _integer("letter_offset", "offset of the dead letter", key=True),
    _integer("command_offset", "offset of the command on the commands topic", null=True),
    _moment("recorded_at", "when it was set aside, wall clock"),
    _word("reason", "why it could not be read, one word"),
    _text("detail", "the same in a sentence"),
    _integer("length", "bytes of the whole message", null=True),
    _text("sha256", "SHA-256 of the whole message", null=True),
    _column("beginning", LargeBinary(), "its first bytes, at most 4 KiB; the dead-letters topic has more", null=True),
    Index("dead_letters_by_time", "recorded_at", "partition", "letter_offset"),
    comment="One row per message that could not be read as a command.",
)

SNAPSHOTS = Table(
    "snapshots",
    METADATA,
    _backtest_id(),
    _text("manifest_key", "key of the manifest in the blob store", changes=True),
    _text("manifest_sha256", "SHA-256 of the manifest", changes=True),
    _text("chain_head", "SHA-256 of the last commit that the snapshot holds; null for an imported one", null=True, changes=True),
    _integer("bytes", "size of its Parquet files", changes=True),
    _integer("rows", "rows in its Parquet files", changes=True),
    _moment("announced_at", "when it was announced, wall clock", changes=True),
    _column("partition", Integer(), "partition of the announcement", changes=True),
    _integer("offset", "offset of the announcement", changes=True),
    comment="One row per snapshot in the blob store.",
)

ARCHIVED_RANGES = Table(
    "archived_ranges",
    METADATA,
    _text("topic", "topic without the prefix: events, receipts or dead-letters", key=True),
    _column("partition", Integer(), "its partition", key=True),
    _text("log_id", "the log that it is of; a restored log is archived anew under its new id", key=True),
    _integer("first_offset", "the range holds the records from this offset on", key=True),
    _integer("next_offset", "up to before this one, where the next range begins", changes=True),
    _integer("records", "records in it; markers of transactions are in no range", changes=True),
    _moment("first_recorded_at", "time of its oldest record, wall clock", changes=True),
    _moment("last_recorded_at", "time of its newest record, wall clock", changes=True),
    _text("key", "key of its file in the blob store", changes=True),
    _text("sha256", "SHA-256 of the file", changes=True),
    _integer("bytes", "size of the file", changes=True),
    _integer("raw_bytes", "size of its records before compression", changes=True),
    _moment("announced_at", "when it was announced, wall clock", changes=True),
    comment="One row per archived range of the log.",
)

QUARANTINE = Table(
    "quarantine",
    METADATA,
    _text("topic", "topic of what could not be projected", key=True),
    _column("partition", Integer(), "its partition", key=True),
    _integer("offset", "its offset", key=True),
    _id("backtest_id", "the backtest whose rows stand still since; null if it names none", null=True),
    _moment("recorded_at", "the record's time, wall clock"),
    _text("reason", "what is wrong with it"),
    Index("quarantine_by_backtest", "backtest_id"),
    comment="One row per record that could not be projected. The rows of its backtest stay as they were before it.",
)

PROJECTION_STATE = Table(
    "projection_state",
    METADATA,
    _text("topic", "topic that is read", key=True),
    _column("partition", Integer(), "its partition", key=True),
    _text("log_id", "the log that the offset belongs to; null while no record has named it", null=True, changes=True),
    _integer("next_offset", "the next offset to read: everything before it is in these tables", changes=True),
    _moment("recorded_at", "time of the newest record in these tables, wall clock", null=True, changes=True),
    _moment("updated_at", "when this row last changed, wall clock of the database", changes=True),
    comment="One row per source partition: how far it has been read. Every batch moves it in the transaction of its rows.",
)

LOG_ENDS = Table(
    "log_ends",
    METADATA,
    _text("topic", "topic that is read", key=True),
    _column("partition", Integer(), "its partition", key=True),
    _integer("log_end", "the last stable offset: every committed record below it can be read", changes=True),
    _moment("oldest_unread_at", "time of the oldest record that was not in these tables, wall clock", null=True, changes=True),
    _moment("observed_at", "when the projector looked, wall clock", changes=True),
    comment="One row per source partition: where its log ended when the projector last looked. Written beside the batches.",
)

DELETED_BACKTESTS = Table(
    "deleted_backtests",
    METADATA,
    _backtest_id(),
    _text("command_id", "the command that asked for it", changes=True),
    _text("submitter", "who sent it, as it says", null=True, changes=True),
    _moment("deleted_at", "when it was accepted: the receipt's time, wall clock", changes=True),
    _column("partition", Integer(), "partition of the receipt", changes=True),
    _integer("receipt_offset", "offset of the receipt", changes=True),
    comment="One row per deleted backtest. Its rows are gone, and what the log still holds of it is not projected again.",
)

# The tables that follow from one backtest's commits, in the order in which they are written.
RUN_TABLES = (
    BACKTESTS, COMMITS, ORDERS, FILLS, POSITIONS, POSITION_CHANGES, EQUITY, ACCOUNT_EVENTS, STATISTICS,
    MONTHLY_RETURNS, SYMBOL_STATISTICS,
)  # fmt: skip


@cache
def tables_in(schema: str) -> MetaData:
    """Return all tables as they are in another generation's schema. They are not to be changed."""
    copied = MetaData(schema=schema)
    for table in METADATA.sorted_tables:
        table.to_metadata(copied, schema=schema)
    return copied


def key_of(table: Table) -> tuple[str, ...]:
    """Return the names of the primary key's columns."""
    return tuple(column.name for column in table.columns if column.primary_key)


def shown(table: Table) -> tuple[str, ...]:
    """Return the names of the columns that people see."""
    return tuple(column.name for column in table.columns if not column.info.get("inner"))


def changing(table: Table) -> tuple[str, ...]:
    """Return the names of the columns that later events change; they are the table's last ones."""
    return tuple(column.name for column in table.columns if column.info.get("changes"))
