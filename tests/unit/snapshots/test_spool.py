"""This module tells how commits are kept until their run is finished."""

import gc
from pathlib import Path

import pytest

from snapshots.spool import Spool, Spools

BODIES = [b"one", b"", b"x" * 100_000, b"four"]


@pytest.mark.parametrize("spill_at", [None, 0, 2, 4])
def test_commits_come_back_in_order_from_memory_and_disk(tmp_path: Path, spill_at: int | None) -> None:
    """Wherever the move to disk happens, twice, and twice at a time; the file has no name."""
    spool = Spool(tmp_path)
    for place, body in enumerate([*BODIES, None]):
        if place == spill_at:
            spool.spill()
        if body is not None:
            spool.append(body)
    spool.is_sealed = True
    first, second = iter(spool), iter(spool)
    assert [next(each) for each in (first, second, first)] == [b"one", b"one", b""]
    assert [*second] == BODIES[1:]
    assert list(spool) == BODIES
    assert spool.is_on_disk is (spill_at is not None)
    assert spool.bytes == sum(map(len, BODIES))
    assert list(tmp_path.iterdir()) == []
    first.close()  # type: ignore[attr-defined]


def test_a_reader_outlives_its_spool(tmp_path: Path) -> None:
    """A thread that is still reading when the spool is forgotten gets its own bytes, not those of another file."""
    spool = Spool(tmp_path)
    for body in BODIES:
        spool.append(body)
    spool.spill()
    reading = iter(spool)
    assert next(reading) == b"one"
    del spool
    gc.collect()
    assert list(reading) == BODIES[1:]


def test_bounds_move_the_largest_to_disk_and_then_out(tmp_path: Path) -> None:
    """100 bytes of memory, 300 of disk: small runs stay, the large one spills, and is dropped when it is too large."""
    spools = Spools(memory_bytes=100, disk_bytes=300, folder=tmp_path)
    small, large = spools.open(), spools.open()
    spools.append(small, b"s" * 40)
    spools.append(large, b"l" * 60)
    assert (spools.in_memory, spools.on_disk) == (100, 0)
    spools.append(large, b"l" * 60)
    assert (spools.in_memory, spools.on_disk, large.is_on_disk) == (40, 120, True)
    spools.append(large, b"l" * 180)
    assert (spools.in_memory, spools.on_disk, large.is_dropped) == (40, 300, False)
    spools.append(large, b"l")
    assert (spools.in_memory, spools.on_disk, large.is_dropped) == (40, 0, True)
    spools.append(large, b"l")
    assert list(large) == []
    assert list(small) == [b"s" * 40]
    spools.release(small)
    spools.release(large)
    assert (spools.in_memory, spools.on_disk) == (0, 0)


def test_what_is_being_read_stays_where_it_is(tmp_path: Path) -> None:
    """A finished run's spool is not moved under its reader; the next largest is."""
    spools = Spools(memory_bytes=100, disk_bytes=0, folder=tmp_path)
    finished, open_one = spools.open(), spools.open()
    spools.append(finished, b"f" * 90)
    finished.is_sealed = True
    spools.append(open_one, b"o" * 20)
    assert not finished.is_on_disk and list(finished) == [b"f" * 90]
    assert open_one.is_dropped
