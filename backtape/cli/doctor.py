"""This module looks at the machine, the local stack and the processes, and prints what is wrong."""

import dataclasses
import os
import re
from collections.abc import Sequence

from rich.text import Text

from adapters.errors import ConfigurationError
from backtape.cli.output import STDOUT
from backtape.local import STATE, ConsumerProcess, LocalBacktape
from backtape.stack.doctor import Check, examine
from consumers.settings import PREFIX, load_settings

_ESCAPES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")  # Maven colours its version
BUCKET_SECONDS = 10.0  # how long one request may be tried: whoever asks is waiting
_SERVERS = ("kafka", "postgres", "s3")


def examine_all() -> list[Check]:
    """Return the checks of the machine and the stack, then of our own processes.

    Nothing running is a state like any other; a server missing beside others is not.
    """
    servers = LocalBacktape().stack.services
    is_up = any(server.is_running for server in servers)
    missing = {f"{server.name} process" for server in servers} if is_up else set()
    return [
        dataclasses.replace(each, detail=_ESCAPES.sub("", each.detail), is_optional=each.is_optional and each.name not in missing)
        for each in (_settings(), *examine(STATE), *_processes())
    ]


def examine_bucket() -> list[Check]:
    """Return what was tried on the bucket of the settings, up to the first trial that fails."""
    check = _settings()
    if not check.ok:
        return [check]
    settings = load_settings()
    if not settings.s3_url.startswith("s3://"):
        return [Check("bucket", False, f"BACKTAPE_S3_URL is {settings.s3_url}: a folder", "s3://bucket/prefix names a bucket")]
    from adapters.s3 import S3Provider
    from adapters.s3_probe import LEAST_PART_BYTES, probe

    told = ", ".join(f"{name} {value}" for name, value in dataclasses.asdict(settings.s3).items() if value is not None)
    checks = [Check("bucket", True, f"{settings.s3_url}, {told}")]
    try:
        store = S3Provider.of_url(
            settings.s3_url, options=settings.s3, budget_seconds=BUCKET_SECONDS, part_bytes=LEAST_PART_BYTES
        )
    except ConfigurationError as error:
        return [*checks, Check("client", False, str(error), "docs/s3.md")]
    return [*checks, *(Check(each.name, each.ok, each.detail, each.remedy) for each in probe(store))]


def _settings() -> Check:
    """Return whether the environment's settings can be read: every process would refuse to start with a wrong one."""
    try:
        load_settings()
    except ConfigurationError as error:
        return Check("settings", False, str(error), "docs/settings.md lists all of them")
    given = sorted(name for name in os.environ if name.startswith(PREFIX))
    return Check("settings", True, f"from the environment: {', '.join(given)}" if given else "none in the environment: defaults")


def _processes() -> list[Check]:
    """Return a check for each process that `up` ever started here. Where nothing runs there is nothing to expect of them."""
    local = LocalBacktape()
    folders = sorted(path.parent for path in local.state.glob("*/service.json") if path.parent.name not in _SERVERS)
    processes = [ConsumerProcess(folder, role="", name=folder.name, environment={}) for folder in folders]
    if not any(service.is_running for service in (*local.stack.services, *processes)):
        return []
    has_worker = any(each.is_running for each in processes if each.name.startswith("worker"))
    checks = [_process(each, is_optional=has_worker and each.name.startswith("worker")) for each in processes]
    if not processes:
        checks.append(Check("processes", False, "the servers run, no worker does", "`backtape up` starts them"))
    return checks


def _process(process: ConsumerProcess, *, is_optional: bool) -> Check:
    if not process.is_running:
        remedy = f"`backtape up` starts it; its last words: {process.log_path}"
        return Check(process.name, False, "does not run", remedy, is_optional=is_optional)
    if not process.answers():
        return Check(process.name, False, f"pid {process.pid} is not ready", f"see {process.log_path}")
    return Check(process.name, True, f"ready, pid {process.pid}")


def show(checks: Sequence[Check]) -> None:
    """Print one line a check, and the remedy below what is not well."""
    for check in checks:
        mark, style = ("ok  ", "green") if check.ok else ("note", "yellow") if check.is_optional else ("bad ", "red")
        STDOUT.print(Text(mark, style=style), Text(f"{check.name}: {check.detail}"), soft_wrap=True)
        if not check.ok and check.remedy:
            STDOUT.print(Text(f"       {check.remedy}"), soft_wrap=True)
