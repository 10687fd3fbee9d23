"""This module looks at the machine, the local stack and the processes, and prints what is wrong."""

from collections.abc import Sequence

from backtape.cli.output import STDOUT
from backtape.local import STATE, LocalBacktape
from backtape.stack.doctor import Check, examine
from backtape.stack.errors import NotRunning


def examine_all() -> list[Check]:
    """Return the checks of the machine and the stack, then of our own processes."""
    return [*examine(STATE), *_processes()]


def _processes() -> list[Check]:
    local = LocalBacktape()
    try:
        processes = local.processes(local.stack.endpoints())
    except NotRunning:
        return []
    checks = []
    for process in processes:
        if process.is_running and process.answers():
            checks.append(Check(process.name, True, f"ready, process {process.pid}"))
        elif process.is_running:
            checks.append(Check(process.name, False, f"process {process.pid} is not ready", f"see {process.log_path}"))
        else:
            checks.append(Check(process.name, False, "not running", f"backtape up; its last words: {process.log_path}"))
    return checks


def show(checks: Sequence[Check]) -> None:
    """Print one line a check, and the remedy below what is not well."""
    for check in checks:
        mark = "[green]ok  [/green]" if check.ok else "[yellow]note[/yellow]" if check.is_optional else "[red]bad [/red]"
        STDOUT.print(f"{mark} {check.name}: {check.detail}".replace("[/tmp", r"\[/tmp"), soft_wrap=True)
        if not check.ok and check.remedy:
            STDOUT.print(f"       {check.remedy}", markup=False, soft_wrap=True)
