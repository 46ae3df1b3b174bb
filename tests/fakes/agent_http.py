"""An HTTP server on loopback with faults on order: breaks off, drips, lies about bytes, refuses.

with HttpFake() as server:
    server.files["/a"] = b"bytes"
    server.faults.append("break")      # for the next GET only
"""

from __future__ import annotations

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType


class HttpFake:
    """Files by path, with ranges and a strong ETag; `faults` are used up one a request.

    A fault is `break` (half of the body, then the end), `lie` (other bytes of the same length), `ignore-range`,
    `wrong-range`, or a status such as `503`.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.faults: list[str] = []
        self.requests: list[tuple[str, dict[str, str]]] = []
        fake = self

        class Handler(BaseHTTPRequestHandler):
            """One request."""

            def do_GET(self) -> None:
                """Answers as the fake says."""
                fake.requests.append((self.path, dict(self.headers.items())))
                fake.answer(self)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        """Serves from now on."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stops."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Sends the file, a part of it, or the fault that is due."""
        fault = self.faults.pop(0) if self.faults else ""
        data = self.files.get(handler.path)
        if fault.isdigit() or data is None:
            handler.send_response(int(fault) if fault.isdigit() else 404)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        etag = f'"{hashlib.sha256(data).hexdigest()}"'
        start = self._start(handler, etag) if fault != "ignore-range" else 0
        body = data[start:]
        handler.send_response(206 if start else 200)
        if start:
            shown = 0 if fault == "wrong-range" else start
            handler.send_header("Content-Range", f"bytes {shown}-{len(data) - 1}/{len(data)}")
        handler.send_header("ETag", etag)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        if fault == "lie":
            body = bytes(len(body))
        handler.wfile.write(body[: len(body) // 2] if fault == "break" else body)
        handler.close_connection = True

    def _start(self, handler: BaseHTTPRequestHandler, etag: str) -> int:
        wanted = handler.headers.get("Range", "")
        if not wanted or handler.headers.get("If-Range") != etag:
            return 0
        return int(wanted.removeprefix("bytes=").removesuffix("-"))
