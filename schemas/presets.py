"""This module lists the execution presets: for each other engine, the policies that give its users the fills they know.

A preset fills in the policies that a spec leaves out; the recorded spec holds all of them. What differs inside an engine
by kind of order or of data is said in docs/execution.md.
"""

from typing import Any

PRESETS: dict[str, dict[str, Any]] = {
    "backtesting.py": {
        "market_fill": "next_open",
        "limit_touch": "inclusive",
        "gap_limit": "open",
        "stop_touch": "inclusive",
        "gap_stop": "open",
        "stop_limit": "at_stop",
        "same_bar": "stop_first",
        "entry_bar": "by_entry",
        "cash_short": "cancel",
    },
    "backtrader": {
        "market_fill": "next_open",
        "limit_touch": "inclusive",
        "gap_limit": "open",
        "stop_touch": "inclusive",
        "gap_stop": "open",
        "stop_limit": "from_open",
        "same_bar": "submission",
        "entry_bar": "wait",
        "cash_short": "refuse",
    },
    "lean": {
        "market_fill": "same_close",
        "limit_touch": "strict",
        "gap_limit": "open",
        "stop_touch": "inclusive",
        "gap_stop": "open",
        "stop_limit": "on_close",
        "same_bar": "independent",
        "entry_bar": "wait",
        "cash_short": "allow",
    },
    "nautilus": {
        "market_fill": "same_close",
        "limit_touch": "inclusive",
        "gap_limit": "limit",
        "stop_touch": "inclusive",
        "gap_stop": "open",
        "stop_limit": "path",
        "same_bar": "path",
        "entry_bar": "live",
        "cash_short": "refuse",
    },
    "zipline": {
        "market_fill": "next_close",
        "limit_touch": "close",
        "gap_limit": "close",
        "stop_touch": "close",
        "gap_stop": "close",
        "stop_limit": "same_bar",
        "same_bar": "submission",
        "entry_bar": "wait",
        "cash_short": "allow",
        "slippage": {"type": "volume_share", "limit": 0.025, "impact": 0.1},
    },
    "vectorbt": {
        "market_fill": "same_close",
        "limit_touch": "inclusive",
        "gap_limit": "open",
        "stop_touch": "inclusive",
        "gap_stop": "open",
        "stop_limit": "at_stop",
        "same_bar": "stop_first",
        "entry_bar": "wait",
        "cash_short": "partial",
    },
    "freqtrade": {
        "market_fill": "next_open",
        "trail": "before_test",
        "limit_touch": "range",
        "gap_limit": "within",
        "stop_touch": "inclusive",
        "gap_stop": "within",
        "stop_limit": "at_stop",
        "same_bar": "stop_first",
        "entry_bar": "live",
        "cash_short": "allow",
    },
}
