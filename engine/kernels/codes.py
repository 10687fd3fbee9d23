"""This module numbers the choices that kernels branch on. Enumerations are numbered in the order of their members."""

from enum import StrEnum

from schemas.events import OrderEnd, OrderType, RejectReason, TimeInForce


def code(member: StrEnum) -> int:
    """Return the member's place in its enumeration."""
    return list(type(member)).index(member)


# Order types
MARKET = code(OrderType.MARKET)
LIMIT = code(OrderType.LIMIT)
STOP = code(OrderType.STOP)
STOP_LIMIT = code(OrderType.STOP_LIMIT)
MARKET_IF_TOUCHED = code(OrderType.MARKET_IF_TOUCHED)
LIMIT_IF_TOUCHED = code(OrderType.LIMIT_IF_TOUCHED)
MARKET_ON_OPEN = code(OrderType.MARKET_ON_OPEN)
MARKET_ON_CLOSE = code(OrderType.MARKET_ON_CLOSE)

# Time in force
GTC = code(TimeInForce.GTC)
DAY = code(TimeInForce.DAY)
GTD = code(TimeInForce.GTD)
IOC = code(TimeInForce.IOC)
FOK = code(TimeInForce.FOK)

# What a strategy asks for
SUBMIT = 0
CANCEL = 1
MODIFY = 2

LEFT_GROUP = -1  # in the place of a one-cancels-other group: another order of it has filled

# How an order's quantity is given
BY_UNITS = 0
BY_VALUE = 1
BY_FRACTION = 2
TO_UNITS = 3
TO_VALUE = 4
TO_FRACTION = 5

# Effects: what a kernel reports; each becomes one event
SUBMITTED = 0
REJECTED = 1
MODIFIED = 2
TRIGGERED = 3
CANCELLED = 4
EXPIRED = 5
FILLED = 6
OPENED = 7
CHANGED = 8
CLOSED = 9
MARGIN_CALLED = 10
SPLIT_APPLIED = 11
DIVIDEND_PAID = 12
FUNDING_PAID = 13
BORROW_PAID = 14
SYMBOL_CHANGED = 15
DELISTED = 16

# What is due at a step, in the order in which things of one step are applied (actions of one time: in their file's order)
DUE_BORROW_RATE = 0
DUE_BORROW = 1
DUE_FUNDING = 2
DUE_DIVIDEND = 3
DUE_SPLIT = 4
DUE_SYMBOL_CHANGE = 5
DUE_DELISTING = 6

# Why the engine sends an order of its own; 0: it does not
BY_MARGIN_CALL = 1
BY_DELISTING = 2
BY_SYMBOL_CHANGE = 3

# Which positions a margin call closes
LIQUIDATE_ALL, LARGEST_LOSS_FIRST = 0, 1

# Policies: the places of the spec's literals
NEXT_OPEN, SAME_CLOSE, NEXT_CLOSE = 0, 1, 2
TOUCH_INCLUSIVE, TOUCH_STRICT, TOUCH_CLOSE, TOUCH_RANGE = 0, 1, 2, 3
GAP_OPEN, GAP_LIMIT, GAP_CLOSE, GAP_WITHIN = 0, 1, 2, 3
STOP_INCLUSIVE, STOP_RANGE, STOP_CLOSE = 0, 1, 2
GAP_STOP_OPEN, GAP_STOP_STOP, GAP_STOP_CLOSE, GAP_STOP_WITHIN = 0, 1, 2, 3
STOP_FIRST, SUBMISSION, INDEPENDENT, PATH, ADAPTIVE_PATH = 0, 1, 2, 3, 4
ENTRY_LIVE, ENTRY_WAIT, ENTRY_BY_ENTRY = 0, 1, 2
SHORT_REFUSE, SHORT_CANCEL, SHORT_PARTIAL, SHORT_ALLOW = 0, 1, 2, 3
TRAIL_AFTER_BAR, TRAIL_BEFORE_TEST, TRAIL_AFTER_CLOSE = 0, 1, 2
FROM_OPEN, AT_STOP, SAME_BAR, ON_CLOSE, ON_PATH = 0, 1, 2, 3, 4
SLIP_NONE, SLIP_FIXED, SLIP_PERCENT, SLIP_SPREAD, SLIP_VOLUME_SHARE, SLIP_TICKS, SLIP_QUOTES = 0, 1, 2, 3, 4, 5, 6
SCOPE_AGGRESSIVE, SCOPE_MARKET, SCOPE_ALL = 0, 1, 2

# Reasons
INVALID_QUANTITY = code(RejectReason.INVALID_QUANTITY)
INVALID_PRICE = code(RejectReason.INVALID_PRICE)
INVALID_TIME = code(RejectReason.INVALID_TIME)
UNKNOWN_ORDER = code(RejectReason.UNKNOWN_ORDER)
UNKNOWN_POSITION = code(RejectReason.UNKNOWN_POSITION)
MARKET_CLOSED = code(RejectReason.MARKET_CLOSED)
REJECT_CASH = code(RejectReason.INSUFFICIENT_CASH)
REJECT_MARGIN = code(RejectReason.INSUFFICIENT_MARGIN)
SHORT_NOT_ALLOWED = code(RejectReason.SHORT_NOT_ALLOWED)
REJECT_REDUCE_ONLY = code(RejectReason.REDUCE_ONLY)
REJECT_POST_ONLY = code(RejectReason.POST_ONLY)

BY_STRATEGY = code(OrderEnd.BY_STRATEGY)
ONE_CANCELS_OTHER = code(OrderEnd.ONE_CANCELS_OTHER)
PARENT_ENDED = code(OrderEnd.PARENT_ENDED)
POSITION_CLOSED = code(OrderEnd.POSITION_CLOSED)
IMMEDIATE_OR_CANCEL = code(OrderEnd.IMMEDIATE_OR_CANCEL)
FILL_OR_KILL = code(OrderEnd.FILL_OR_KILL)
END_CASH = code(OrderEnd.INSUFFICIENT_CASH)
END_MARGIN = code(OrderEnd.INSUFFICIENT_MARGIN)
MARGIN_CALL = code(OrderEnd.MARGIN_CALL)
END_DELISTED = code(OrderEnd.DELISTED)
END_OF_DATA = code(OrderEnd.END_OF_DATA)
NOTHING_TO_DO = code(OrderEnd.NOTHING_TO_DO)

# Flags of a symbol at a step, where it has sessions
FIRST_OF_DAY, LAST_OF_DAY, DAY_BEGINS = 1, 2, 4

DAY_NS = 86_400_000_000_000
NO_TIME = -1
