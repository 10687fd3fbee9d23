"""This module gives whoever starts everything on this machine a key of the web service, and a link that logs a browser in."""

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path

from adapters.control.keys import Keys
from adapters.control.pool import ControlPool

NAME = "local"
FILE = "api-key"


@dataclass(frozen=True, slots=True)
class Login:
    """How to get in: a link for one browser, once, and the file that holds the key for programs."""

    link: str
    key_file: Path


def local_login(database_url: str, *, address: str, folder: Path) -> Login:
    """Return a login under this machine's key; the key is made where there is none, and kept in a file of the folder."""
    file = folder / FILE
    known = file.read_text().strip() if file.is_file() else None
    secret, made = asyncio.run(_login(database_url, known))
    if made is not None:
        _keep(file, made)
    return Login(f"{address}/login?token={secret}", file)


async def _login(database_url: str, known: str | None) -> tuple[str, str | None]:
    """Return a link's secret, and the key's text where it had to be made."""
    pool = ControlPool(database_url)
    try:
        keys = Keys(pool)
        key, made = None if known is None else await keys.key(known), None
        if key is None:
            key, made = await keys.create_key(NAME, ["admin"], None)
        return await keys.create_login_link(key.key_id), made
    finally:
        await pool.close()


def _keep(file: Path, text: str) -> None:
    """Write the key so that nobody else can read it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        out.write(text + "\n")
