"""This module defines the events: what can happen in a backtest, in the past tense.

Events are tagged msgspec structs, written by us in millions. ``sequence`` counts 1, 2, 3 … per backtest without gaps.
``time_ns`` is market time (the timestamp of the bar in which it happened; 0 before the first bar), never a wall clock:
the same run gives the same bytes. Prices and money are float64; what is undefined is null.
A new event is added here, to the folds that care and to docs/events.md, and nowhere else.
"""

from enum import StrEnum
from typing import Any

import msgspec


class Side(StrEnum):
    BUY = "buy"
    SELL = "sell"


class OrderType(StrEnum):
    MARKET = "market"
    LIMIT = "limit"
    STOP = "stop"
    STOP_LIMIT = "stop_limit"
    MARKET_IF_TOUCHED = "market_if_touched"
    LIMIT_IF_TOUCHED = "limit_if_touched"
    TRAILING_STOP = "trailing_stop"
    TRAILING_STOP_LIMIT = "trailing_stop_limit"
    MARKET_ON_OPEN = "market_on_open"
    MARKET_ON_CLOSE = "market_on_close"


class TimeInForce(StrEnum):
    GTC = "gtc"
    DAY = "day"
    GTD = "gtd"
    IOC = "ioc"
    FOK = "fok"


class RejectReason(StrEnum):
    """Why an order was refused. The list is closed: a new reason is a new version of the format."""

    INVALID_QUANTITY = "invalid_quantity"
    INVALID_PRICE = "invalid_price"
    INVALID_TIME = "invalid_time"
    UNKNOWN_SYMBOL = "unknown_symbol"
    UNKNOWN_ORDER = "unknown_order"
    UNKNOWN_POSITION = "unknown_position"
    INSUFFICIENT_CASH = "insufficient_cash"
    INSUFFICIENT_MARGIN = "insufficient_margin"
    SHORT_NOT_ALLOWED = "short_not_allowed"
    REDUCE_ONLY = "reduce_only"
    POST_ONLY = "post_only"
    MARKET_CLOSED = "market_closed"


class OrderEnd(StrEnum):
    """Why an order was cancelled before it was filled."""

    BY_STRATEGY = "by_strategy"
    ONE_CANCELS_OTHER = "one_cancels_other"
    PARENT_ENDED = "parent_ended"
    POSITION_CLOSED = "position_closed"
    IMMEDIATE_OR_CANCEL = "immediate_or_cancel"
    FILL_OR_KILL = "fill_or_kill"
    INSUFFICIENT_CASH = "insufficient_cash"
    INSUFFICIENT_MARGIN = "insufficient_margin"
    MARGIN_CALL = "margin_call"
    DELISTED = "delisted"
    END_OF_DATA = "end_of_data"
    NOTHING_TO_DO = "nothing_to_do"  # sized at its fill it came to less than a lot: a target was reached already


class FailureReason(StrEnum):
    """Why a backtest failed. The text beside it says what exactly happened."""

    UNKNOWN_DATASET = "unknown_dataset"
    UNKNOWN_SYMBOL = "unknown_symbol"
    MISSING_RATE = "missing_rate"
    NO_DATA_IN_RANGE = "no_data_in_range"
    DATA_DIGEST_MISMATCH = "data_digest_mismatch"
    STRATEGY_RAISED = "strategy_raised"
    STRATEGY_EXITED = "strategy_exited"
    TIME_LIMIT = "time_limit"
    MEMORY_LIMIT = "memory_limit"
    CODE_CHANGED = "code_changed"
    DATA_CHANGED = "data_changed"
    NONDETERMINISTIC = "nondeterministic"
    CRASHED = "crashed"


class Event(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, tag_field="type", gc=False
):
    """What every event has. The garbage collector does not follow events: they are values, and made by the million."""

    sequence: int
    time_ns: int


# --- life cycle ---------------------------------------------------------------------------------------------------


class BacktestAccepted(Event, frozen=True, tag=True):
    """A submit command was accepted. ``spec`` is the recorded spec: what was submitted, with every default explicit."""

    command_id: str
    issued_at: str
    spec: dict[str, Any]
    spec_digest: str  # of the recorded spec's canonical bytes; also the first commit's parent
    submitted_digest: str  # of the spec as submitted, before defaults (RFC 8785): what idempotency compares
    submitter: str | None = None
    priority: int = 0


class BacktestStarted(Event, frozen=True, tag=True):
    """The run's inputs were resolved. A re-run reads the same bytes, or fails."""

    dataset: str
    dataset_version: int
    data_digest: str
    symbols: tuple[str, ...]
    timeframe: str
    first_bar_ns: int
    last_bar_ns: int
    bars: int  # on the merged time line
    equity_every: int  # bars between two equity marks
    multipliers: tuple[float, ...] = ()  # money per point and unit, in the order of ``symbols``; empty: 1 for each
    margined: tuple[str, ...] = ()  # symbols settled on margin: a fill moves cash by what it realises, not by its value
    inverse: tuple[str, ...] = ()  # symbols of inverse contracts: a unit is worth multiplier / price


class BacktestProgressed(Event, frozen=True, tag=True):
    """The simulation has passed ``bars_done`` of ``bars`` bars. Its place depends on bar counts only."""

    bars_done: int
    bars: int
    equity: float


class BacktestCompleted(Event, frozen=True, tag=True):
    """The simulation reached its end. Undefined statistics are null; the reasons are in their docstrings."""

    bars: int
    orders: int
    fills: int
    trades: int  # closed positions
    final_equity: float
    statistics: dict[str, float | int | str | None]
    months: tuple[str, ...] = ()  # calendar months that have bars, such as 2012-03, ascending
    month_equity: tuple[float, ...] = ()  # equity at the last bar of each of them
    by_symbol: dict[str, dict[str, float | int | None]] = {}  # of each symbol with a closed position: numbers of its trades


class BacktestCancelled(Event, frozen=True, tag=True):
    """A cancel command ended the run."""

    command_id: str
    reason: str


class BacktestFailed(Event, frozen=True, tag=True):
    """The run ended without a result."""

    reason: FailureReason
    detail: str


class BacktestImported(Event, frozen=True, tag=True):
    """A result of another system was brought in. Its rows are in the files that its manifest names; it can't be proven."""

    command_id: str
    issued_at: str
    content_digest: str  # SHA-256 of the original document, which is kept beside the rows
    manifest_digest: str  # SHA-256 of its manifest; also the first commit's parent
    batch_key: str  # where the manifest was left until the compactor put it in its place
    result: dict[str, Any]  # schemas/imported.py: what the document says, all but the rows
    submitter: str | None = None


# --- orders ---------------------------------------------------------------------------------------------------


class OrderSubmitted(Event, frozen=True, tag=True):
    """The strategy sent an order. Ids count 1, 2, 3 … per backtest."""

    order_id: int
    symbol: str
    side: Side
    order_type: OrderType
    quantity: float | None  # null where what was asked for is no finite number; such an order is rejected
    time_in_force: TimeInForce = TimeInForce.GTC
    limit_price: float | None = None
    stop_price: float | None = None
    trail_amount: float | None = None
    trail_percent: float | None = None
    limit_offset: float | None = None  # of a trailing stop-limit: its limit trails so far beyond its stop
    expires_ns: int | None = None
    post_only: bool = False
    reduce_only: bool = False
    oco_group: str | None = None
    parent_order_id: int | None = None
    tag: str | None = None
    position_id: int | None = None  # hedging: the one lot that the order closes


class OrderRejected(Event, frozen=True, tag=True):
    """The order was refused and will never fill."""

    order_id: int
    reason: RejectReason
    detail: str = ""


class OrderModified(Event, frozen=True, tag=True):
    """A resting order changed; its values after the change. ``trail_amount`` moves are not reported bar by bar."""

    order_id: int
    quantity: float
    limit_price: float | None = None
    stop_price: float | None = None
    trail_amount: float | None = None
    trail_percent: float | None = None


class OrderTriggered(Event, frozen=True, tag=True):
    """A stop (or touched) order became live at ``price``."""

    order_id: int
    price: float


class OrderCancelled(Event, frozen=True, tag=True):
    """The order's open rest of ``quantity`` will not fill."""

    order_id: int
    reason: OrderEnd
    quantity: float


class OrderExpired(Event, frozen=True, tag=True):
    """The order's time in force ended with ``quantity`` open."""

    order_id: int
    quantity: float


class OrderFilled(Event, frozen=True, tag=True):
    """A part or the whole of an order was executed. In one commit with the position it made."""

    fill_id: int  # 1, 2, 3 … per backtest
    order_id: int
    symbol: str
    side: Side
    quantity: float  # > 0
    price: float
    commission: float  # account currency; negative is a rebate
    leaves_quantity: float  # what the order still has open
    is_maker: bool = False
    conversion: float = 1.0  # account currency per unit of the currency that price is in
    position_id: int | None = None  # hedging: the lot that it opened or reduced


# --- positions ---------------------------------------------------------------------------------------------------


class PositionOpened(Event, frozen=True, tag=True):
    """A position began. Money in account currency; ``quantity`` is negative for short."""

    position_id: int  # 1, 2, 3 … per backtest
    symbol: str
    quantity: float
    average_price: float
    commission: float
    realized_pnl: float


class PositionChanged(Event, frozen=True, tag=True):
    """A position grew or shrank; its values after the change, counted from its opening."""

    position_id: int
    symbol: str
    quantity: float
    average_price: float
    commission: float
    realized_pnl: float  # commissions inside
    gross_pnl: float  # without commissions


class PositionClosed(Event, frozen=True, tag=True):
    """A position ended. This is one trade, flat to flat."""

    position_id: int
    symbol: str
    side: Side  # buy: it was long
    quantity: float  # the largest absolute size it had
    average_price: float  # of what opened it
    average_close: float
    commission: float
    realized_pnl: float
    gross_pnl: float
    return_fraction: float | None  # side * (average close / average price - 1); null if the average price is 0
    opened_ns: int
    bars_held: int
    mae: float  # maximum adverse excursion in money, <= 0
    mfe: float  # maximum favourable excursion in money, >= 0


class PositionMarked(Event, frozen=True, tag=True):
    """What an open position is worth now. Comes for each of them, ascending, right before a progress report and the end."""

    position_id: int
    symbol: str
    price: float  # the last close, in the instrument's currency
    unrealized_pnl: float
    mae: float  # as PositionClosed would have them, were it closed at this price
    mfe: float
    bars_held: int


# --- account ---------------------------------------------------------------------------------------------------


class FundingPaid(Event, frozen=True, tag=True):
    """A perpetual's funding; ``amount`` is added to cash (negative: paid)."""

    symbol: str
    position_id: int
    rate: float  # of the position's value; a long position pays a positive rate
    price: float  # at which the position was valued
    amount: float


class BorrowPaid(Event, frozen=True, tag=True):
    """The cost of a borrowed short position; ``amount`` is taken from cash."""

    symbol: str
    position_id: int
    rate: float  # a year
    amount: float


class DividendPaid(Event, frozen=True, tag=True):
    """A cash dividend; ``amount`` is added to cash (negative: a short position pays)."""

    symbol: str
    position_id: int
    per_share: float  # in the instrument's currency
    amount: float


class SplitApplied(Event, frozen=True, tag=True):
    """A split changed a position; ``ratio`` is new price / old price. Fractions of a lot were paid in ``cash``."""

    symbol: str
    position_id: int
    ratio: float
    quantity: float
    average_price: float
    cash: float


class SymbolChanged(Event, frozen=True, tag=True):
    """An instrument goes on under another symbol: what is open of it, positions and orders, is now of ``new_symbol``."""

    symbol: str
    new_symbol: str


class InstrumentDelisted(Event, frozen=True, tag=True):
    """An instrument is traded no more. Its orders end, its positions are closed at ``price``; events of their own say so."""

    symbol: str
    price: float  # in the instrument's currency


class MarginCalled(Event, frozen=True, tag=True):
    """Equity fell below the maintenance margin; what follows liquidates."""

    equity: float
    maintenance: float


class EquityMarked(Event, frozen=True, tag=True):
    """A block of equity marks, as columns of one length. ``time_ns`` of the event is the last mark's."""

    times_ns: tuple[int, ...]
    equity: tuple[float, ...]
    cash: tuple[float, ...]
    exposure: tuple[float, ...]  # sum of |quantity * multiplier * mark|, account currency
    drawdown: tuple[float, ...]  # equity / highest equity so far - 1, at full resolution of bars; <= 0


LifecycleEvent = (
    BacktestAccepted
    | BacktestStarted
    | BacktestProgressed
    | BacktestCompleted
    | BacktestCancelled
    | BacktestFailed
    | BacktestImported
)
OrderEvent = OrderSubmitted | OrderRejected | OrderModified | OrderTriggered | OrderCancelled | OrderExpired | OrderFilled
PositionEvent = PositionOpened | PositionChanged | PositionClosed | PositionMarked
ActionEvent = DividendPaid | SplitApplied | SymbolChanged | InstrumentDelisted
AccountEvent = FundingPaid | BorrowPaid | MarginCalled | EquityMarked
AnyEvent = LifecycleEvent | OrderEvent | PositionEvent | ActionEvent | AccountEvent

TERMINAL_EVENTS = (BacktestCompleted, BacktestCancelled, BacktestFailed, BacktestImported)
