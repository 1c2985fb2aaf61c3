"""An HTTP server on loopback that hands requests on to another one, and breaks some of them on the way."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

HOP = {"connection", "transfer-encoding", "content-length", "keep-alive", "date", "server"}
"""Headers that are between two neighbours only."""


@dataclass
class Faults:
    """What is broken: the requests at every `every`-th place, of those that write.

    Parameters
    ----------
    kind
        ``500``, ``429``: answered so and not handed on; ``lost``: handed on, and the answer is lost.
    every
        0: none is broken.
    """

    kind: str = "500"
    every: int = 0
    seen: int = 0
    broken: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def hit(self) -> bool:
        with self.lock:
            self.seen += 1
            broken = bool(self.every) and self.seen % self.every == 0
            self.broken += broken
            return broken


@contextlib.contextmanager
def proxy(target: str, faults: Faults) -> Iterator[str]:
    """Serve the address of a proxy of another server."""
    there = urlsplit(target)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            breaks = self.command != "GET" and faults.hit()
            if breaks and faults.kind != "lost":
                self._answer(int(faults.kind), {"Retry-After": "0", "Content-Type": "text/plain"}, b"not now")
                return
            onward = http.client.HTTPConnection(there.hostname or "", there.port, timeout=60)
            headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP}
            with contextlib.closing(onward):
                onward.request(self.command, self.path, body, headers)
                found = onward.getresponse()
                content = found.read()
            if breaks:
                self.close_connection = True
                self.connection.close()
                return
            self._answer(found.status, {n: v for n, v in found.getheaders() if n.lower() not in HOP}, content)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_one

        def _answer(self, code: int, headers: dict[str, Any], content: bytes) -> None:
            self.send_response(code)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments: object) -> None:
            del arguments

    class Quiet(http.server.ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *arguments: object) -> None:
            del arguments

    with Quiet(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
