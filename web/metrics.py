"""This module counts what the service does, for Prometheus."""

from collections.abc import Callable

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """One registry of this process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "backtape_http_requests", "requests answered", ("method", "route", "status"), registry=self._registry
        )
        self.seconds = Histogram(
            "backtape_http_seconds", "time until an answer began", ("method", "route"), buckets=SECONDS, registry=self._registry
        )

    def watch(self, name: str, meaning: str, read: Callable[[], float]) -> None:
        """Export a number that is read when it is asked for."""
        Gauge(f"backtape_{name}", meaning, registry=self._registry).set_function(read)

    def export(self) -> tuple[bytes, str]:
        """Return the figures and their media type."""
        return generate_latest(self._registry), CONTENT_TYPE_LATEST
