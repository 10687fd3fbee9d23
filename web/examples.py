"""This module holds an example of each call, for the OpenAPI document: what is sent, and what comes back.

Answers in JSON are recorded from a real service, lists cut short. A test checks each against its schema, and that no call is
without one.
"""

import json
from pathlib import Path
from typing import Any

EXAMPLE_SPEC: dict[str, Any] = {
    "data": {"dataset": "stocks-daily", "symbols": ["GOOG"], "timeframe": "1d"},
    "strategy": {"name": "sma_cross", "parameters": {"fast": 20, "slow": 100}},
    "tags": ["example"],
}
# What is sent: of each route with a body, by the route's name.
REQUESTS: dict[str, Any] = {
    "run_async": {"backtest_id": "goog-sma", "priority": 0, "spec": EXAMPLE_SPEC},
    "check": {"spec": EXAMPLE_SPEC},
    "retry": {
        "text": json.dumps(
            {
                "type": "SubmitBacktest", "command_id": "retry-1", "backtest_id": "goog-sma", "issued_at": "2026-11-27T09:00:00Z",
                "spec": EXAMPLE_SPEC,
            }
        )
    },
}  # fmt: skip
# What comes back where it is not JSON: its beginning.
TEXTS: dict[str, str] = {
    "follow": """retry: 2000

event: state
id: 1200-300
data: {"backtest_id":"goog-sma","row":{"backtest_id":"goog-sma","status":"running","bars_done":2048,"bars":3270}}

event: equity
id: 1260-420
data: {"backtest_id":"goog-sma","first_mark":3,"time_ms":[1332460800000],"equity":[9],"cash":[9],"exposure":[0],"drawdown":[0]}

event: lag
data: {"lag_records":0,"lag_seconds":0.0,"is_stale":false}

""",
    "follow_many": """retry: 2000

event: rows
data: {"items":[{"backtest_id":"goog-hold","status":"completed","total_return":0.7125}]}

event: fills
id: goog-hold@90-40 goog-sma@1260-420
data: {"backtest_id":"goog-sma","items":[{"fill_id":12,"sequence":1231,"symbol":"GOOG","side":"buy","quantity":12,"price":612}]}

""",
    "report": '<!doctype html><html lang="en"><head><title>goog-sma</title></head><body><h1>goog-sma</h1></body></html>',
    "metrics": """# HELP backtape_http_requests_total requests answered
# TYPE backtape_http_requests_total counter
backtape_http_requests_total{method="GET",route="/api/backtests",status="200"} 17.0
# HELP backtape_read_model_lag_seconds age of the oldest record that is not projected
# TYPE backtape_read_model_lag_seconds gauge
backtape_read_model_lag_seconds 0.0
""",
}

FILE = Path(__file__).with_name("examples.json")


def load_examples() -> dict[str, Any]:
    """Return an answer for each route, by the route's name."""
    found: dict[str, Any] = json.loads(FILE.read_text("utf-8"))
    return found
