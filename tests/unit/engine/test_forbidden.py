"""What the engine must not use: clocks, chance of its own, the network, the environment, and sums that depend on the CPU."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ENGINE = Path(__file__).parents[3] / "engine"
FILES = sorted(ENGINE.rglob("*.py"))

MODULES = {
    "time": "time comes from the data: step, time_ns",
    "datetime": "time comes from the data: step, time_ns",
    "secrets": "chance comes from strategy.random, seeded by the spec",
    "uuid": "ids are counted, or derived from their cause",
    "os": "settings come in as arguments",
    "socket": "the engine has no network: adapters/ has",
    "urllib": "the engine has no network: adapters/ has",
    "asyncio": "the engine is synchronous",
    "threading": "the engine is synchronous",
    "multiprocessing": "processes belong to consumers/",
    "subprocess": "processes belong to consumers/",
    "logging": "what happened is an event",
}
CALLS = {
    "sum": "numpy's sum chooses its order by CPU: math.fsum, or a compiled loop",
    "mean": "numpy's mean chooses its order by CPU: engine.statistics.mean",
    "std": "numpy's std chooses its order by CPU: engine.statistics.variance",
    "var": "numpy's var chooses its order by CPU: engine.statistics.variance",
    "dot": "dot products depend on BLAS and CPU: a compiled loop",
    "matmul": "dot products depend on BLAS and CPU: a compiled loop",
    "exp": "libm's exp depends on the CPU: decimal with 34 digits",
    "log": "libm's log depends on the CPU: decimal with 34 digits",
    "pow": "libm's pow depends on the CPU: decimal with 34 digits",
    "default_rng": "chance comes from strategy.random, seeded by the spec",
}
ALLOWED = {
    ("summary.py", "sum"),  # of a bool array: an integer, whatever the order
    ("risk.py", "exp"),  # of decimal, which rounds correctly
}


def _problems(tree: ast.AST, file: str) -> Iterator[str]:
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name.split(".")[0] for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [(node.module or "").split(".")[0]]
        yield from (f"line {node.lineno}: import {name}: {MODULES[name]}" for name in names if name in MODULES)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            name = "" if ast.unparse(node.func.value) == "stats" else node.func.attr  # stats is engine.statistics
            if name in CALLS and (file, name) not in ALLOWED:
                yield f"line {node.lineno}: .{name}(): {CALLS[name]}"
        if isinstance(node, ast.Call) and any(keyword.arg == "fastmath" for keyword in node.keywords):
            yield f"line {node.lineno}: fastmath reorders additions"
        if isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Pow) and not _is_integer_power(node):
            yield f"line {getattr(node, 'lineno', 0)}: **: {CALLS['pow']}"
        if isinstance(node, ast.AsyncFunctionDef | ast.Await):
            yield f"line {node.lineno}: the engine is synchronous"


def _is_integer_power(node: ast.AST) -> bool:
    return isinstance(node, ast.BinOp) and isinstance(node.left, ast.Constant) and isinstance(node.right, ast.Constant)


@pytest.mark.parametrize("file", FILES, ids=[str(file.relative_to(ENGINE)) for file in FILES])
def test_the_engine_uses_nothing_that_could_differ(file: Path) -> None:
    """Each finding names the better way."""
    assert list(_problems(ast.parse(file.read_text()), file.name)) == []
