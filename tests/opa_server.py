"""An OPA server as production runs it: the real engine behind its Data API, serving the bundle.

Documentation: https://www.openpolicyagent.org/docs/rest-api#get-a-document-with-input. Where this process cannot hold
the engine, the tests that need it are skipped (tests/opa-requirements.txt).
"""

import gzip
import importlib
import io
import json
import tarfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


def engine_of(bundle: bytes) -> tuple[Any, str]:
    """The engine with what the bundle holds, and the bundle's revision."""
    engine = importlib.import_module("opa_bindings").OpaEngine()
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(bundle))) as tar:
        contents = {member.name: file.read() for member in tar if (file := tar.extractfile(member))}
    manifest = json.loads(contents.pop(".manifest"))
    data = json.loads(contents.pop("data.json"))
    assert set(data) <= set(manifest["roots"]), "OPA refuses a bundle with data outside of its roots"
    for name, text in contents.items():
        package = text.decode().partition("package ")[2].split()[0]
        assert package.split(".")[0] in manifest["roots"], "OPA refuses a bundle with rules outside of its roots"
        engine.add_policy(name, text.decode())
    engine.add_data(data)
    return engine, str(manifest["revision"])


@dataclass
class Server:
    """What the server does; a test may break it.

    Attributes:
        answer: status, content type and body to give instead of a decision.
        delay: seconds before the answer.
        drip: seconds between two bytes of the answer.
        token: bearer token that a caller must have (`--authentication=token`); empty: everybody may ask.
        decisions: its decision log.
        callers: authorization header of every question.
    """

    engine: Any
    revision: str
    address: str = ""
    answer: tuple[int, str, bytes] | None = None
    delay: float = 0.0
    drip: float = 0.0
    token: str = ""
    decisions: list[dict[str, Any]] = field(default_factory=list)
    callers: list[str] = field(default_factory=list)

    def reply(self, path: str, authorization: str, content: bytes) -> tuple[int, dict[str, Any]]:
        """Answer a question as OPA does."""
        self.callers.append(authorization)
        if self.token and authorization != f"Bearer {self.token}":
            message = "request rejected by administrative policy"
            return 401, {"code": "unauthorized", "message": message}
        rule = path.removeprefix("/v1/data/").replace("/", ".")
        body: dict[str, Any] = {"decision_id": f"decision-{len(self.decisions) + 1}"}
        body["provenance"] = {"version": "1.9.0", "bundles": {"appstore": {"revision": self.revision}}}
        module = importlib.import_module("opa_bindings.engine")
        try:
            body["result"] = self.engine.eval_document(rule, json.loads(content)["input"])
        except module.OpaUndefinedError:
            pass
        except module.OpaError as error:
            return 500, {"code": "internal_error", "message": str(error)}
        self.decisions.append({"decision_id": body["decision_id"], "path": rule})
        return 200, body


def _handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            return

        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            path = self.path.partition("?")[0]
            status, document = server.reply(path, self.headers.get("Authorization", ""), content)
            kind, body = "application/json", json.dumps(document).encode()
            if server.answer:
                status, kind, body = server.answer
            time.sleep(server.delay)
            try:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                for start in range(0, len(body), 16 if server.drip else len(body) or 1):
                    self.wfile.write(body[start : start + (16 if server.drip else len(body))])
                    time.sleep(server.drip)
            except OSError:
                return  # the caller has given up

    return Handler


@contextmanager
def serving(bundle: bytes) -> Iterator[Server]:
    """A server with a bundle, on a free port."""
    server = Server(*engine_of(bundle))
    http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(server))
    server.address = f"http://127.0.0.1:{http.server_port}"
    thread = threading.Thread(target=http.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()
