"""schemas, engine and projections are pure: no clock, no chance of their own, no environment, no network, no threads.

Each finding says where such a thing belongs. What the same command on the same data gives must not depend on anything else.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.sources import python_files, shown

PURE = ("schemas", "engine", "projections")

CLOCK = "time comes from the data or the message: take it as an argument; wall-clock time is adapters' (the Clock port)"
CHANCE = "chance comes from random.Random(spec.seed) or numpy's Generator(PCG64(seed)), made in engine/simulation.py"
IDS = "an id is derived from its cause: schemas.ids.id_from"
SURROUNDINGS = "the environment is read once, in consumers/settings.py, and passed down"
OUTSIDE = "files, network and other processes are adapters': define a port in adapters/ports.py"
CONCURRENCY = "waiting and running side by side are consumers': pure code is called, and returns"
ORDER = "it differs from process to process: use schemas.ids.sha256, or a key of the data"
ARITHMETIC = "its bits depend on the processor: + - * / sqrt in a fixed order, math.fsum, decimal (engine/statistics.py)"

NETWORK = ["socket", "ssl", "urllib", "http", "requests", "httpx", "aiohttp"]
MODULES = {
    **dict.fromkeys(["time", "sched"], CLOCK),
    **dict.fromkeys(["secrets"], CHANCE),
    **dict.fromkeys(["os", "platform", "getpass", "locale", "dotenv", "pydantic_settings"], SURROUNDINGS),
    **dict.fromkeys([*NETWORK, "subprocess", "tempfile", "shutil"], OUTSIDE),
    **dict.fromkeys(["asyncio", "threading", "multiprocessing", "concurrent", "queue", "signal"], CONCURRENCY),
    **dict.fromkeys(["select", "selectors"], CONCURRENCY),
}

CALLS = {
    **dict.fromkeys(["datetime.now", "datetime.utcnow", "datetime.today", "date.today", "Timestamp.now"], CLOCK),
    **dict.fromkeys(["uuid.uuid1", "uuid.uuid4", "uuid4", "uuid1"], IDS),
    **dict.fromkeys(["hash", "id"], ORDER),
    **dict.fromkeys(["open", "input", "print"], OUTSIDE),
}
# Of numpy and math, what chooses its path by the processor. (Of values that enter events; counts are no floats.)
POWERS = ("exp", "log", "log2", "log10", "sin", "cos", "tan")
BY_PROCESSOR = {
    *(f"np.{name}" for name in (*POWERS, "power", "mean", "std", "var", "dot", "matmul")),
    *(f"np.{name}" for name in ("average", "convolve", "prod", "cumprod")),
    *(f"math.{name}" for name in (*POWERS, "log1p", "expm1", "pow", "hypot", "dist")),
}


def findings(source: str, path: Path) -> Iterator[str]:
    """Yield what does not belong into pure code, with where it belongs."""
    for node in ast.walk(ast.parse(source)):
        for what, where in _of(node):
            yield f"{shown(path, node)}: {what}: {where}"


def _of(node: ast.AST) -> Iterator[tuple[str, str]]:
    match node:
        case ast.Import(names=names):
            yield from (_module(each.name) for each in names if each.name.split(".")[0] in MODULES)
        case ast.ImportFrom(module=str(module), names=names):
            if module.split(".")[0] in MODULES:
                yield _module(module)
            if module == "random" and any(each.name != "Random" for each in names):
                yield "from random", CHANCE
            if module.startswith("numpy.random") and any(each.name not in ("Generator", "PCG64") for each in names):
                yield f"from {module}", CHANCE
        case ast.AsyncFunctionDef() | ast.Await() | ast.AsyncFor() | ast.AsyncWith():
            yield "async", CONCURRENCY
        case ast.Call(func=func, args=arguments, keywords=keywords):
            yield from _call(ast.unparse(func), len(arguments) + len(keywords))
            if any(each.arg == "fastmath" for each in keywords):
                yield "fastmath", ARITHMETIC


def _module(name: str) -> tuple[str, str]:
    return f"import {name}", MODULES[name.split(".")[0]]


def _call(name: str, arguments: int) -> Iterator[tuple[str, str]]:
    short = ".".join(name.split(".")[-2:])
    if name in CALLS or short in CALLS:
        yield f"{name}()", CALLS.get(name) or CALLS[short]
    if name in BY_PROCESSOR:
        yield f"{name}()", ARITHMETIC
    if short == "datetime.fromtimestamp" and arguments < 2:
        yield f"{name}() in local time", SURROUNDINGS
    is_generator = name in ("random.Random", "np.random.Generator", "np.random.PCG64", "Generator", "PCG64", "Random")
    if is_generator and arguments == 0:
        yield f"{name}() without a seed", CHANCE
    if name.startswith(("random.", "np.random.", "numpy.random.")) and not is_generator:
        yield f"{name}()", CHANCE


@pytest.mark.parametrize("path", python_files(*PURE), ids=shown)
def test_pure_code_is_pure(path: Path) -> None:
    """The message says where what was found belongs."""
    assert list(findings(path.read_text("utf-8"), path)) == []


@pytest.mark.parametrize(
    ("line", "where"),
    [
        ("import time", CLOCK),
        ("from time import monotonic", CLOCK),
        ("now = datetime.now(UTC)", CLOCK),
        ("now = datetime.datetime.utcnow()", CLOCK),
        ("day = date.today()", CLOCK),
        ("day = datetime.fromtimestamp(5)", SURROUNDINGS),
        ("x = random.random()", CHANCE),
        ("x = random.Random()", CHANCE),
        ("from random import choice", CHANCE),
        ("rng = np.random.default_rng(5)", CHANCE),
        ("from numpy.random import default_rng", CHANCE),
        ("import secrets", CHANCE),
        ("name = uuid.uuid4()", IDS),
        ("import os.path", SURROUNDINGS),
        ("from os import environ", SURROUNDINGS),
        ("import socket", OUTSIDE),
        ("from urllib.request import urlopen", OUTSIDE),
        ("text = open('x').read()", OUTSIDE),
        ("from concurrent.futures import ThreadPoolExecutor", CONCURRENCY),
        ("async def f(): ...", CONCURRENCY),
        ("key = hash('x')", ORDER),
        ("x = np.mean(values)", ARITHMETIC),
        ("x = math.exp(1.0)", ARITHMETIC),
        ("f = numba.njit(fastmath=True)", ARITHMETIC),
    ],
)
def test_the_check_sees_what_it_is_for(line: str, where: str) -> None:
    """Each kind of impurity, by an example."""
    (found,) = findings(line, Path(__file__))
    assert found.endswith(where)


@pytest.mark.parametrize(
    "line",
    [
        "rng = random.Random(spec.seed)",
        "rng = np.random.Generator(np.random.PCG64(seed))",
        "text = datetime.fromtimestamp(seconds, UTC)",
        "name = uuid.uuid5(NAMESPACE, cause)",
        "x = math.fsum(values) / math.sqrt(2.0)",
        "from datetime import UTC, datetime",
    ],
)
def test_the_check_lets_what_is_seeded_or_given_pass(line: str) -> None:
    """Chance from the seed, time from an argument."""
    assert list(findings(line, Path(__file__))) == []
