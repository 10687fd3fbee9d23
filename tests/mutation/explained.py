"""This module says of each mutant that survives why no test can find it, or why none is to."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Explanation:
    """Survivors of one function, by the changed line before and after (the text after may be "*": any change of this line)."""

    module: str
    function: str
    was: str
    became: str
    reason: str


EXPLAINED: tuple[Explanation, ...] = ()
