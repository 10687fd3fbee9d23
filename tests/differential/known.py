"""This module names the pairs that differ because the engine itself does something that no rule of ours does, and says what."""

# (engine, rule, data): what they do differently there.
KNOWN: dict[tuple[str, str, str], str] = {
    ("vectorbt", "rsi_brackets", "GBPUSD.1m"): (
        "vectorbt takes a take profit as a fraction of the entry and multiplies it out, so its price is 1.5797600000000003 "
        "where the order says 1.57976. A bar whose high is just 1.57976 touches ours and not its. Five exits come at the same "
        "price some bars later."
    ),
}
