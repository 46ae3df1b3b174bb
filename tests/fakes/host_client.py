"""A caller of the model host: blocking, standard library only, so that nothing retries behind a test's back."""

from __future__ import annotations

import json
import threading
import time
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any, Self

from tests.fakes.host_releases import digits

if TYPE_CHECKING:
    from types import TracebackType


def infer_body(rows: int = 1, start: int = 0) -> bytes:
    """A request for the scores of held-out digits."""
    images_B = digits().inputs[start : start + rows]
    tensor = {"name": "image", "shape": list(images_B.shape), "datatype": "UINT8", "data": images_B.ravel().tolist()}
    return json.dumps({"inputs": [tensor]}).encode()


def call(port: int, path: str, body: bytes | None = None, method: str = "") -> tuple[int, dict[str, str], Any]:
    """Status, headers (lower case) and body (decoded if JSON) of one request on its own connection."""
    connection = HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method or ("GET" if body is None else "POST"), path, body)
        response = connection.getresponse()
        data = response.read()
        headers = {name.lower(): value for name, value in response.getheaders()}
        is_json = headers.get("content-type") == "application/json"
        return response.status, headers, json.loads(data) if is_json else data.decode()
    finally:
        connection.close()


class Hammer:
    """Threads that ask for scores without a pause, on kept connections and on fresh ones; any failure is kept."""

    def __init__(self, port: int, *, kept: int = 2, fresh: int = 1, pause_s: float = 0.004) -> None:
        self.failures: list[str] = []
        self.versions: list[str] = []
        self._port = port
        self._pause_s = pause_s
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(True,)) for _ in range(kept)]
        self._threads += [threading.Thread(target=self._run, args=(False,)) for _ in range(fresh)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, keep: bool) -> None:  # noqa: FBT001 - threading passes arguments by place
        body = infer_body()
        connection = HTTPConnection("127.0.0.1", self._port, timeout=20)
        while not self._stop.is_set():
            try:
                connection.request("POST", "/v2/models/digits/infer", body)
                response = connection.getresponse()
                answer = json.loads(response.read())
                if response.status == 200:
                    self.versions.append(answer["model_version"])
                else:
                    self.failures.append(f"{response.status} {answer}")
            except OSError as error:
                self.failures.append(repr(error))
                connection.close()
            if not keep:
                connection.close()
            time.sleep(self._pause_s)
        connection.close()
