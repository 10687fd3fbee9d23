"""This module snapshots what the engine itself records, from data in a store to results read back."""

from pathlib import Path

from adapters.blob_store import open_blob_store
from backtape import read_results, run
from backtape.data import generate_dataset
from snapshots.run_log import Place
from snapshots.verify import verify_snapshot
from snapshots.writer import write_snapshot


def test_a_run_of_the_engine_is_stored_proven_and_read_back(tmp_path: Path) -> None:
    """The frames of the result in process are those of the snapshot."""
    url = f"file://{tmp_path}"
    store = open_blob_store(url)
    generate_dataset(store, dataset="sim", bars=5_000, seed=4)
    spec = {
        "data": {"dataset": "sim", "symbols": ["SIM"], "timeframe": "1m"},
        "strategy": {"name": "sma_cross", "parameters": {"fast": 5, "slow": 20}},
    }
    result = run(spec, url)
    bodies = list(result.commits)
    write_snapshot(store, bodies, Place("in-process", 0, 0, len(bodies) - 1))
    backtest_id = result.backtest_id
    assert verify_snapshot(store, backtest_id, bodies) is None
    stored = read_results(url)
    assert len(stored.pandas("fills")) == len(result.fills) > 10
    assert len(stored.pandas("trades")) == len(result.trades) > 5
    assert stored.pandas("equity")["equity"].iloc[-1] == result.equity["equity"].iloc[-1]
    assert stored.summary()["status"].tolist() == ["completed"]
