"""This module tells how commits are kept until their run is finished."""

from pathlib import Path

import pytest

from snapshots.spool import Spool

BODIES = [b"one", b"", b"x" * 100_000, b"four"]


@pytest.mark.parametrize("spill_at", [None, 0, 2, 4])
def test_commits_come_back_in_order_from_memory_and_disk(tmp_path: Path, spill_at: int | None) -> None:
    """Wherever the move to disk happens, twice."""
    spool = Spool(tmp_path)
    for place, body in enumerate(BODIES):
        if place == spill_at:
            spool.spill()
        spool.append(body)
    if spill_at == 4:
        spool.spill()
    spool.spill() if spool.is_on_disk else None
    assert list(spool) == BODIES
    assert list(spool) == BODIES
    assert spool.is_on_disk is (spill_at is not None)
    assert spool.bytes == sum(map(len, BODIES))
    assert list(tmp_path.iterdir()) == []
    spool.close()
    spool.close()


def test_a_dropped_spool_closes_its_file(tmp_path: Path) -> None:
    """No warning about an open file, which would be an error here."""
    spool = Spool(tmp_path)
    spool.append(b"one")
    spool.spill()
    del spool
