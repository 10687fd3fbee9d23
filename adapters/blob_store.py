"""This module opens a blob store by its URL: ``s3://bucket/prefix`` or ``file:///folder``."""

from adapters.errors import ConfigurationError
from adapters.folder import FolderBlobStore, folder_of_url
from adapters.ports import BlobStore


def open_blob_store(
    url: str, *, endpoint: str | None = None, region: str | None = None, budget_seconds: float = 30.0
) -> BlobStore:
    """Return the store that the URL names. Nothing is sent yet.

    endpoint : of an S3 server other than AWS, for example http://127.0.0.1:9000 (then buckets are part of the path)
    region : None: what the usual AWS chain says, else us-east-1
    budget_seconds : how long one call may go on trying; credentials come from the environment's usual AWS chain
    Raises ConfigurationError for a URL of neither form.
    """
    if url.startswith("s3://"):
        from adapters.s3 import S3BlobStore  # here: importing boto3 costs 0.2 s that a folder does not need

        return S3BlobStore.of_url(url, endpoint=endpoint, region=region, budget_seconds=budget_seconds)
    if url.startswith("file:"):
        return FolderBlobStore(folder_of_url(url))
    raise ConfigurationError(f"blob store {url!r}: s3://bucket/prefix or file:///folder is needed")
