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
    Explanation("", "", r"core\[0\]", r"core\[ ?-1\]", "there is one record of it: its first is its last"),
)

EXPLAINED: tuple[Explanation, ...] = (
    Explanation(
        "touch", "limit_price", "return close if side", r"side /|> 0\.0", "at equality both branches return the same price"
    ),
    Explanation(
        "matching",
        "_end_step",
        r'order\["day"\] < 0',
        r'order\["day"\] (<= 0|< 1)',
        "it is asked only whether an order's day is known, and not after the step's: the step's own day is so too",
    ),
    Explanation(
        "matching", "match_close", "match_order", "False", "only market orders are filled there, and they look at no level"
    ),
    Explanation(
        "matching",
        "_is_lucky",
        r">= 1\.0",
        r"> 1\.0|>= 2\.0",
        "a throw is below 1: such an order is lucky without a word about it too",
    ),
    Explanation(
        "execution",
        "execute",
        r"carried = 0\.0",
        r"carried = -1\.0",
        "it is asked only whether it is above 0, and whether it is what was wanted, which is above 0",
    ),
    Explanation(
        "execution",
        "fill_price",
        r'"tick"\] / 2\.0',
        r'"tick"\] / 1\.0',
        "a price that was rounded past the limit lies half a tick or more above a tick: less half a tick or one, it rounds to it",
    ),
    Explanation("matching", "match_step", r"fills = -1", r"fills = - ?2", "any number that no fill has starts the loop"),
    Explanation("matching", "_match_once", r"range\(4\)", r"range\( ?5\)", "no order has the rank 4"),
)
