"""This module runs the web service as a process, and gives it what it needs to know from the settings."""

import contextlib
import gc
import socket

import structlog
import uvicorn

from adapters.errors import ConfigurationError
from consumers.settings import Settings
from schemas.topics import COMMANDS, EVENTS
from web.app import create_app
from web.config import GRACEFUL_SECONDS, MEBIBYTE, WebConfig

log = structlog.get_logger()

COLLECTED = (20_000, 20, 20)  # objects and rounds between collections; a page of 100 backtests is some 5,000 objects


def web_config(settings: Settings) -> WebConfig:
    """Return what the web service needs to know."""
    return WebConfig(
        kafka=settings.kafka,
        partitions=settings.partitions,
        database_url=settings.database_url,
        s3_url=settings.s3_url,
        s3=settings.s3,
        cache_dir=settings.cache_dir,
        environment=settings.environment(),
        groups=(
            (settings.worker_group, settings.kafka.topic(COMMANDS)),
            (settings.compactor_group, settings.kafka.topic(EVENTS)),
        ),
        requests_per_second=settings.web_requests_per_second,
        max_upload_bytes=settings.web_upload_mb * MEBIBYTE,
        max_streams=settings.web_streams,
        secure_cookies=settings.web_secure_cookies,
    )


def serve(settings: Settings) -> int:
    """Serve until told to stop, and return the process's exit code."""
    try:
        app = create_app(web_config(settings))
    except ConfigurationError as error:
        log.error("configuration", error=str(error))
        return 2
    config = uvicorn.Config(
        app,
        log_config=None,
        lifespan="on",
        loop="uvloop",
        # An event stream never ends by itself: without this a stop would wait for it for ever.
        timeout_graceful_shutdown=GRACEFUL_SECONDS,
        access_log=False,
        server_header=False,
    )
    server = uvicorn.Server(config)
    listening = socket.create_server((settings.http_host, settings.http_port), backlog=2_048)
    # What is there now stays: the collector need not go through modules and models again and again while it answers, and answers
    # are many objects that hold no cycles.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTED)
    log.info("listening", role="web", host=settings.http_host, port=listening.getsockname()[1])
    with contextlib.suppress(KeyboardInterrupt):
        server.run(sockets=[listening])
    return 0 if server.started else 1
