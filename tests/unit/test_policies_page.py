"""The page about what each policy changes says what the engine does now."""

from benchmarks.policies import PAGE, page, variants


def test_the_page_is_current() -> None:
    """To renew: ``python -m benchmarks.policies``, and look at the picture."""
    assert page(list(variants())) == PAGE.read_text(encoding="utf-8")
