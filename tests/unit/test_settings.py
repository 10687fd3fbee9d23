"""Settings come from the environment once, say what is wrong by name, and go on to other processes unchanged."""

import re
from pathlib import Path

import pydantic
import pytest

from adapters.errors import ConfigurationError
from backtape.settings_table import settings_table
from consumers.settings import PREFIX, Settings, load_settings
from schemas.generations import Generation

VARIABLES = [PREFIX + name.upper() for name in Settings.model_fields]


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the machine that runs the tests."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def test_without_any_variable_the_defaults_hold() -> None:
    """A local stack on the usual ports."""
    settings = load_settings()
    assert settings.kafka.bootstrap == "127.0.0.1:9092"
    assert (settings.worker_group, settings.compactor_group) == ("backtape.worker", "backtape.compactor")
    assert settings.projector_group(Generation(3)) == "backtape.projector.v3"
    assert settings.cache_dir == Path.home() / ".cache/backtape"
    assert settings.simulations >= 1


def test_variables_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers, truths and lists of files from text."""
    monkeypatch.setenv("BACKTAPE_PARTITIONS", "16")
    monkeypatch.setenv("BACKTAPE_ACCEPT_LOST_COMMANDS", "true")
    monkeypatch.setenv("BACKTAPE_STRATEGY_FILES", "/a/one.py:/b/two.py")
    monkeypatch.setenv("BACKTAPE_TOPIC_PREFIX", "research")
    settings = load_settings()
    assert (settings.partitions, settings.accept_lost_commands) == (16, True)
    assert settings.strategy_files == (Path("/a/one.py"), Path("/b/two.py"))
    assert settings.worker_group == "research.worker"


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compose files set such."""
    monkeypatch.setenv("BACKTAPE_PARTITIONS", "")
    monkeypatch.setenv("BACKTAPE_S3_ENDPOINT", "")
    assert load_settings().partitions == 8 and load_settings().s3_endpoint is None


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("BACKTAPE_PARTITIONS", "many", "valid integer"),
        ("BACKTAPE_PARTITIONS", "0", "greater than or equal to 1"),
        ("BACKTAPE_TOPIC_PREFIX", "a b", "match pattern"),
        ("BACKTAPE_DEDUP_DAYS", "-1", "greater than 0"),
        ("BACKTAPE_DEDUP_DAYS", "nan", "Input should be"),
        ("BACKTAPE_LOG_LEVEL", "loud", "'debug', 'info', 'warning' or 'error'"),
        ("BACKTAPE_HTTP_PORT", "70000", "less than or equal to 65535"),
        ("BACKTAPE_S3_ENDPOINT", "localhost:9000", "https?"),
        ("BACKTAPE_S3_ADDRESSING", "dns", "'auto', 'path' or 'virtual'"),
        ("BACKTAPE_S3_ENCRYPTION", "kms", "'aws:kms'"),
        ("BACKTAPE_S3_KMS_KEY", "alias/x", "only with BACKTAPE_S3_ENCRYPTION aws:kms"),
        ("BACKTAPE_ACCEPT_LOST_COMMANDS", "perhaps", "valid boolean"),
    ],
)
def test_a_wrong_variable_is_named_with_its_value_and_what_is_allowed(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, says: str
) -> None:
    """At the start, not at the first use."""
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    assert str(caught.value).startswith(f"{name}: {value!r} is not allowed: ") and says in str(caught.value)


def test_all_wrong_variables_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """One start, all corrections."""
    monkeypatch.setenv("BACKTAPE_PARTITIONS", "x")
    monkeypatch.setenv("BACKTAPE_HTTP_PORT", "y")
    with pytest.raises(ConfigurationError, match=r"BACKTAPE_PARTITIONS.*BACKTAPE_HTTP_PORT"):
        load_settings()


def test_another_process_gets_the_same_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """A simulation's process reads its settings from the variables that the worker hands on."""
    changed = Settings(
        kafka_bootstrap="k:1", partitions=3, s3_endpoint="http://s", s3_region="eu-central-1", s3_addressing="virtual",
        s3_encryption="aws:kms", s3_kms_key="alias/x", strategy_files=(Path("/a.py"), Path("/b.py")),
        accept_lost_commands=True, dedup_days=1.5, log_format="json", cache_dir=Path("/c"),
    )  # fmt: skip
    for settings in (Settings(), changed):
        for name in VARIABLES:
            monkeypatch.delenv(name, raising=False)
        for name, value in settings.environment().items():
            monkeypatch.setenv(name, value)
        assert load_settings() == settings


def test_settings_do_not_change() -> None:
    """They are read once and passed down."""
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        Settings().partitions = 3  # type: ignore[misc]


def test_every_setting_stands_in_the_table_with_its_meaning() -> None:
    """docs/settings.md is compared byte for byte with the other exported documents."""
    rows = [line for line in settings_table().splitlines() if line.startswith("| `")]
    assert [row.split("`")[1] for row in rows] == VARIABLES
    assert all(re.fullmatch(r"\| `[A-Z0-9_]+` \| (`[^`]+`|number of processors)? ?\| .{10,} \|", row) for row in rows)
