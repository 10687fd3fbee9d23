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
    Explanation(
        "",
        "",
        r'core\["price_step"\] = step$',
        "pass",
        "the call before it has said the same step, or whoever asks for prices after it says first of which step",
    ),
    Explanation("", "", r'\["(is_done|is_triggered|has_filled|is_closed)"\] = 1', "= 2", "it is asked only whether it is 0"),
    Explanation("matching", "match_close", "^return$", "pass", "but for the policy no order is live in the step it was sent in"),
    Explanation(
        "matching",
        "match_close",
        r'== MARKET and order\["sent_step"\]',
        "== MARKET or",
        "what is left of a market order that was sent before waits for volume, and this bar's was taken when it was matched",
    ),
    Explanation("matching", "open_for", r'\["parent"\] != 0', r"!= -1", "what hangs on no order was released in no step"),
    Explanation("matching", "match_order", r"(is_open|bar_open), False\)", "True", "a maker is a limit order, and this is none"),
    Explanation("matching", "_end_immediate", "^return$", "pass", "an order that is done does not end again"),
    Explanation("matching", "match_path", "best, best_at = -1", "- ?2", "it is asked only whether it is below 0"),
    Explanation(
        "execution",
        "available_volume",
        r"left <= 0\.0",
        r"left < 0\.0|left <= -1\.0",
        "of 0 the lots are 0; below it fills bring it by the noise of a float at most, which whole_lots takes out",
    ),
    Explanation("execution", "resize", r"signed \* order", "signed /", "a side is +1 or -1: times it or by it is the same"),
    Explanation("execution", "resize", r"if quantity > 0\.0 and", r">= 0\.0|> -1\.0", "of 0 the account can carry 0"),
    Explanation(
        "execution",
        "execute",
        "wanted < open_quantity and",
        "wanted <= open_quantity and",
        "an order of which all that is open has filled is done: it has left two lines before",
    ),
    Explanation(
        "execution", "execute", r"quantity <= 0\.0", r"< 0\.0|<= -1\.0", "of 0 nothing fills, and what is left ends as it would"
    ),
    Explanation(
        "execution", "execute", "^return$", "pass", "the order is done, or nothing can fill: what follows changes neither"
    ),
    Explanation(
        "execution",
        "execute",
        "end_order.*(FILL_OR_KILL|IMMEDIATE_OR_CANCEL)",
        "pass",
        "match_order ends what lives for one bar by the same reason right after it",
    ),
    Explanation(
        "execution",
        "_permitted",
        r"symbol\[.quantity.\], 0\.0",
        r"-1\.0",
        "it is asked only whether it is above 0, where there is none",
    ),
    Explanation(
        "execution",
        "_release_children",
        r"^first_step = step \+ 1$",
        "first_step = step",
        "it is set again before it is read: a waiting order of the parent is looked at first",
    ),
    Explanation(
        "execution",
        "_release_children",
        r'child\["place"\] = parent',
        "pass",
        "find_lot says it anew before each fill, by the position",
    ),
    Explanation("valuation", "rate_at", r"max\(step, 0\)", "-1", "nobody asks for a rate before the first step"),
    Explanation(
        "costs",
        "slipped",
        r"held \* side < 0\.0",
        r"held / side|side <= 0\.0",
        "a side is +1 or -1; of no position nothing is closed",
    ),
    Explanation("trailing", "follow_bar", "step <= order", "step < order", "a step's bar is followed before its orders are sent"),
    Explanation(
        "trailing",
        "follow_bar",
        r'order\["is_done"\] or order\["is_waiting"\]',
        r'order\["is_done"\] and',
        "nobody sees the stop of an order that is done",
    ),
    Explanation("margin", "_largest_loss", "worst, worst_gain = -1", r"- ?2, 0|-1, -?1\.0", "the first position sets both"),
    Explanation("margin", "_liquidate", r'quantity"\] > 0\.0', r">= 0\.0", "there is a position to liquidate"),
    Explanation("margin", "_liquidate", r"quantity, 0\.0, step", r"-1\.0", "only a volume above 0 has a part in the price"),
    Explanation("book", "expire_order", "EXPIRED, 0", "EXPIRED, -?1", "an expiry is reported without a reason"),
    Explanation("book", "_submit", "prefetch", "", "a hint to the processor: it changes no value"),
    Explanation("book", "_submit", r'order\["follows"\] = 1', "= 2", "it is asked only whether it is 0"),
    Explanation("book", "_submit", r"signed \* order", "signed /", "a side is +1 or -1: times it or by it is the same"),
    Explanation("book", "find_order", "return -1", "- ?2", "it is asked only whether it is below 0"),
    Explanation(
        "book",
        "_modify",
        r'\["modify_step"\] = -1',
        "= - ?2|pass",
        "a step that is over, or was none: it is asked only for the step that is played, which comes once",
    ),
    Explanation("rounding", "round_money", r"> 9e7", ">= 9e7", "a whole number is rounded to itself"),
    Explanation("buying_power", "is_affordable", r"held \* side", "held /", "a side is +1 or -1: times it or by it is the same"),
    Explanation(
        "rounding",
        "whole_lots",
        r"\(nearest - count\) >",
        r"\) >= max\(1e-9, 4e-16 \*",
        "no float lies at just that distance from a whole number",
    ),
    Explanation("own_orders", "close_position", r"quantity.\] > 0\.0", r">= 0\.0", "there is a position to close"),
    Explanation(
        "own_orders", "close_position", "^book_fill", "True", "only what opens a position asks whether it is at the open"
    ),
    Explanation(
        "buying_power",
        "is_affordable",
        r"held \* side < 0\.0",
        r"side <= 0\.0",
        "without a position it lets a quantity of 0 pass",
    ),
    Explanation(
        "buying_power",
        "is_affordable",
        r"<= core.*SLACK",
        r"< core.*\+ SLACK( \*|\))",
        "the bound lies 1e-12 of the account beyond what it has, where the grid of ticks and lots puts no fill",
    ),
    Explanation(
        "book",
        "_modify",
        r'"new_quantity"\] > 0\.0 and',
        r">= 0\.0 and|> -1\.0",
        "of what is not above 0 no lots are: two lines on it is left out",
    ),
    Explanation(
        "buying_power",
        "affordable_quantity",
        "count|range|break",
        r"middle \+ middle|% 2\.0|count < low|count > high|range\( ?6[35]|low \+ [02]\.0|continue",
        "it halves at another place, or once more or less than it needs: the count that it comes to is the same",
    ),
    Explanation(
        "buying_power", "sized", r"wanted <= 0\.0", r"< 0\.0|<= -1\.0", "the callers take what is on the other side for 0"
    ),
    Explanation("buying_power", "sized", r"(wanted|change) > 0\.0", r">= 0\.0", "of 0 there is as much on either side"),
    Explanation(
        "book",
        "_cover_refusal",
        "exposure > ",
        "exposure >= ",
        "the bound lies 1e-12 of the account beyond what it has, where the grid of ticks and lots puts no order",
    ),
    Explanation("book", "_can_reduce", r"\* order", "/ order", "a side is +1 or -1: times it or by it is the same"),
)
