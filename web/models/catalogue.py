"""This module defines the answers about what there is to run: strategies, presets, data sets."""

from typing import Any

from pydantic import Field

from web.models.common import Answer


class StrategyAnswer(Answer):
    """A strategy that a spec can name."""

    name: str
    summary: str
    parameters: dict[str, Any] = Field(description="JSON Schema of the parameters")
    defaults: dict[str, Any] = Field(description="every parameter that has a default")
    code_digest: str = Field(description="SHA-256 of its module's source")


class Strategies(Answer):
    """All strategies, by name."""

    items: list[StrategyAnswer]


class PresetAnswer(Answer):
    """The policies that give users of another engine the fills they know."""

    name: str
    policies: dict[str, Any]


class Presets(Answer):
    """All presets. A spec may change each policy beside them."""

    items: list[PresetAnswer]


class DataSetSummary(Answer):
    """A data set in its newest version."""

    dataset: str
    version: int
    adjusted: bool = Field(description="whether splits and dividends are already in the prices")
    symbols: list[str]
    timeframes: list[str]
    bars: int
    first_ms: int
    last_ms: int
    source: str


class DataSets(Answer):
    """All data sets, by name."""

    items: list[DataSetSummary]


class DataFileAnswer(Answer):
    """One symbol in one timeframe."""

    symbol: str
    timeframe: str
    bars: int
    first_ms: int
    last_ms: int
    bytes: int
    sha256: str


class DataSetAnswer(Answer):
    """One version of a data set."""

    dataset: str
    version: int
    versions: list[int] = Field(description="all versions that there are")
    adjusted: bool
    digest: str = Field(description="what a run records")
    source: str
    repairs: list[str] = Field(description="what was mended when it was imported")
    files: list[DataFileAnswer]
    instruments: list[dict[str, Any]]


class UploadAnswer(Answer):
    """What an upload became: a version of a data set."""

    dataset: str
    version: int
    is_new: bool = Field(description="false: the newest version says the same already")
    digest: str
    files: list[DataFileAnswer]
    repairs: list[str]
