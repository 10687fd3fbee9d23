"""This module makes the client of boto3."""

from typing import Any

import boto3
import botocore.config
import botocore.exceptions as boto

from adapters.errors import ConfigurationError
from adapters.s3_options import S3Options

DEFAULT_REGION = "us-east-1"
CONNECT_SECONDS = 3.0
READ_SECONDS = 20.0
CONNECTIONS = 16  # of one store: the threads of one process that may talk at a time


def make_client(options: S3Options) -> Any:
    """Return a client of boto3 that tries once: who calls it tries again. Raises ConfigurationError."""
    # At AWS ``virtual``, which falls back to the path for names with dots; botocore's own ``auto`` signs for us-east-1's host.
    style = options.addressing if options.addressing != "auto" else "path" if options.endpoint else "virtual"
    settings = botocore.config.Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retries={"total_max_attempts": 1},
        max_pool_connections=CONNECTIONS,
        request_checksum_calculation="when_required",  # ours is sent as a header: servers other than AWS know it
        signature_version="s3v4",  # of presigned addresses too, which would otherwise be of version 2 beside some endpoints
        s3={"addressing_style": style},
    )
    try:
        session = boto3.session.Session(region_name=options.region)
        region = session.region_name or DEFAULT_REGION
        return session.client("s3", endpoint_url=options.endpoint, region_name=region, config=settings)
    except (ValueError, boto.BotoCoreError) as error:
        raise ConfigurationError(f"S3 endpoint {options.endpoint!r}, region {options.region!r}: {error}") from error
