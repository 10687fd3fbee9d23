"""This module starts moto's S3 server in this process: real HTTP, no Java."""

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server


@contextmanager
def moto_environment(bucket: str = "bucket", *, certificate: Path | None = None) -> Iterator[str]:
    """Give the endpoint of a server with one empty bucket; with a certificate (PEM, with its key) by TLS.

    One request at a time: moto checks If-None-Match and stores in two steps, so that its threads would let two racers win.
    """
    context = None
    if certificate is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
    application = DomainDispatcherApplication(create_backend_app)
    server = make_server("127.0.0.1", 0, application, threaded=False, ssl_context=context)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    endpoint = f"http{'s' if certificate else ''}://127.0.0.1:{server.server_port}"
    try:
        _make_bucket(endpoint, bucket, certificate)
        yield endpoint
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _make_bucket(endpoint: str, bucket: str, certificate: Path | None) -> None:
    import boto3

    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        verify=None if certificate is None else str(certificate),
    )
    client.create_bucket(Bucket=bucket)
    client.close()
