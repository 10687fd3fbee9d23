"""This module says of each mutant that survives why no test can find it, or why none is to."""

import re
from dataclasses import dataclass

from tests.mutation.mutants import Mutant


@dataclass(frozen=True, slots=True)
class Explanation:
    """Survivors by module and function ("" means any), and by their changed line, before and after, as regular expressions."""

    module: str
    function: str
    was: str
    became: str
    reason: str

    def holds_for(self, mutant: Mutant) -> bool:
        return (
            self.module in ("", mutant.module)
            and self.function in ("", mutant.function)
            and re.search(self.was, mutant.was) is not None
            and re.search(self.became, mutant.became) is not None
        )


# Mutants that change nothing wherever they stand: they are not run.
EQUIVALENT: tuple[Explanation, ...] = (
    Explanation(
        "",
        "",
        r"(?<!\* )\bside > 0(?![.\d])|\[.side.\] > 0(?![.\d])",
        r"side(.\])? (>= 0|> -1)(?![.\d])",
        "a side is +1 or -1, never 0",
    ),
    Explanation(
        "",
        "",
        r"(?<!\* )\bside < 0(?![.\d])|\[.side.\] < 0(?![.\d])",
        r"side(.\])? (<= 0|< 1)(?![.\d])",
        "a side is +1 or -1, never 0",
    ),
)

EXPLAINED: tuple[Explanation, ...] = (
    Explanation(
        "touch", "limit_price", "return close if side", r"side /|> 0\.0", "at equality both branches return the same price"
    ),
)
