"""This module says how a bucket is reached, and how objects are kept in it.

Credentials are not among the options: they are found as every AWS client finds them (environment, profile, web identity, the
role of a container or of a machine), and renewed when they expire.
"""

from dataclasses import dataclass
from typing import Literal

from adapters.errors import ConfigurationError

Addressing = Literal["auto", "path", "virtual"]
Encryption = Literal["AES256", "aws:kms", "aws:kms:dsse"]


@dataclass(frozen=True, slots=True)
class S3Options:
    """How a bucket is reached.

    endpoint : of a server other than AWS, for example https://minio.example:9000
    region : None: what the usual AWS chain says, else us-east-1
    addressing : where the bucket's name stands; ``auto``: in the path beside an endpoint, in the host's name at AWS
    encryption : asked for with every upload; None: the bucket's default
    kms_key : id, alias or ARN of the key; None: the account's own key for S3. Only with an encryption of KMS
    """

    endpoint: str | None = None
    region: str | None = None
    addressing: Addressing = "auto"
    encryption: Encryption | None = None
    kms_key: str | None = None

    def __post_init__(self) -> None:
        if self.kms_key is not None and self.encryption not in ("aws:kms", "aws:kms:dsse"):
            raise ConfigurationError(
                f"S3 KMS key {self.kms_key!r}: allowed only with encryption aws:kms or aws:kms:dsse, not {self.encryption}"
            )

    @property
    def upload_arguments(self) -> dict[str, str]:
        """Return what every request that makes an object carries."""
        arguments: dict[str, str] = {}
        if self.encryption is not None:
            arguments["ServerSideEncryption"] = self.encryption
        if self.kms_key is not None:
            arguments["SSEKMSKeyId"] = self.kms_key
        return arguments
