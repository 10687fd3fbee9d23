"""This module starts moto's S3 server in this process: real HTTP, no Java."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server


@contextmanager
def moto_environment(bucket: str = "bucket") -> Iterator[str]:
    """Give the endpoint of a server with one empty bucket.

    One request at a time: moto checks If-None-Match and stores in two steps, so that its threads would let two racers win.
    """
    server = make_server("127.0.0.1", 0, DomainDispatcherApplication(create_backend_app), threaded=False)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    endpoint = f"http://127.0.0.1:{server.server_port}"
    try:
        _make_bucket(endpoint, bucket)
        yield endpoint
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _make_bucket(endpoint: str, bucket: str) -> None:
    import boto3

    client = boto3.client(
        "s3", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test"
    )
    client.create_bucket(Bucket=bucket)
    client.close()
