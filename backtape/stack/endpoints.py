"""This module holds the addresses of a running stack, and their names as environment variables."""

from __future__ import annotations

from dataclasses import dataclass

S3_BUCKET = "backtape"
DATABASE = "backtape"

# The local stack listens on 127.0.0.1 only; these keys guard nothing and are the same for everybody.
S3_ACCESS_KEY = "backtape"
S3_SECRET_KEY = "backtape-local-secret"
S3_REGION = "us-east-1"


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Say where Kafka, Postgres and S3 are.

    database_url : the owner of the database, who may create schemas, roles and databases
    s3_url : "s3://bucket" or "s3://bucket/prefix"
    """

    kafka_bootstrap: str
    database_url: str
    s3_url: str
    s3_endpoint: str
    s3_access_key: str
    s3_secret_key: str

    def environment(self) -> dict[str, str]:
        """Return the variables that a Backtape process needs in order to reach these servers."""
        return {
            "BACKTAPE_KAFKA_BOOTSTRAP": self.kafka_bootstrap,
            "BACKTAPE_DATABASE_URL": self.database_url,
            "BACKTAPE_S3_URL": self.s3_url,
            "BACKTAPE_S3_ENDPOINT": self.s3_endpoint,
            "AWS_ACCESS_KEY_ID": self.s3_access_key,
            "AWS_SECRET_ACCESS_KEY": self.s3_secret_key,
            "AWS_DEFAULT_REGION": S3_REGION,
        }
