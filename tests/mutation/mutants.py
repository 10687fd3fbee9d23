"""This module makes the mutants of a kernel module: each function of it with one small change.

The changes are cosmic-ray's operators, as far as a reader could make the mistake: a bound that is off by one, a comparison the
wrong way round, plus for minus, `and` for `or`, a number one off, a loop that does not run. Its operators that turn a plus into
a shift or a matrix product are left out: whatever runs the line finds them. One operator is ours: a statement that is missing.
"""

import ast
import functools
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator

KERNELS = Path(__file__).parents[2] / "engine" / "kernels"
OPERATORS = (
    "ReplaceBinaryOperator_Add_Sub", "ReplaceBinaryOperator_Sub_Add",
    "ReplaceBinaryOperator_Mul_Div", "ReplaceBinaryOperator_Div_Mul",
    "ReplaceComparisonOperator_Lt_LtE", "ReplaceComparisonOperator_Lt_GtE",
    "ReplaceComparisonOperator_LtE_Lt", "ReplaceComparisonOperator_LtE_Gt",
    "ReplaceComparisonOperator_Gt_GtE", "ReplaceComparisonOperator_Gt_LtE",
    "ReplaceComparisonOperator_GtE_Gt", "ReplaceComparisonOperator_GtE_Lt",
    "ReplaceComparisonOperator_Eq_NotEq", "ReplaceComparisonOperator_NotEq_Eq",
    "ReplaceUnaryOperator_Delete_USub", "ReplaceUnaryOperator_Delete_Not", "AddNot",
    "ReplaceAndWithOr", "ReplaceOrWithAnd", "ReplaceTrueWithFalse", "ReplaceFalseWithTrue",
    "ReplaceBreakWithContinue", "ReplaceContinueWithBreak", "ZeroIterationForLoop", "NumberReplacer",
)  # fmt: skip
MISSING = "MissingStatement"


@dataclass(frozen=True, slots=True)
class Mutant:
    """One function with one change.

    first_line, last_line : of the changed statement in the module; of a statement with a body only its head
    was, became : the changed line, without its indentation
    key : of the function's text and the change: it stays the same when other functions change
    """

    module: str
    function: str
    operator: str
    first_line: int
    last_line: int
    was: str
    became: str
    source: str
    key: str


@functools.cache
def mutants_of(module: str) -> list[Mutant]:
    """Return all mutants of a module in engine/kernels, in the order of its functions."""
    text = (KERNELS / f"{module}.py").read_text()
    lines = text.splitlines(keepends=True)
    found: dict[str, Mutant] = {}
    for node in ast.parse(text).body:
        if not isinstance(node, ast.FunctionDef):
            continue
        offset = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)]) - 1
        source = "".join(lines[offset : node.end_lineno])
        for operator, changed in changes(source):
            line, was, became = difference(source, changed)
            span = statement_at(node, offset + line)
            if span is None:
                continue  # in the signature, the docstring or an assertion
            key = hashlib.sha256(f"{module}\0{source}\0{changed}".encode()).hexdigest()[:24]
            found.setdefault(key, Mutant(module, node.name, operator, *span, was, became, changed, key))
    return list(found.values())


def changes(source: str) -> Iterator[tuple[str, str]]:
    """Yield each changed text of a function, by operator."""
    for name in OPERATORS:
        operator, occurrence = get_operator(f"core/{name}")(), 0
        while (changed := mutate_code(source, operator, occurrence)) is not None:
            occurrence += 1
            yield name, changed
    for changed in missing_statements(source):
        yield MISSING, changed


def missing_statements(source: str) -> Iterator[str]:
    """Yield the text without one statement: an assignment to an element, an augmented one, a call, a bare return, a continue."""
    lines = source.splitlines(keepends=True)
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Assign(targets=[ast.Subscript()]) | ast.AugAssign() | ast.Expr(value=ast.Call()) | ast.Continue():
                pass
            case ast.Return(value=None):
                pass
            case _:
                continue
        assert node.end_lineno is not None
        indentation = lines[node.lineno - 1][: node.col_offset]
        yield "".join([*lines[: node.lineno - 1], f"{indentation}pass\n", *lines[node.end_lineno :]])


def difference(source: str, changed: str) -> tuple[int, str, str]:
    """Return the number of the first line that differs, from 1, and that line before and after."""
    before, after = source.splitlines(), changed.splitlines()
    for number, (was, became) in enumerate(zip(before, after, strict=False), start=1):
        if was != became:
            return number, was.strip(), " ".join(became.split())
    raise AssertionError("a mutant differs from its source")


def statement_at(function: ast.FunctionDef, line: int) -> tuple[int, int] | None:
    """Return the lines of the innermost statement that holds a line, None if no test is to look at it."""
    if line < function.body[0].lineno:
        return None
    best: tuple[int, int] | None = None
    for node in ast.walk(function):
        if not isinstance(node, ast.stmt) or node is function:
            continue
        assert node.end_lineno is not None
        if isinstance(node, ast.Assert) and node.lineno <= line <= node.end_lineno:
            return None
        body = getattr(node, "body", None)
        last = body[0].lineno - 1 if body else node.end_lineno
        if node.lineno <= line <= last and (best is None or last - node.lineno < best[1] - best[0]):
            best = node.lineno, last
    return best
