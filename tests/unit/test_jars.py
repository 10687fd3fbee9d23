"""Jars are whole or absent, whatever happens to a download. Maven is played by scripts here."""

from __future__ import annotations

import stat
import textwrap
from pathlib import Path

import pytest

from backtape.stack import jars
from backtape.stack.errors import JarsMissing

# What each script shares: it finds the target folder in its arguments, and counts its calls in a file.
HEAD = """\
    #!/usr/bin/env python3
    import os, pathlib, sys, zipfile
    target = next(pathlib.Path(a.partition("=")[2]) for a in sys.argv if a.startswith("-DoutputDirectory="))
    calls = pathlib.Path(__file__ + ".calls")
    call = int(calls.read_text()) + 1 if calls.exists() else 1
    calls.write_text(str(call))
    def whole(name):
        with zipfile.ZipFile(target / name, "w") as jar:
            jar.writestr("a.class", b"x" * 1000)
    whole("first.jar")
"""


def fake_maven(folder: Path, script: str) -> str:
    """Write an executable that stands in for Maven."""
    path = folder / "mvn"
    path.write_text(textwrap.dedent(HEAD) + textwrap.dedent(script))
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_killed_download_is_retried(tmp_path: Path) -> None:
    """Maven dies half-way at its first call; the second brings everything."""
    maven = fake_maven(
        tmp_path,
        """\
        if call == 1:
            os.kill(os.getpid(), 9)
        whole("second.jar")
    """,
    )
    lines: list[str] = []
    folder = jars.fetch(tmp_path / "jars", "kafka", report=lines.append, maven=maven)
    assert sorted(jar.name for jar in folder.glob("*.jar")) == ["first.jar", "second.jar"]
    assert any("attempt 2 of 3" in line for line in lines)


def test_damaged_jar_is_fetched_again_past_the_local_repository(tmp_path: Path) -> None:
    """A jar that is no archive is refused, and the retry uses a fresh local repository."""
    maven = fake_maven(
        tmp_path,
        """\
        fresh = any(a.startswith("-Dmaven.repo.local=") for a in sys.argv)
        whole("second.jar") if fresh else (target / "second.jar").write_bytes(b"<html>")
    """,
    )
    folder = jars.fetch(tmp_path / "jars", "s3proxy", report=lambda line: None, maven=maven)
    assert jars.is_complete(folder)


def test_half_a_folder_never_counts(tmp_path: Path) -> None:
    """A failed fetch leaves nothing that looks complete, and says what Maven said."""
    maven = fake_maven(
        tmp_path,
        """\
        print("[ERROR] no such artifact")
        sys.exit(1)
    """,
    )
    with pytest.raises(JarsMissing, match="no such artifact"):
        jars.fetch(tmp_path / "jars", "kafka", report=lambda line: None, maven=maven)
    assert not jars.is_complete(jars.folder_of(tmp_path / "jars", "kafka"))


def test_missing_maven_is_named(tmp_path: Path) -> None:
    """Without Maven the error says so."""
    with pytest.raises(JarsMissing, match="Maven did not start"):
        jars.fetch(tmp_path / "jars", "kafka", report=lambda line: None, maven=str(tmp_path / "absent"))


@pytest.mark.parametrize("damage", [lambda jar: jar.unlink(), lambda jar: jar.write_bytes(b"cut")], ids=["removed", "cut"])
def test_later_damage_is_noticed_and_repaired(tmp_path: Path, damage: object) -> None:
    """A jar that was removed or cut after the download makes the folder incomplete; the next fetch replaces it."""
    maven = fake_maven(tmp_path, "")
    folder = jars.fetch(tmp_path / "jars", "kafka", report=lambda line: None, maven=maven)
    assert callable(damage)
    damage(folder / "first.jar")
    assert not jars.is_complete(folder)
    assert jars.is_complete(jars.fetch(tmp_path / "jars", "kafka", report=lambda line: None, maven=maven))


def test_complete_jars_need_no_maven(tmp_path: Path) -> None:
    """What is there is not fetched again."""
    jars.fetch(tmp_path / "jars", "kafka", report=lambda line: None, maven=fake_maven(tmp_path, ""))
    jars.fetch(tmp_path / "jars", "kafka", report=lambda line: None, maven=str(tmp_path / "absent"))
