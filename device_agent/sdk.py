"""The model of a slot in the user's own process, always the release that the agent has committed.

    from device_agent import Model
    model = Model("main", state_dir="/var/lib/edgeferry")
    scores_K = model(image)          # one input, or a batch
    model.label(image), model.version

Rules: read-only; the release is looked up before every call and swapped between calls, never within one; when a new
one cannot be loaded, the old one goes on and the log says why. Legend: B batch, K classes.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from msgspec import Struct

from device_agent.host.hosted import HostedRelease
from device_agent.host.loading import load_engine, warm_up
from fleet_contract.codec import decode
from fleet_contract.errors import ContractError, EdgeferryError, ModelError, NotFoundError, TrustError
from fleet_contract.names import NameStr, Sha256Str, parse_name
from fleet_contract.release import Version, decode_release

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from device_agent.host.engine import Engine

DEFAULT_STATE_DIR: Final = "/var/lib/edgeferry"
_log: Final = logging.getLogger(__name__)


class CurrentRelease(Struct, frozen=True):
    """`slots/{slot}/current.json`, which the agent replaces atomically."""

    release_sha256: Sha256Str
    variant_id: NameStr
    model: NameStr
    version: Version


class Model:
    """Callable on one input or a batch; safe to share between threads, which then take turns.

    Args:
        slot: the slot's name.
        state_dir: the agent's state directory.
        threads: that the runtime may compute with.

    Raises:
        NotFoundError: the slot has no committed release.
        ModelError: its release cannot be loaded.
        TrustError: its manifest is not the one that was verified.
    """

    def __init__(self, slot: str = "main", *, state_dir: str | Path = DEFAULT_STATE_DIR, threads: int = 1) -> None:
        self._state_dir = Path(state_dir)
        self._current_path = self._state_dir / "slots" / parse_name(slot, "slot") / "current.json"
        self._slot = slot
        self._threads = threads
        self._turn = threading.Lock()
        self._stamp = self._stamp_now()
        self._release, self._engine = self._load()

    @property
    def name(self) -> str:
        """The model's name."""
        return self._release.manifest.model

    @property
    def version(self) -> int:
        """The version that answered last."""
        return self._release.manifest.version

    @property
    def variant(self) -> str:
        """The id of the variant that runs."""
        return self._release.variant_id

    @property
    def labels(self) -> tuple[str, ...]:
        """What the scores stand for, in their order."""
        return self._release.manifest.labels

    def __call__(self, raw: ArrayLike) -> NDArray[np.float32]:
        """Scores (K,) of one input, or (B, K) of a batch, of raw inputs as the manifest describes them.

        Raises:
            ContractError: another shape, or numbers that do not fit.
            NonFiniteError: an input or a score is not finite.
            ModelError: the model failed.
        """
        with self._turn:
            self._follow()
            values = np.asarray(raw)
            single = values.ndim == len(self._engine.input.shape)
            scores_BK = self._engine.infer(values[np.newaxis] if single else values).scores
        return scores_BK[0] if single else scores_BK

    def label(self, raw: ArrayLike) -> str:
        """The best label of one input.

        Raises:
            ContractError: not one input, or numbers that do not fit, or a model without labels.
            NonFiniteError: the input or a score is not finite.
            ModelError: the model failed.
        """
        if not self.labels:
            raise ContractError(
                "this release has no labels: its outputs are not class scores", hint="call the model itself"
            )
        return self.labels[int(self(np.asarray(raw)[np.newaxis])[0].argmax())]

    def _follow(self) -> None:
        """Takes the agent's newest release, if there is another."""
        stamp = self._stamp_now()
        if stamp in (self._stamp, None):
            return
        self._stamp = stamp
        try:
            self._release, self._engine = self._load()
        except EdgeferryError as error:
            _log.warning("release-not-followed slot=%s version=%d reason=%s", self._slot, self.version, error.message)

    def _stamp_now(self) -> tuple[int, int, int] | None:
        try:
            status = self._current_path.stat()
        except FileNotFoundError:
            return None
        return status.st_ino, status.st_mtime_ns, status.st_size

    def _load(self) -> tuple[HostedRelease, Engine]:
        release = self._read_release()
        engine = load_engine(release, threads=self._threads)
        warm_up(engine, release)
        return release, engine

    def _read_release(self) -> HostedRelease:
        try:
            current = decode(self._current_path.read_bytes(), CurrentRelease)
        except FileNotFoundError as error:
            raise NotFoundError(
                f"slot {self._slot} in {self._state_dir}: got no committed release, expected one",
                hint="deploy a release to this device, or name another slot or state directory",
            ) from error
        manifest_path = self._state_dir / "releases" / f"{current.release_sha256}.json"
        try:
            data = manifest_path.read_bytes()
        except OSError as error:
            raise ModelError(f"manifest of slot {self._slot}: {error}") from error
        digest = hashlib.sha256(data).hexdigest()
        if digest != current.release_sha256:
            raise TrustError(
                f"manifest of slot {self._slot}: got digest {digest[:12]}, expected {current.release_sha256[:12]}"
            )
        return HostedRelease(decode_release(data), digest, current.variant_id, self._state_dir / "blobs")
