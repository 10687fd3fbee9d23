"""This module is the frame of the command line: the app, its errors and exit codes, and what all commands share."""

import asyncio
import logging
import os
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import typer

from backtape.cli.output import NO, NOT_TRIED, CommandError, fail, one_line, print_json, say_error

Answer = TypeVar("Answer")

ADDRESSES = ("BACKTAPE_KAFKA_BOOTSTRAP", "BACKTAPE_DATABASE_URL", "BACKTAPE_S3_URL")
INTERRUPTED = 130  # 128 + SIGINT, as shells have it

app = typer.Typer(
    name="backtape",
    help="Event-sourced backtests over Apache Kafka, with results that can be proven.",
    epilog="Exit codes: 0 done; 1 the answer is no (failed, not proven, rejected); 2 it could not be tried.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)
data_app = typer.Typer(help="Market data: import, generate, list, show.", no_args_is_help=True)
keys_app = typer.Typer(help="API keys of the web service: create, list, revoke, login.", no_args_is_help=True)
db_app = typer.Typer(help="The read model's database: upgrade.", no_args_is_help=True)
schema_app = typer.Typer(help="The schemas of what is on the wire: export.", no_args_is_help=True)


def _show_version(is_asked: bool) -> None:
    if is_asked:
        from importlib.metadata import version

        typer.echo(f"backtape {version('backtape')}")
        raise typer.Exit


@app.callback()
def main(
    version: bool = typer.Option(False, "--version", is_eager=True, help="Show the version and exit.", callback=_show_version),
) -> None:
    """Event-sourced backtests over Apache Kafka, with results that can be proven."""


def run() -> None:
    """Run the command line. Errors become one line on stderr and an exit code; only our own mistakes have tracebacks."""
    sys.exit(_run())


def _run() -> int:
    from adapters.errors import AdapterError
    from backtape.stack.errors import StackError
    from engine.errors import EngineError
    from schemas.errors import SchemaError

    try:
        # typer gives the code of typer.Exit back, and nothing when a command just returned.
        return int(app(prog_name="backtape", standalone_mode=False) or 0)
    except CommandError as error:
        return _failed(str(error), error.code)
    except EngineError as error:
        return _failed(str(error), NO)
    except AdapterError as error:
        return _failed(f"{error}{_hint()}", NOT_TRIED)
    except (StackError, SchemaError) as error:
        return _failed(str(error), NOT_TRIED)
    except BrokenPipeError:  # the reader of a pipe has gone: `backtape events ID | head`
        sys.stdout = None  # the interpreter would try to flush it once more
        return NOT_TRIED
    except OSError as error:
        return _failed(f"{error.filename}: {error.strerror}" if error.filename else str(error), NOT_TRIED)
    except (typer.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        return _misused(error)


def _failed(text: str, code: int) -> int:
    """Tell a person on stderr, and a program that asked for JSON on stdout: there it is always exactly one document."""
    say_error(text)
    if "--json" in sys.argv:
        print_json({"error": one_line(text)})
    return code


def _hint() -> str:
    """Say what helps where no server was named: the cause is then nearly always a local stack that does not run."""
    from backtape.local import LocalBacktape

    if any(name in os.environ for name in ADDRESSES):
        return ""
    servers = LocalBacktape().stack.services
    missing = [server.name for server in servers if not server.is_running]
    if len(missing) == len(servers):
        return f" (none of {', '.join(ADDRESSES)} is set, and no local stack runs in this folder: `backtape up` starts one)"
    return f" (of the local stack in this folder {', '.join(missing)} does not run: `backtape up` starts it)" if missing else ""


def _misused(error: Any) -> int:
    """Answer a wrong command line. (The classes of typer's errors are its own affair, their interface is click's.)"""
    text = error.format_message().replace("Value error, ", "")
    if not text or type(error).__name__ == "NoArgsIsHelpError":
        error.show()
        return NOT_TRIED
    context = getattr(error, "ctx", None)
    return _failed(text + (f" (see: {context.command_path} --help)" if context is not None else ""), NOT_TRIED)


# --- what commands share ------------------------------------------------------------------------------------------


def settings() -> Any:
    """Return the settings: the environment's, else those of the local stack in this folder."""
    from backtape.local import use_local_stack
    from consumers.settings import load_settings

    use_local_stack()
    return load_settings()


def wait_for(coroutine: Coroutine[Any, Any, Answer]) -> Answer:
    """Run a coroutine to its end."""
    quieten_logs()
    return asyncio.run(coroutine)


def quieten_logs() -> None:
    """Leave stdout to the answer, and stderr to what a person must know."""
    import structlog

    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    # What aiokafka says comes as an exception too, in our words.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


def read_spec(path: Path) -> dict[str, Any]:
    """Read a spec from a JSON file (``-``: from stdin)."""
    import json

    name = "stdin" if str(path) == "-" else str(path)
    try:
        document = json.loads(sys.stdin.buffer.read() if name == "stdin" else path.read_bytes())
    except ValueError as error:  # of JSON, or of UTF-8
        fail(f"{name}: not JSON: {error}")
    if not isinstance(document, dict):
        fail(f"{name}: a spec is a JSON object, not {type(document).__name__}")
    return document


# Each module adds its commands to the app; --help lists them in this order.
from backtape.cli import local, backtests, deletion, proofs, engine_commands, cold, imports, rebuild, data, services, web  # noqa: E402, F401, I001

app.add_typer(data_app, name="data")
app.add_typer(keys_app, name="keys")
app.add_typer(db_app, name="db")
app.add_typer(schema_app, name="schema")

__all__ = ["app", "backtests", "cold", "data", "deletion", "engine_commands", "imports", "local", "proofs", "services", "web"]
