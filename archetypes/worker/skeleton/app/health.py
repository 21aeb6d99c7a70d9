"""Liveness and readiness over HTTP, for the probes of the chart and for people.

`/health` depends on nothing but the loop: a queue that is away must not make Kubernetes restart every replica at once.
"""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from app.consumer import Consumer
from app.settings import Settings


def answer(path: str, settings: Settings, consumer: Consumer) -> tuple[int, dict[str, object]]:
    """Status and document of a path."""
    who = {"application": settings.application, "version": settings.version, "digest": settings.digest}
    if path == "/health":
        status = "healthy" if consumer.turning else "stuck"
        return (200 if consumer.turning else 503), {"status": status, **who}
    if path == "/health/ready":
        state = f"unavailable: {consumer.problem}" if consumer.problem else "available"
        status = "degraded" if consumer.problem else "ready"
        return (503 if consumer.problem else 200), {"status": status, **who, "dependencies": {"queue": state}}
    return 404, {"status": "not found"}


def server(settings: Settings, consumer: Consumer, port: int) -> ThreadingHTTPServer:
    """The server; whoever calls this starts and ends it."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, document = answer(self.path, settings, consumer)
            content = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Probes are not worth a line each."""

    return ThreadingHTTPServer(("0.0.0.0", port), Handler)  # noqa: S104 (the pod's own address; see the network policy)
