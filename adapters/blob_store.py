"""This module opens a blob store by its URL: ``s3://bucket/prefix`` or ``file:///folder``."""

from typing import TYPE_CHECKING

from adapters.errors import ConfigurationError
from adapters.folder import FolderBlobStore, folder_of_url
from adapters.ports import BlobStore

if TYPE_CHECKING:
    from adapters.s3_options import S3Options


def open_blob_store(
    url: str,
    *,
    endpoint: str | None = None,
    region: str | None = None,
    options: "S3Options | None" = None,
    budget_seconds: float = 30.0,
) -> BlobStore:
    """Return the store that the URL names. Nothing is sent yet.

    endpoint, region : short for ``options`` with nothing but these
    options : how a bucket is reached; None: AWS, as the environment's usual chain says
    budget_seconds : how long one call may go on trying
    Raises ConfigurationError for a URL of neither form.
    """
    if url.startswith("s3://"):
        from adapters.s3 import S3Provider  # here: importing boto3 costs 0.2 s that a folder does not need
        from adapters.s3_options import S3Options

        return S3Provider.of_url(
            url, options=options or S3Options(endpoint=endpoint, region=region), budget_seconds=budget_seconds
        )
    if url.startswith("file:"):
        return FolderBlobStore(folder_of_url(url))
    raise ConfigurationError(f"blob store {url!r}: s3://bucket/prefix or file:///folder is needed")
