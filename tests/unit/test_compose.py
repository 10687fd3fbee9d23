"""docker-compose.yml and the Dockerfile agree with the code, as far as can be checked without a Docker engine."""

from __future__ import annotations

import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from compose_spec.models import ComposeSpecification

from consumers.settings import PREFIX, Settings

CHECKOUT = Path(__file__).resolve().parent.parent.parent
OURS = ("migrate", "worker", "projector", "compactor", "web")

# The part of the Compose specification that this project uses: a key outside of it is a typing error, or belongs in this table.
SERVICE_KEYS: dict[str, type | tuple[type, ...]] = {
    "build": (str, dict),
    "image": str,
    "init": bool,
    "restart": str,
    "stop_grace_period": str,
    "environment": dict,
    "volumes": list,
    "depends_on": dict,
    "healthcheck": dict,
    "ports": list,
    "command": list,
}
HEALTHCHECK_KEYS = {"test", "interval", "timeout", "retries", "start_period", "disable"}
CONDITIONS = {"service_started", "service_healthy", "service_completed_successfully"}
RESTARTS = {"no", "always", "on-failure", "unless-stopped"}
DURATION = re.compile(r"(\d+(us|ms|s|m|h))+")


@cache
def compose() -> dict[str, Any]:
    """Read the compose file, anchors merged."""
    parsed = yaml.safe_load((CHECKOUT / "docker-compose.yml").read_text())
    assert isinstance(parsed, dict)
    return parsed


def services() -> dict[str, Any]:
    found: dict[str, Any] = compose()["services"]
    return found


@pytest.mark.parametrize("name", sorted(services()))
def test_service_has_the_shape_of_the_specification(name: str) -> None:
    """Keys, types, durations and enumerations are those of the Compose specification."""
    service = services()[name]
    for key, value in service.items():
        assert key in SERVICE_KEYS, f"{key} is not a key this project knows"
        assert isinstance(value, SERVICE_KEYS[key]), key
    assert service["restart"] in RESTARTS
    assert all(isinstance(value, str) for value in service.get("environment", {}).values()), "quote it: YAML changes its type"
    assert all(isinstance(word, str) for word in service.get("command", []))
    check = service.get("healthcheck", {})
    assert set(check) <= HEALTHCHECK_KEYS
    for key in ("interval", "timeout", "start_period"):
        assert DURATION.fullmatch(check.get(key, "1s")), key
    if "test" in check:
        assert check["test"][0] in ("CMD", "CMD-SHELL")


def test_file_is_valid_by_the_specification() -> None:
    """A parser of the Compose specification accepts the file. (Merged first: that parser knows no YAML merge keys.)"""
    parsed = ComposeSpecification.model_validate(compose())
    assert set(parsed.services or {}) == set(services())


def test_dependencies_and_volumes_exist_and_conditions_can_come_true() -> None:
    """Every name refers to something; who waits for health waits for a service that has a health check."""
    for name, service in services().items():
        for needed, how in service.get("depends_on", {}).items():
            assert needed in services(), f"{name} waits for {needed}"
            assert how["condition"] in CONDITIONS
            if how["condition"] == "service_healthy":
                assert "test" in services()[needed]["healthcheck"]
            if how["condition"] == "service_completed_successfully":
                assert services()[needed]["restart"] in ("no", "on-failure"), f"{needed} would never be completed"
        for volume in service.get("volumes", []):
            assert volume.partition(":")[0] in compose()["volumes"]


def test_images_are_pinned() -> None:
    """No service follows a moving tag."""
    for name, service in services().items():
        tag = service["image"].partition(":")[2]
        assert tag and tag != "latest", name


@pytest.mark.parametrize("name", OURS)
def test_every_variable_is_a_setting(name: str) -> None:
    """A variable that the settings do not know would be ignored in silence."""
    for variable, value in services()[name]["environment"].items():
        if variable.startswith(PREFIX):
            field = variable.removeprefix(PREFIX).lower()
            assert field in Settings.model_fields, variable
            Settings.model_validate({field: value})


@pytest.mark.parametrize("name", OURS)
def test_command_is_one_that_the_command_line_has(name: str) -> None:
    """`backtape … --help` answers for each command in the file."""
    program, *words = services()[name]["command"]
    assert program == "backtape"
    script = "import sys; sys.argv[0] = 'backtape'; from backtape.cli import main; sys.exit(main())"
    done = subprocess.run([sys.executable, "-c", script, *words, "--help"], capture_output=True, text=True, cwd=CHECKOUT)
    assert done.returncode == 0, done.stderr


def test_workers_can_be_scaled() -> None:
    """Several containers of one service can't share a name or a host port."""
    for name in ("worker", "projector", "compactor"):
        assert not {"container_name", "ports"} & set(services()[name])


def test_image_is_pinned_multi_stage_and_not_root() -> None:
    """The image is what the documentation says: two stages, the constraints, a user without rights."""
    lines = (CHECKOUT / "Dockerfile").read_text().splitlines()
    stages = [line for line in lines if line.startswith("FROM ")]
    assert stages == ["FROM python:3.11-slim AS builder", "FROM python:3.11-slim"]
    users = [line.split()[1] for line in lines if line.startswith("USER ")]
    assert users and users[-1] not in ("root", "0")
    installs = [line for line in lines if "pip install" in line]
    assert installs and all("-c constraints.txt" in line for line in installs)
    for copied in ("pyproject.toml", "constraints.txt"):
        assert (CHECKOUT / copied).exists()
