"""A client of a device's REST API (Open Inference Protocol V2), as a user's application would be."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np
import urllib3

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


class Answer(NamedTuple):
    """An inference's outcome: HTTP status (0 when the connection broke), predicted labels, the error's words."""

    status: int
    labels: tuple[str, ...]
    error: str


class _Parameters(msgspec.Struct):
    label: tuple[str, ...] = ()


class _Response(msgspec.Struct):
    parameters: _Parameters = msgspec.field(default_factory=_Parameters)


def session() -> urllib3.PoolManager:
    """A client that keeps connections alive and never retries: a lost request must show."""
    return urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(connect=10.0, read=30.0))


def infer(pool: urllib3.PoolManager, port: int, model: str, images_BHWC: NDArray[np.generic]) -> Answer:
    """Sends a batch to the device whose API is on `port`."""
    body = msgspec.json.encode(
        {
            "inputs": [
                {
                    "name": "input",
                    "datatype": images_BHWC.dtype.name.upper(),
                    "shape": list(images_BHWC.shape),
                    "data": images_BHWC.ravel().tolist(),
                }
            ]
        }
    )
    try:
        response = pool.request(
            "POST",
            f"http://127.0.0.1:{port}/v2/models/{model}/infer",
            body=body,
            headers={"Content-Type": "application/json"},
        )
    except urllib3.exceptions.HTTPError as error:
        return Answer(0, (), repr(error))
    if response.status != 200:
        return Answer(response.status, (), response.data[:200].decode(errors="replace"))
    return Answer(200, msgspec.json.decode(response.data, type=_Response).parameters.label, "")


def accuracy(port: int, model: str, images_BHWC: NDArray[np.generic], labels: Sequence[str]) -> float:
    """The fraction of `images_BHWC` that the device labels right; a request that fails counts as wrong."""
    pool = session()
    right = 0
    for start in range(0, len(images_BHWC), 50):
        answer = infer(pool, port, model, images_BHWC[start : start + 50])
        right += sum(got == true for got, true in zip(answer.labels, labels[start : start + 50], strict=False))
    return right / len(images_BHWC)
