"""This module describes the HTTP API as one OpenAPI document, as the service itself serves it."""

from pathlib import Path
from typing import Any

from adapters.kafka import KafkaAddress
from adapters.s3_options import S3Options


def openapi_document() -> dict[str, Any]:
    """Return the document. No server is needed: nothing is connected before a request comes."""
    from web.app import create_app
    from web.config import WebConfig

    nowhere = WebConfig(
        kafka=KafkaAddress("127.0.0.1:9092"),
        partitions=1,
        database_url="postgresql://127.0.0.1/nowhere",
        s3_url="s3://nowhere",
        s3=S3Options(),
        cache_dir=Path("nowhere"),
    )
    return create_app(nowhere).openapi()
