"""This module holds the commands about the web service: the process, its API keys, and the strategies that it offers."""

from datetime import UTC, datetime, timedelta
from typing import Any

import typer

from backtape.cli.app import app, keys_app, settings, wait_for
from backtape.cli.output import JSON_OPTION, NO, fail, print_json, say, table

SCOPES = ("read", "submit", "cancel", "admin")

KEY_ID = typer.Argument(help="The key's id, as `backtape keys list` shows it.", metavar="KEY_ID")


@app.command()
def web() -> None:
    """Service: the HTTP API and the dashboard.

    Ends by SIGTERM. Its settings are environment variables: docs/settings.md.
    """
    from backtape.web_process import serve
    from consumers.logs import set_up_logs
    from consumers.settings import load_settings

    loaded = load_settings()
    set_up_logs(loaded)
    raise typer.Exit(serve(loaded))


@app.command()
def strategies(as_json: bool = JSON_OPTION) -> None:
    """List the strategies that can be run.

    Those that are installed, and those in the files that the settings name.
    """
    from adapters.strategies import load_all
    from engine.registry import card

    cards = [card(found, name) for name, found in sorted(load_all(settings().strategy_files).items())]
    if as_json:
        print_json(cards)
    else:
        rows = [(each.name, " ".join(f"{name}={value}" for name, value in each.defaults.items()), each.summary) for each in cards]
        table("Strategies", ("strategy", "parameters", ""), rows)


@keys_app.command("create")
def create_key(
    name: str = typer.Argument(help="Who it is for: what is submitted with it has this name as submitter."),
    scope: list[str] = typer.Option(["read", "submit", "cancel"], help=f"What it may do: {', '.join(SCOPES)}; may be repeated."),
    days: float | None = typer.Option(None, min=0, help="Days until it ends; default: never."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Make a key and print it, once: it is kept as a digest only."""
    from adapters.control.keys import Keys
    from schemas.spec import MAX_SHORT_TEXT

    if not 1 <= len(name) <= MAX_SHORT_TEXT:
        fail(f"name: {name!r} is not allowed: 1 to {MAX_SHORT_TEXT} characters")
    for each in scope:
        if each not in SCOPES:
            fail(f"--scope: {each!r} is not allowed: one of {', '.join(SCOPES)}")
    ends = None if days is None else datetime.now(UTC) + timedelta(days=days)

    async def create(keys: Keys) -> Any:
        return await keys.create_key(name, list(dict.fromkeys(scope)), ends)

    key, text = _with_keys(create)
    if as_json:
        print_json({**_document(key), "key": text})
    else:
        say(f"key {key.key_id} of {key.name}, scopes {' '.join(key.scopes)}; it is not shown again:")
        typer.echo(text)


@keys_app.command("list")
def list_keys(as_json: bool = JSON_OPTION) -> None:
    """List the keys, the newest first."""
    from adapters.control.keys import Keys

    async def read(keys: Keys) -> Any:
        return await keys.keys()

    found = _with_keys(read)
    if as_json:
        print_json([_document(key) for key in found])
    else:
        rows = [(key.key_id, key.name, " ".join(key.scopes), _state(key), key.created_at, key.expires_at) for key in found]
        table("Keys", ("key", "name", "scopes", "state", "made", "ends"), rows)


@keys_app.command("revoke")
def revoke_key(key_id: str = KEY_ID, as_json: bool = JSON_OPTION) -> None:
    """End a key, and the sessions under it, within a few seconds."""
    from adapters.control.keys import Keys
    from adapters.errors import NotFoundError

    async def revoke(keys: Keys) -> Any:
        return await keys.revoke_key(key_id)

    try:
        key = _with_keys(revoke)
    except NotFoundError as error:
        fail(str(error), NO)
    if as_json:
        print_json(_document(key))
    else:
        say(f"key {key.key_id} of {key.name} is revoked")


@keys_app.command("login")
def login(
    key_id: str = KEY_ID,
    address: str | None = typer.Option(
        None, "--address", help="The service's address; default: the one of the local stack here."
    ),
    as_json: bool = JSON_OPTION,
) -> None:
    """Print a link that logs one browser in, once, under a key."""
    from adapters.control.keys import Keys
    from backtape.local import web_address

    base = address or web_address()
    if base is None:
        fail("no web service runs in this folder: name its --address, such as http://127.0.0.1:8080")

    async def create(keys: Keys) -> Any:
        known = {key.key_id: key for key in await keys.keys()}
        return await keys.create_login_link(key_id) if key_id in known and known[key_id].is_active else None

    secret = _with_keys(create)
    if secret is None:
        fail(f"there is no active key {key_id!r}", NO)
    link = f"{base.rstrip('/')}/login?token={secret}"
    if as_json:
        print_json({"key_id": key_id, "link": link})
    else:
        typer.echo(link)


def _with_keys(do: Any) -> Any:
    from adapters.control.keys import Keys
    from adapters.control.pool import ControlPool

    pool = ControlPool(settings().database_url)

    async def run() -> Any:
        try:
            return await do(Keys(pool))
        finally:
            await pool.close()

    return wait_for(run())


def _state(key: Any) -> str:
    return "active" if key.is_active else "revoked" if key.revoked_at else "ended"


def _document(key: Any) -> dict[str, Any]:
    return {
        "key_id": key.key_id,
        "name": key.name,
        "scopes": list(key.scopes),
        "state": _state(key),
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
    }
