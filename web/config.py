"""This module holds what the web service needs to know of its surroundings. The process that starts it fills it in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from adapters.kafka import KafkaAddress
from adapters.s3_options import S3Options

MAX_BODY_BYTES = 512 * 1024  # of a request that is not an upload: a command's limit, and its envelope
REQUEST_SECONDS = 30.0  # until an answer begins; what streams afterwards may take its time
GRACEFUL_SECONDS = 5  # event streams never end by themselves: at a stop they are cut after so long
MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class WebConfig:
    """One frozen object, built once.

    environment : variables of the processes that it starts (audits, imports)
    groups : consumer groups whose lag is shown, with the topics' names that each reads
    """

    kafka: KafkaAddress
    partitions: int
    database_url: str
    s3_url: str
    s3: S3Options
    cache_dir: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    groups: tuple[tuple[str, str], ...] = ()
    requests_per_second: float = 50.0
    max_upload_bytes: int = 256 * MEBIBYTE
    max_streams: int = 5_000
    secure_cookies: bool = False
    request_seconds: float = REQUEST_SECONDS
