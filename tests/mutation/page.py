"""This module writes docs/mutation.md from the verdicts."""

from collections import Counter
from pathlib import Path

from tests.mutation.explained import EQUIVALENT, Explanation
from tests.mutation.mutants import Mutant
from tests.mutation.runner import KILLED, NOT_REACHED, SURVIVED, TIMED_OUT, Verdict

HEAD = """# Mutation testing of matching and accounting

A test suite is as good as the mistakes that it finds. `make mutation` makes small mistakes on purpose, one at a time, in the
compiled kernels that match orders and keep the books: a comparison the other way round or off by one, plus for minus, `and` for
`or`, a number one off, a loop that does not run (operators of [cosmic-ray](https://cosmic-ray.readthedocs.io)), a missing
statement. Against each of these mutants it runs the tests that reach the changed statement, without compilation, until
one fails: the conformance cases, the golden logs, the engine's tests and its properties (with fewer examples than usual).

- killed: a test failed. timed out: a test ran ten times as long as it does; the mutant never ends.
- survived: every test that reaches the statement passed. Below, those that were looked at have their reason; the rest follows.
- decided: the others were not tried yet, or lived through a first look (`--budget`) and wait for the rest of the tests.
- score: (killed + timed out) of all but the explained ones; given once all of a module's mutants are decided.

It goes on where it was stopped (`make mutation ARGS='--seconds 600'` stops by itself), and after a change of a kernel it runs the
mutants of the changed functions only. `ARGS=--again-survivors` tries the survivors once more, against tests that were added.

"""


def write_page(
    page: Path, mutants: list[Mutant], verdicts: dict[str, Verdict], explained: tuple[Explanation, ...]
) -> list[Mutant]:
    """Write the page; return the survivors that are not explained."""
    modules = list(dict.fromkeys(mutant.module for mutant in mutants))
    counts: dict[str, Counter[str]] = {module: Counter() for module in modules}
    reasons: dict[tuple[str, str, str], list[Mutant]] = {}
    unexplained = []
    for mutant in mutants:
        verdict = verdicts.get(mutant.key)
        state = "" if verdict is None else verdict.state
        if any(one.holds_for(mutant) for one in EQUIVALENT):
            state = SURVIVED
        counts[mutant.module]["all"] += 1
        counts[mutant.module][SURVIVED if state == NOT_REACHED else state] += 1
        if state not in (SURVIVED, NOT_REACHED):
            continue
        match = next((one for one in explained if one.holds_for(mutant)), None)
        if match is None:
            unexplained.append(mutant)
            continue
        counts[mutant.module]["explained"] += 1
        reasons.setdefault((mutant.module, mutant.function, match.reason), []).append(mutant)
    total = sum((counts[module] for module in modules), Counter())
    rows = [row(f"`{module}`", counts[module]) for module in modules] + [row("**all**", total)]
    text = HEAD + "| module | mutants | decided | killed | timed out | survived | of these explained | score |\n"
    text += "|---|--:|--:|--:|--:|--:|--:|--:|\n" + "\n".join(rows) + "\n"
    text += "\n## What survives, and why\n\n| where | change | why |\n|---|---|---|\n"
    for (module, function, reason), found in reasons.items():
        changes = "<br>".join(f"{code(mutant.was)} → {code(mutant.became)}" for mutant in found)
        text += f"| `{module}.{function}` | {changes} | {reason} |\n"
    if unexplained:
        text += "\n## What survives without a reason yet\n\n"
        text += (
            "Each is a test that is missing, or a reason that nobody has written down. Some lived before the newest tests.\n\n"
        )
        for module in modules:
            open_ones = Counter(mutant.function for mutant in unexplained if mutant.module == module)
            if open_ones:
                text += f"- `{module}`: " + ", ".join(f"`{name}` {count}" for name, count in open_ones.items()) + "\n"
    page.write_text(text)
    return unexplained


def row(name: str, count: Counter[str]) -> str:
    run = count[KILLED] + count[TIMED_OUT] + count[SURVIVED]
    found, meant = count[KILLED] + count[TIMED_OUT], run - count["explained"]
    score = f"{100.0 * found / meant:.1f} %" if meant and run == count["all"] else "–"
    cells = [name, count["all"], run, count[KILLED], count[TIMED_OUT], count[SURVIVED], count["explained"], score]
    return "| " + " | ".join(f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in cells) + " |"


def code(text: str) -> str:
    escaped = text.replace("|", "\\|")
    return f"`{escaped}`"
