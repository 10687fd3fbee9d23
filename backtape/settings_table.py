"""This module writes the table of all settings, from the class that reads them."""

import os
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from consumers.settings import PREFIX, Settings

HEAD = f"""# Settings

Every process reads these environment variables once, at its start; a wrong one ends it with an error that names the variable,
its value and what is allowed. An empty variable counts as not set. Credentials of S3 are those of every AWS client
(`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_PROFILE`, roles): [s3.md](s3.md).

This table is made from the class `Settings` by `backtape schema export docs`; all names begin with `{PREFIX}`.

| variable | default | meaning |
|---|---|---|
"""


def settings_table() -> str:
    """Return the page as Markdown."""
    return HEAD + "".join(f"{_row(name, field)}\n" for name, field in Settings.model_fields.items())


def _row(name: str, field: FieldInfo) -> str:
    meaning = field.description
    assert meaning, f"the setting {name} has a description"
    choices = _choices(field.annotation)
    if choices:
        meaning += f": {choices}"
    return f"| `{PREFIX}{name.upper()}` | {_default(field)} | {meaning.replace('|', chr(92) + '|')} |"


def _choices(annotation: Any) -> str:
    if get_origin(annotation) is not Literal:
        return ""
    return ", ".join(f"`{choice}`" for choice in get_args(annotation))


def _default(field: FieldInfo) -> str:
    if field.default_factory is not None:
        # Of this machine: the page must be the same on every one.
        assert field.get_default(call_default_factory=True, validated_data={}) == (os.cpu_count() or 1)
        return "number of processors"
    match field.default:
        case None | ():
            return ""
        case bool(value):
            return f"`{str(value).lower()}`"
        case float(value):
            return f"`{value:g}`"
        case Path() as path:
            return f"`{path}`"
        case value:
            return f"`{value}`"
