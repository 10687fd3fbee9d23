"""The public Python face: what goes in, what comes out, what goes wrong, and that it is what a worker would append."""

import json
import os
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

import backtape
from adapters.errors import NotFoundError
from adapters.folder import FolderBlobStore
from backtape import (
    BadDataError,
    EngineError,
    Instrument,
    SchemaError,
    Strategy,
    StrategyError,
    crossed_above,
    crossed_below,
    run,
)
from backtape.data import import_frame
from engine.registry import BUILTINS, card
from engine.simulation import simulate
from engine.timeline import started
from projections.fold import fold_run
from schemas.commit import Author, Head, decode_commit, encode_commit, follow
from schemas.events import BacktestAccepted, BacktestStarted
from schemas.ids import BacktestId, Digest
from schemas.market_data import Bars, Market
from schemas.spec import parse_spec

SMA = {"strategy": {"name": "sma_cross", "parameters": {"fast": 3, "slow": 8}}}


def frame(count: int = 300, *, phase: float = 0.0, freq: str = "D") -> pd.DataFrame:
    close = np.round(100 + 10 * np.sin(np.arange(count) / 9 + phase) + np.arange(count) / 30, 2)
    times = pd.date_range("2022-01-03", periods=count, freq=freq, tz="UTC")
    return pd.DataFrame({"open": close, "high": close + 1, "low": close - 1, "close": close, "volume": 1_000.0}, index=times)


class Cross(Strategy):
    """A user's strategy."""

    class Parameters(Strategy.Parameters):
        fast: int = 3
        slow: int = 8

    def prepare(self, data):
        close = pd.Series(data.close)
        self.fast = self.indicator(close.rolling(self.parameters.fast).mean())
        self.slow = self.indicator(close.rolling(self.parameters.slow).mean())

    def on_bar(self):
        if crossed_above(self.fast, self.slow):
            self.buy(quantity=10)
        elif crossed_below(self.fast, self.slow):
            self.close()


class Idle(Strategy):
    """Does nothing."""


class Broken(Strategy):
    """Raises at the third bar."""

    def on_bar(self):
        if self.step == 2:
            raise KeyError("no such thing")


@pytest.fixture(scope="module")
def result():
    return run(SMA, frame(), symbol="WAVE", commission={"type": "rate", "rate": 0.001})


# --- what comes out ---


def test_a_spec_on_a_frame_gives_all_tables(result):
    assert result.status == "completed"
    assert result.stats["trades"] == len(result.trades) > 3
    assert len(result.fills) == len(result.orders[result.orders["status"] == "filled"])
    assert result.equity["equity"].iloc[-1] == result.stats["final_equity"]
    assert result.trades["realized_pnl"].sum() == pytest.approx(result.stats["realized_pnl"])
    assert (result.fills["commission"] > 0).all()
    assert {"symbol", "quantity", "is_open"} <= set(result.positions.columns)
    assert "sma_cross, completed" in repr(result)


def test_columns_are_typed_and_times_are_utc(result):
    utc = "datetime64[ns, UTC]"
    assert str(result.equity.index.dtype) == utc
    assert {str(result.trades[name].dtype) for name in ("opened_at", "closed_at")} == {utc}
    assert str(result.fills["time"].dtype) == str(result.events["time"].dtype) == utc
    assert str(result.orders["parent_order_id"].dtype) == "Int64"
    assert str(result.fills["side"].dtype) == "category"
    assert result.fills["quantity"].dtype == np.float64 and result.fills["fill_id"].dtype == np.int64
    assert isinstance(result.stats["trades"], int)


def test_events_are_the_commits_in_their_order(result):
    assert result.events["sequence"].tolist() == list(range(1, len(result.events) + 1))
    assert result.events["type"].iloc[0] == "BacktestAccepted" and result.events["type"].iloc[-1] == "BacktestCompleted"
    fills = result.events[result.events["type"] == "OrderFilled"]
    assert [data["price"] for data in fills["data"]] == result.fills["price"].tolist()
    assert fills["order_id"].tolist() == result.fills["order_id"].tolist()


def test_commits_are_a_chain_that_begins_with_the_spec(result):
    first = decode_commit(result.commits[0]).events[0]
    assert isinstance(first, BacktestAccepted)
    head = Head.start(Digest(first.spec_digest))
    for body in result.commits:
        head = follow(head, decode_commit(body), body)
    assert head.digest == result.chain_head
    assert result.spec["execution"]["market_fill"] == "next_open"


def test_the_same_call_gives_the_same_bytes(result):
    again = run(SMA, frame(), symbol="WAVE", commission={"type": "rate", "rate": 0.001})
    assert again.commits == result.commits
    assert again.backtest_id == result.backtest_id
    other = run(SMA, frame(phase=0.1), symbol="WAVE", commission={"type": "rate", "rate": 0.001})
    assert other.chain_head != result.chain_head and other.backtest_id != result.backtest_id


def test_another_process_gives_the_same_bytes(tmp_path):
    (tmp_path / "bars.csv").write_text(frame(60).rename_axis("timestamp").to_csv())
    (tmp_path / "spec.json").write_text(json.dumps(SMA))
    code = f"import pandas, backtape; bars = pandas.read_csv({str(tmp_path / 'bars.csv')!r}); " \
        f"print(backtape.run({str(tmp_path / 'spec.json')!r}, bars, symbol='WAVE').chain_head)"  # fmt: skip
    heads = {
        subprocess.check_output([sys.executable, "-c", code], text=True, env={"PYTHONHASHSEED": seed}) for seed in ("1", "2")
    }
    assert heads == {run(SMA, frame(60), symbol="WAVE").chain_head + "\n"}


def test_the_commits_are_those_of_a_workers_steps(result):
    """Intake's commit, the started commit, the simulation's: built here by hand from the recorded spec."""
    accepted = decode_commit(result.commits[0]).events[0]
    assert isinstance(accepted, BacktestAccepted)
    spec = parse_spec(accepted.spec)
    backtest_id = BacktestId(result.backtest_id)
    bars = frame()
    market = Market(
        bars=(Bars("WAVE", "1d", bars.index.as_unit("ns").asi8, *(bars[name].to_numpy() for name in bars.columns)),),
        instruments=(Instrument(symbol="WAVE"),),
        digest=decode_commit(result.commits[1]).events[0].data_digest,  # type: ignore[union-attr]
        dataset="memory",
    )
    first = encode_commit(backtest_id, Head.start(Digest(accepted.spec_digest)), Author.OWNER, [accepted])
    second = encode_commit(backtest_id, first.head, Author.OWNER, [started(spec, market, 2)])
    rest = simulate(backtest_id, spec, second.head, market, BUILTINS["sma_cross"])
    assert [first.body, second.body, *(commit.body for commit in rest)] == list(result.commits)


# --- what goes in ---


def test_a_users_strategy_with_parameters():
    made = run(Cross, frame(), symbol="WAVE", parameters={"slow": 12}, cash=50_000)
    assert made.spec["strategy"] == {"name": "Cross", "parameters": {"fast": 3, "slow": 12}}
    assert made.spec["account"]["cash"] == 50_000
    assert len(made.trades) > 3


def test_a_builtin_class_is_its_registered_name():
    by_class = run(BUILTINS["sma_cross"], frame(), symbol="WAVE", parameters={"fast": 3, "slow": 8})
    assert by_class.commits == run(SMA, frame(), symbol="WAVE").commits


def test_a_spec_model_and_a_dict_are_the_same_run():
    document = {**SMA, "data": {"dataset": "memory", "symbols": ["WAVE"], "timeframe": "1d"}}
    head = run(document, frame()).tables.rows("backtests")[0]
    assert head == run({**document}, frame()).tables.rows("backtests")[0]
    assert run(parse_spec(document), frame()).stats.equals(run(document, frame()).stats)


def test_several_symbols_and_a_shorter_range():
    weights = {"strategy": {"name": "target_weights", "parameters": {"weights": {"A": 0.5, "B": 0.4}}}}
    made = run(weights, {"A": frame(), "B": frame(phase=2.0)}, start="2022-03-01", end="2022-06-01")
    assert set(made.fills["symbol"]) == {"A", "B"}
    assert str(made.equity.index[0]) == "2022-03-01 00:00:00+00:00"
    assert made.spec["data"]["symbols"] == ["A", "B"]


def test_sections_and_fields_are_merged_into_the_spec():
    made = run(
        SMA,
        frame(50),
        account={"currency": "EUR"},
        instruments={"ASSET": {"currency": "EUR"}},
        leverage=2,
        parameters={"slow": 9},
        tags=["x"],
    )
    assert made.spec["account"]["currency"] == "EUR" and made.spec["account"]["leverage"] == 2
    assert made.spec["strategy"]["parameters"]["slow"] == 9 and made.spec["strategy"]["parameters"]["fast"] == 3
    assert made.spec["tags"] == ["x"]


@pytest.mark.parametrize(("freq", "timeframe"), [("5min", "5m"), ("h", "1h"), ("D", "1d"), ("7D", "1w"), ("30s", "30s")])
def test_the_timeframe_is_what_most_rows_are_apart(freq, timeframe):
    assert run(Idle, frame(30, freq=freq)).spec["data"]["timeframe"] == timeframe


def test_a_frame_in_another_form_is_the_same_data():
    """Capital names, times as a column, another zone of the same moments, no volume where none is needed."""
    plain = run(SMA, frame(), symbol="WAVE").chain_head
    column = frame().rename(columns=str.capitalize).rename_axis("timestamp").reset_index()
    assert run(SMA, column, symbol="WAVE").chain_head == plain
    assert run(SMA, frame().tz_convert("America/New_York"), symbol="WAVE").chain_head == plain
    assert run(SMA, frame().drop(columns="volume")).status == "completed"


def test_instruments_shape_the_fills():
    made = run(Cross, frame(), symbol="WAVE", instruments={"WAVE": {"tick": 0.5, "lot": 4, "calendar": "always"}})
    assert (made.fills["price"] % 0.5 == 0).all()
    assert (made.fills["quantity"] == 8).all()  # 10 is cut to whole lots of 4
    assert made.stats["periods_per_year"] == 365


def test_a_store_of_data_sets_is_read_as_a_worker_does(tmp_path, monkeypatch):
    monkeypatch.setenv("BACKTAPE_CACHE_DIR", str(tmp_path / "cache"))
    imported = import_frame(FolderBlobStore(tmp_path / "store"), frame(), dataset="waves", symbol="WAVE", timeframe="1d")
    document = {**SMA, "data": {"dataset": "waves", "symbols": ["WAVE"], "timeframe": "1d"}}
    by_folder = run(document, tmp_path / "store")
    by_url = run(document, f"file://{tmp_path / 'store'}")
    assert by_folder.commits == by_url.commits
    begun = decode_commit(by_folder.commits[1]).events[0]
    assert isinstance(begun, BacktestStarted)
    assert (begun.dataset, begun.dataset_version, begun.data_digest) == ("waves", 1, imported.manifest.digest())
    assert by_folder.fills.equals(run(SMA, frame(), symbol="WAVE").fills)
    with pytest.raises(NotFoundError, match="no data set 'tides'"):
        run({**document, "data": {**document["data"], "dataset": "tides"}}, tmp_path / "store")
    with pytest.raises(NotFoundError, match="has no FOAM in 1d"):
        run(document, tmp_path / "store", symbols=["FOAM"])


# --- nothing happens ---


def test_a_run_without_orders_has_empty_typed_tables(tmp_path):
    made = run(Idle, frame(40))
    assert len(made.trades) == len(made.fills) == len(made.orders) == len(made.positions) == 0
    assert str(made.trades["closed_at"].dtype) == "datetime64[ns, UTC]"
    assert made.stats["win_rate"] is None and made.stats["total_return"] == 0.0
    assert made.plot(tmp_path / "idle.png").png() == (tmp_path / "idle.png").read_bytes()
    assert "No trade was closed." in made.report(tmp_path / "idle.html").read_text()


def test_one_bar_is_enough(tmp_path):
    made = run(Idle, frame(1), timeframe="1d")
    assert len(made.equity) == 1
    made.plot(tmp_path / "one.png")
    made.report(tmp_path / "one.html")


# --- what goes wrong ---


def test_a_strategy_that_raises_is_named_with_its_line():
    where = r'KeyError in on_bar at test_run\.py:\d+: raise KeyError\("no such thing"\)'
    with pytest.raises(StrategyError, match=where) as caught:
        run(Broken, frame(10))
    assert isinstance(caught.value.__cause__, KeyError)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda bars: bars.assign(high=bars["low"] - 1), r"the frame of WAVE is refused:\n.*row 1, column high"),
        (lambda bars: bars.assign(close=np.nan), r"row 1, column close: nan is not a number"),
        (lambda bars: bars[::-1], r"row 2, column timestamp: .* is earlier than a row before it"),
        (lambda bars: bars.tz_localize(None), r"names no time zone"),
        (lambda bars: bars.drop(columns="open"), r"column open: is missing; the table has"),
    ],
)
def test_a_frame_that_breaks_a_rule_is_refused_by_row_and_column(change, message):
    with pytest.raises(BadDataError, match=message):
        run(SMA, change(frame(20)), symbol="WAVE", timeframe="1d")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"cash": -5}, "spec.account.cash: -5 is not allowed"),
        ({"cush": 5}, "cush: 5 is not allowed: the keywords are"),
        ({"account": 5}, r"account: 5 is not allowed: a dict of fields"),
        ({"parameters": {"fast": "x"}}, "fast: 'x' is not allowed"),
        ({"parameters": {"speed": 1}}, "speed"),
        ({"symbol": "a b"}, "symbol: 'a b' is not allowed"),
        ({"symbols": ["A", "B"]}, "several need a dict of symbol to frame"),
        ({"start": "2023-01-01", "end": "2022-01-01"}, "must be before end"),
        ({"instruments": {"ASSET": {"tick": -1}}}, "tick: -1 is not allowed"),
    ],
)
def test_a_wrong_argument_is_named(arguments, message):
    with pytest.raises(SchemaError, match=message):
        run(SMA, frame(20), **arguments)


def test_other_wrong_inputs_are_named(tmp_path):
    with pytest.raises(SchemaError, match=r"strategy\.name: 'no_such' is not allowed: one of buy_and_hold"):
        run({"strategy": {"name": "no_such"}}, frame(20))
    with pytest.raises(SchemaError, match="strategy: None is not allowed"):
        run({}, frame(20))
    with pytest.raises(TypeError, match="a pandas frame is needed, not list"):
        run(SMA, {"A": [1, 2]}, timeframe="1d")
    with pytest.raises(TypeError, match="a strategy class, a spec"):
        run(5, frame(20))
    with pytest.raises(SchemaError, match="the frame does not tell it"):
        run(Idle, frame(1))
    with pytest.raises(EngineError, match="has no bars"):
        run(SMA, frame(20), start="2030-01-01")
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(SchemaError, match=r"bad.json"):
        run(tmp_path / "bad.json", frame(20))
    with pytest.raises(NotFoundError, match="there is no such folder"):
        run({**SMA, "data": {"dataset": "x", "symbols": ["A"], "timeframe": "1d"}}, tmp_path / "nowhere")


# --- the package itself ---


def test_the_package_is_imported_in_no_time():
    """Nothing heavy comes with the package, and drawing comes with the first drawing alone."""
    code = (
        "import sys, backtape; assert 'numpy' not in sys.modules and 'pydantic' not in sys.modules; "
        "from backtape import run, Strategy; assert callable(run) and run.__name__ == 'run'; "
        "assert not {'matplotlib', 'pandas', 'numba', 'aiokafka', 'boto3', 'sqlalchemy'} & set(sys.modules), sorted(sys.modules)"
    )
    begun = time.monotonic()
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - begun < 20


def test_a_run_from_a_folder_answers_in_json_without_what_it_does_not_need(tmp_path):
    """A cold start is imports: no Kafka client, no S3 client, no drawing of tables, no JSON Schema for numbers within bounds."""
    store = tmp_path / "store"
    import_frame(FolderBlobStore(store), frame(30), dataset="one", symbol="X", timeframe="1d")
    spec = tmp_path / "spec.json"
    spec.write_text(json.dumps({**SMA, "data": {"dataset": "one", "symbols": ["X"], "timeframe": "1d"}}))
    code = (
        "import sys; from backtape.cli import main\n"
        f"sys.argv = ['backtape', 'run', {str(spec)!r}, '--store', {str(store)!r}, '--json']\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "heavy = {'aiokafka', 'boto3', 'jsonschema', 'matplotlib', 'pandas', 'psutil', 'rich', 'sqlalchemy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    environment = {**os.environ, "BACKTAPE_CACHE_DIR": str(tmp_path / "cache")}  # empty: the bars are read from Parquet
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["status"] == "completed"


def test_every_promised_name_is_there():
    for name in backtape.__all__:
        assert getattr(backtape, name) is not None
    assert set(backtape.__all__) <= set(dir(backtape))
    with pytest.raises(AttributeError, match="no attribute 'runn'"):
        backtape.runn  # noqa: B018


def test_intake_knows_a_users_strategy_by_its_card():
    assert card(Cross).summary == "A user's strategy."
    assert fold_run(run(Cross, frame(30)).commits).rows("backtests")
