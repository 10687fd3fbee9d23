"""This module lays a log's events out as a frame."""

from collections.abc import Iterable
from typing import Any

import msgspec
import pandas as pd

from schemas.commit import decode_commit


def event_frame(commits: Iterable[bytes]) -> pd.DataFrame:
    """Return one row per event; ``data`` holds the fields that are not columns."""
    columns: dict[str, list[Any]] = {name: [] for name in ("sequence", "time", "type", "commit", "order_id", "symbol", "data")}
    add = {name: values.append for name, values in columns.items()}
    for body in commits:
        commit = decode_commit(body)
        for event in commit.events:
            fields = msgspec.structs.asdict(event)
            add["sequence"](fields.pop("sequence"))
            add["time"](fields.pop("time_ns"))
            add["type"](type(event).__name__)
            add["commit"](commit.number)
            add["order_id"](fields.get("order_id"))
            add["symbol"](fields.get("symbol"))
            add["data"](fields)
    return pd.DataFrame(
        {
            "sequence": pd.array(columns["sequence"], dtype="int64"),
            "time": pd.to_datetime(columns["time"], unit="ns", utc=True),
            "type": pd.Categorical(columns["type"]),
            "commit": pd.array(columns["commit"], dtype="int64"),
            "order_id": pd.array(columns["order_id"], dtype="Int64"),
            "symbol": pd.Categorical(columns["symbol"]),
            "data": pd.Series(columns["data"], dtype=object),
        }
    )
