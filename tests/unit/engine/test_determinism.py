"""The same spec gives the same bytes: in fresh processes, with other hash seeds, CPU paths, and without compilation."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.engine.recipes import digests

ROOT = Path(__file__).parents[3]

SETTINGS = {
    "hash seed 1": {"PYTHONHASHSEED": "1"},
    "hash seed 2, without glibc's FMA": {"PYTHONHASHSEED": "2", "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA,-FMA4"},
    "numpy's baseline loops": {"NPY_DISABLE_CPU_FEATURES": "AVX512F AVX512CD AVX512_SKX X86_V4 AVX2 FMA3 X86_V3"},
    "without compilation": {"NUMBA_DISABLE_JIT": "1"},
}


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_fresh_process_gives_the_same_bytes(setting: str) -> None:
    """The digest of the last commit covers every byte of the chain before it."""
    environment = dict(os.environ) | SETTINGS[setting]
    command = [sys.executable, "-W", "ignore", "-m", "tests.unit.engine.recipes"]
    shown = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert shown.returncode == 0, shown.stderr
    assert dict(line.split() for line in shown.stdout.splitlines()) == digests()
