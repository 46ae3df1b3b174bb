"""The demo's cameras: real test images, on request seen through a knocked and fogged lens.

Legend: B batch, H height, W width, C channels.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from edgeferry.demo.inference import Answer, infer, session

if TYPE_CHECKING:
    from numpy.typing import NDArray

FRAMES_PER_REQUEST = 5
BLANK_EVERY = 8
"""Each eighth request is one blank frame: a shutter that stays closed for a moment, as real cameras do."""


def spoil(images_BHWC: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The images as a knocked, fogged camera sees them: shifted by a quarter, with 60 % contrast and a veil."""
    top = 16 if images_BHWC.max() <= 16 else 255
    shifted_BHWC = np.roll(images_BHWC, images_BHWC.shape[2] // 4, axis=2).astype(np.float32)
    veiled_BHWC: NDArray[np.uint8] = np.rint(shifted_BHWC * 0.6 + 0.3 * top).astype(np.uint8)
    return veiled_BHWC


@dataclass(slots=True)
class Tally:
    """What a camera has seen come back; counts are of requests."""

    requests: int = 0
    failed: int = 0
    invalid: int = 0
    failures: list[str] = field(default_factory=list)

    def take(self, answer: Answer) -> None:
        """Counts one answer; keeps the words of the first few failures."""
        self.requests += 1
        self.invalid += answer.status == 422
        if answer.status not in {200, 422}:
            self.failed += 1
            if len(self.failures) < 5:
                self.failures.append(f"{answer.status} {answer.error}")


class Camera:
    """A client that keeps sending frames to one device's REST API, in a thread of its own.

    Args:
        port: the device's loopback port.
        model: the model's name.
        frames_BHWC: what the camera looks at, over and over in random order.
        seed: for the order.
        pause_s: between requests.
    """

    def __init__(self, port: int, model: str, frames_BHWC: NDArray[np.uint8], *, seed: int, pause_s: float) -> None:
        self._port = port
        self._model = model
        self._clean_BHWC = frames_BHWC
        self._spoiled_BHWC = spoil(frames_BHWC)
        self._rng = np.random.default_rng(seed)
        self._pause_s = pause_s
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._tally = Tally()
        self._spoiled = False
        self._thread = threading.Thread(target=self._look, name=f"camera-{port}", daemon=True)

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def stop(self) -> None:
        """Ends and waits for the thread."""
        self._stop.set()
        self._thread.join(10.0)

    def spoil(self) -> None:
        """From now on the lens is knocked and fogged."""
        self._spoiled = True

    def take_tally(self) -> Tally:
        """The counts since the last call."""
        with self._lock:
            tally, self._tally = self._tally, Tally()
        return tally

    def _look(self) -> None:
        pool = session()
        number = 0
        while not self._stop.is_set():
            number += 1
            answer = infer(pool, self._port, self._model, self._frames(blank=number % BLANK_EVERY == 0))
            with self._lock:
                self._tally.take(answer)
            time.sleep(self._pause_s)

    def _frames(self, *, blank: bool) -> NDArray[np.uint8]:
        source_BHWC = self._spoiled_BHWC if self._spoiled else self._clean_BHWC
        if blank:
            return np.zeros_like(source_BHWC[:1])
        return source_BHWC[self._rng.integers(0, len(source_BHWC), FRAMES_PER_REQUEST)]
