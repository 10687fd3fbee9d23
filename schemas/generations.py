"""This module names the generations of the read model: each build of its tables has a schema and a consumer group of its own.

``version`` is the code's ``PROJECTION_VERSION``: what the tables look like. ``number`` counts the builds of one version, so that
the same version can be built afresh beside the live one. Names follow from both and from nothing else::

    version 1, number 1    v1       backtape_v1       backtape.projector.v1
    version 1, number 2    v1_2     backtape_v1_2     backtape.projector.v1_2

Which generation people read is said by the views in schema ``backtape``, and by ``backtape_control.generations``.
"""

import re
from dataclasses import dataclass

SCHEMA_PREFIX = "backtape_"

_NAME = re.compile(r"v([1-9][0-9]{0,5})(?:_([1-9][0-9]{0,5}))?")


@dataclass(frozen=True, slots=True, order=True)
class Generation:
    """One build of the read model's tables."""

    version: int
    number: int = 1

    @property
    def name(self) -> str:
        return f"v{self.version}" if self.number == 1 else f"v{self.version}_{self.number}"

    @property
    def schema(self) -> str:
        return SCHEMA_PREFIX + self.name

    def __str__(self) -> str:
        return self.name


def parse_generation(name: str) -> Generation:
    """Return the generation of a name such as ``v1`` or ``v1_2``. Raises ValueError."""
    found = _NAME.fullmatch(name)
    if found is None or found[2] == "1":
        raise ValueError(f"{name!r} is no generation of the read model: v1, v1_2, ... are")
    return Generation(int(found[1]), int(found[2] or 1))
