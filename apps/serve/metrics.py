"""What the server counts and times, in the text format of Prometheus."""

import time

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.process_collector import ProcessCollector

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
TEXTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """The metrics of one server. prometheus_client's default registry is shared by a process, so it is not used."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self):
        self.registry = CollectorRegistry()
        ours = {"namespace": "classifier", "registry": self.registry}
        self.requests = Counter("requests", "Requests that were answered.", ["path", "status"], **ours)
        self.seconds = Histogram("request_seconds", "Time of a request.", ["path"], buckets=SECONDS, **ours)
        self.batch_texts = Histogram("batch_texts", "Texts scored in one call.", buckets=TEXTS, **ours)
        self.waiting_texts = Gauge("waiting_texts", "Texts that wait to be scored.", **ours)
        ProcessCollector(registry=self.registry)  # memory and processor time (Linux)

    def text(self) -> bytes:
        """Return all metrics."""
        return generate_latest(self.registry)


class Measured:
    """An ASGI middleware that counts and times the requests by path.

    Requests of no known path, and those of /openapi.json, have the path -.
    """

    def __init__(self, app, metrics: Metrics):
        self.app, self.metrics = app, metrics

    async def __call__(self, scope, receive, send) -> None:
        """Pass a request on, and note how long it takes and the status of its response."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        started, status = time.perf_counter(), 500  # the status of an error that no handler knows

        async def noting_the_status(message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self.app(scope, receive, noting_the_status)
        finally:
            path = getattr(scope.get("route"), "path", "-")
            self.metrics.requests.labels(path, status).inc()
            self.metrics.seconds.labels(path).observe(time.perf_counter() - started)
