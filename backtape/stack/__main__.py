"""This module is the stack's own small command, for set-up: `python -m backtape.stack jars|up|down|clean|doctor STATE`.

It needs nothing but the `stack` extra and psutil, so that set-up can use it before the rest is there.
"""

from __future__ import annotations

import sys
from pathlib import Path

from backtape.stack import LocalStack, StackError, doctor, jars

USAGE = "usage: python -m backtape.stack jars|up|down|clean|doctor STATE_FOLDER"


def main(arguments: list[str]) -> int:
    if len(arguments) != 2:
        print(USAGE, file=sys.stderr)
        return 2
    verb, stack = arguments[0], LocalStack(Path(arguments[1]))
    try:
        return _do(verb, stack)
    except StackError as error:
        print(error, file=sys.stderr)
        return 1


def _do(verb: str, stack: LocalStack) -> int:
    match verb:
        case "jars":
            jars.fetch_all(stack.jars, report=_report)
        case "up":
            for name, value in stack.start(report=_report, detached=True).environment().items():
                print(f"export {name}='{value}'")
        case "down":
            stack.stop()
        case "clean":
            stack.remove()
        case "doctor":
            return _print_checks(doctor.examine(stack.state))
        case _:
            print(USAGE, file=sys.stderr)
            return 2
    return 0


def _print_checks(checks: list[doctor.Check]) -> int:
    for check in checks:
        mark = "ok  " if check.ok else "note" if check.is_optional else "FAIL"
        print(f"{mark}  {check.name}: {check.detail}" + (f" -- {check.remedy}" if check.remedy else ""))
    return 0 if all(check.ok or check.is_optional for check in checks) else 1


def _report(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
