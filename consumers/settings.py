"""This module holds the settings: environment variables ``BACKTAPE_*``, read once into one frozen object.

A wrong one is an error at start that names it. docs/settings.md is the table of all of them, made from this class.
"""

import os
from pathlib import Path
from typing import Annotated, Literal, Self

import pydantic
from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from adapters.errors import ConfigurationError
from adapters.kafka_address import KafkaAddress
from adapters.s3_options import Addressing, Encryption, S3Options
from schemas.generations import Generation
from schemas.topics import DEFAULT_PARTITIONS

PREFIX = "BACKTAPE_"


class Settings(BaseSettings):
    """What a process needs to know of its surroundings."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore", env_ignore_empty=True)

    kafka_bootstrap: str = Field("127.0.0.1:9092", description="Kafka's bootstrap servers, host:port, separated by commas")
    topic_prefix: str = Field(
        "backtape", pattern=r"^[a-zA-Z0-9._-]{1,100}$", description="what all topics, groups and transactional ids begin with"
    )
    partitions: int = Field(
        DEFAULT_PARTITIONS, ge=1, le=10_000, description="partitions of the topics; fixed when the topics are made"
    )
    replication: int = Field(1, ge=1, le=7, description="replication factor of the topics when they are made")

    database_url: str = Field(
        "postgresql://postgres@127.0.0.1:5432/backtape", description="Postgres of the read model, as the role that projects"
    )
    s3_url: str = Field("s3://backtape", description="where blobs lie: s3://bucket/prefix, or file:///folder")
    s3_endpoint: str | None = Field(
        None, pattern=r"^https?://\S+$", description="address of an S3 server that is not AWS; credentials by AWS_* as usual"
    )
    s3_region: str | None = Field(None, description="the bucket's region; not set: what the usual AWS chain says, else us-east-1")
    s3_addressing: Addressing = Field(
        "auto",
        description="where the bucket's name stands; auto: in the path beside an endpoint, in the host's name at AWS",
    )
    s3_encryption: Encryption | None = Field(
        None, description="asked for with every upload: `AES256`, `aws:kms`, `aws:kms:dsse`; not set: the bucket's default"
    )
    s3_kms_key: str | None = Field(None, description="id, alias or ARN of the KMS key; not set: the account's own key for S3")
    cache_dir: Path = Field(
        Path("~/.cache/backtape"), description="local copies of market data, shared by the processes of a machine"
    )

    simulations: int = Field(
        default_factory=lambda: os.cpu_count() or 1, ge=1, le=4_096, description="simulations that one worker runs at a time"
    )
    simulation_nice: int = Field(
        5, ge=0, le=19, description="how much simulations give way to other processes where processors are short; 0: not at all"
    )
    strategy_files: Annotated[tuple[Path, ...], NoDecode] = Field(
        (), description="Python files with strategies beside the installed ones, separated by colons"
    )
    max_queued: int = Field(
        100_000, ge=1, description="runs that may wait per partition; beyond, a submit is answered queue_full"
    )
    dedup_days: float = Field(
        30.0, gt=0, le=3_650, description="how long a finished run is remembered, and how old a command may be"
    )
    accept_lost_commands: bool = Field(
        False,
        description="go on although Kafka has deleted commands that were never read (after more than 7 days without a worker)",
    )

    archive_seconds: float = Field(
        3_600.0, ge=0, le=604_800, description="age at which the compactor archives the log's records; 0: it leaves that to a job"
    )

    web_requests_per_second: float = Field(
        50.0, gt=0, le=100_000, description="requests that one API key may make, in one web process; four seconds' worth at once"
    )
    web_upload_mb: int = Field(256, ge=1, le=65_536, description="largest upload of market data, MiB")
    web_streams: int = Field(5_000, ge=1, le=1_000_000, description="event streams that one web process serves at a time")
    web_secure_cookies: bool = Field(
        False, description="whether a browser may send the session's cookie over HTTPS only; true wherever people come by HTTPS"
    )

    session_timeout_ms: int = Field(6_000, ge=1_000, le=60_000, description="silence after which a member loses its partitions")
    http_host: str = Field("127.0.0.1", description="where a process serves /readyz and /metrics, and the web service everything")
    http_port: int = Field(0, ge=0, le=65_535, description="their port; 0: any free one, written to the log")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="the least severe log line that is written"
    )
    log_format: Literal["console", "json"] = Field("console", description="how log lines are written to stderr")

    @pydantic.field_validator("strategy_files", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(Path(part) for part in value.split(":") if part) if isinstance(value, str) else value

    @pydantic.field_validator("s3_kms_key")
    @classmethod
    def _used(cls, value: str | None, info: pydantic.ValidationInfo) -> str | None:
        """A key that nothing is encrypted with would be a false comfort."""
        if value is not None and not str(info.data.get("s3_encryption")).startswith("aws:kms"):
            raise ValueError(f"allowed only with {PREFIX}S3_ENCRYPTION aws:kms or aws:kms:dsse")
        return value

    @model_validator(mode="after")
    def _expanded(self) -> Self:
        object.__setattr__(self, "cache_dir", self.cache_dir.expanduser())
        return self

    @property
    def kafka(self) -> KafkaAddress:
        return KafkaAddress(self.kafka_bootstrap, self.topic_prefix)

    @property
    def s3(self) -> S3Options:
        return S3Options(
            endpoint=self.s3_endpoint,
            region=self.s3_region,
            addressing=self.s3_addressing,
            encryption=self.s3_encryption,
            kms_key=self.s3_kms_key,
        )

    @property
    def worker_group(self) -> str:
        return f"{self.topic_prefix}.worker"

    @property
    def compactor_group(self) -> str:
        return f"{self.topic_prefix}.compactor"

    def projector_group(self, generation: Generation) -> str:
        return f"{self.topic_prefix}.projector.{generation.name}"

    def environment(self) -> dict[str, str]:
        """Return the variables that give another process these settings."""
        values = self.model_dump(mode="json", exclude_none=True)
        values["strategy_files"] = ":".join(str(path) for path in self.strategy_files)
        return {PREFIX + name.upper(): str(value) for name, value in values.items()}


def load_settings() -> Settings:
    """Read the settings from the environment. Raises ConfigurationError naming each wrong variable."""
    try:
        return Settings()
    except pydantic.ValidationError as error:
        lines = [
            f"{PREFIX}{str(each['loc'][0]).upper()}: {each['input']!r} is not allowed: {each['msg']}"
            for each in error.errors(include_url=False)
        ]
        raise ConfigurationError("; ".join(lines)) from error
