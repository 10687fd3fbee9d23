"""This module names the pairs that differ because the engine itself does something that no rule of ours does, and says what."""

# (engine, rule, data): what they do differently there.
KNOWN: dict[tuple[str, str, str], str] = {}
