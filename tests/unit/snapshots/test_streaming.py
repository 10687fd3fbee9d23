"""A long run's files, written while it is read, hold what its tables hold, whatever the size of their row groups."""

import tempfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from schemas.ids import sha256
from snapshots.parquet import metadata_of
from snapshots.run_log import facts_of
from snapshots.streaming import table_files
from snapshots.tables import PORTION_EVENTS, TABLES, snapshot_tables, words_of
from snapshots.verify import compare_tables
from tests.factories import finished_log


@pytest.mark.parametrize("group_rows", [250, 10**6])
@pytest.mark.parametrize("steps", [1, 3_000])
def test_streamed_files_hold_the_tables(steps: int, group_rows: int) -> None:
    """Also of a run of several portions, whose orders close in another order than they were opened in."""
    log = finished_log(seed=3, steps=steps)
    facts = facts_of(log.bodies)
    assert steps == 1 or facts.events > 3 * PORTION_EVENTS
    expected = snapshot_tables("bt-1", log.bodies)
    names = []
    for made in table_files(log.bodies, facts, group_rows=group_rows):
        names.append(made.name)
        made.file.seek(0)
        body = made.file.read()
        assert (len(body), sha256(body), made.rows) == (made.bytes, made.sha256, expected[made.name].num_rows)
        made.file.seek(0)
        file = pq.ParquetFile(made.file)
        assert file.metadata.num_row_groups == max(1, -(-made.rows // group_rows))
        table = pq.read_table(made.file, read_dictionary=words_of(made.name))
        assert compare_tables(table, expected[made.name], name=made.name) is None
        assert metadata_of(table)["backtape.chain_head"] == facts.chain_head
    assert tuple(names) == TABLES


def test_nothing_is_left_in_the_folder(tmp_path: Path) -> None:
    """Files without a name, as the spool's: also while they are written."""
    log = finished_log(steps=20)
    for _ in table_files(log.bodies, facts_of(log.bodies), folder=tmp_path):
        assert list(tmp_path.iterdir()) == []
    assert tempfile.gettempdir() != str(tmp_path)
