"""Portions scored over a Ray cluster with Ray Data's `map_batches`: the same children, so the same bytes.

Data are read where the command runs and go out with the portions; only image files are read by the nodes, which must
see them under the same path. `RAY_ADDRESS` names a cluster; without it Ray starts on this machine and ends with the
run. The nodes need edgeferry with the runtime of the variant.
"""

from __future__ import annotations

import logging
import os
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from msgspec import structs

from converter.predict.children import Child
from converter.predict.portions import Portion, ScoreJob, Span
from converter.process.jobs import Failure
from converter.process.sandbox import Limits
from fleet_contract import errors
from fleet_contract.codec import decode, encode
from fleet_contract.errors import EdgeferryError, MissingExtraError, ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from converter.predict.engine import Scored

PORTIONS_PER_CORE: Final = 8
"""Portions that are sent out together, for each core of the cluster."""


@dataclass(frozen=True, slots=True)
class RayEngine:
    """See `Engine`; `workers` limits how many tasks run at once, 0 leaves it to Ray. The limits are of one child."""

    workers: int = 0
    limits: Limits = field(default_factory=Limits)

    def score(self, job: ScoreJob, portions: Iterator[Portion]) -> Scored:
        """See `Engine.score`."""
        with _session() as ray:
            artifact = ray.put(Path(job.artifact).read_bytes())
            given = {"job": encode(job), "limits": self.limits, "artifact": artifact}
            together = PORTIONS_PER_CORE * (self.workers or max(1, int(ray.cluster_resources().get("CPU", 1))))
            while window := list(islice(portions, together)):
                yield from zip(window, self._score_window(ray, window, given), strict=True)

    def _score_window(self, ray: Any, window: list[Portion], given: dict[str, Any]) -> list[bytes]:
        items = [{"span": encode(portion.span), "payload": portion.payload} for portion in window]
        rows = ray.data.from_items(items, override_num_blocks=len(items))
        scored = rows.map_batches(
            score_batch, batch_size=1, batch_format="pyarrow", fn_kwargs=given, concurrency=self.workers or None
        )
        try:
            answers = {decode(row["span"], Span).index: row for row in scored.iter_rows()}
        except ray.exceptions.RayError as error:
            raise ModelError(f"ray: {error}", hint="look at the logs of the cluster") from error
        return [_chunk(answers[portion.span.index]) for portion in window]


def score_batch(batch: Any, *, job: bytes, limits: Limits, artifact: Any) -> Any:
    """What runs on a node: a table of portions to a table of chunks, or of why there is none."""
    import pyarrow as pa

    chunks, failures = [], []
    for span, payload in zip(batch["span"].to_pylist(), batch["payload"].to_pylist(), strict=True):
        portion = Portion(decode(span, Span), payload, 0, 0.0)
        try:
            chunks.append(_child(job, limits, artifact).score(portion))
            failures.append(b"")
        except EdgeferryError as error:
            chunks.append(b"")
            failures.append(encode(Failure(family=type(error).__name__, message=error.message, hint=error.hint)))
    columns = {
        "span": batch["span"],
        "chunk": pa.array(chunks, pa.binary()),
        "failure": pa.array(failures, pa.binary()),
    }
    return pa.table(columns)


@dataclass(slots=True)
class _Loaded:
    """The child of this process of Ray, which lives as long as its job is asked for."""

    digest: str
    child: Child
    scratch: tempfile.TemporaryDirectory[str]


_LOADED: list[_Loaded] = []


def _child(job: bytes, limits: Limits, artifact: Any) -> Child:
    digest = sha256(job).hexdigest()
    if _LOADED and _LOADED[0].digest == digest:
        return _LOADED[0].child
    while _LOADED:
        _LOADED.pop().child.end()
    import ray

    scratch = tempfile.TemporaryDirectory(prefix="edgeferry-ray-")
    file = Path(scratch.name) / "artifact"
    file.write_bytes(ray.get(artifact))
    here = structs.replace(decode(job, ScoreJob), artifact=str(file))
    child = Child(here, Path(scratch.name) / "child.log", limits)
    child.ready()
    _LOADED.append(_Loaded(digest, child, scratch))
    return child


def _chunk(row: dict[str, Any]) -> bytes:
    if row["failure"]:
        failure = decode(row["failure"], Failure)
        family: type[EdgeferryError] = getattr(errors, failure.family, ModelError)
        raise family(failure.message, hint=failure.hint)
    chunk: bytes = row["chunk"]
    return chunk


@contextmanager
def _session() -> Iterator[Any]:
    """Ray, connected; ended afterwards when it was not connected before.

    Raises:
        MissingExtraError: it is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
        import ray.data
    except ModuleNotFoundError as error:
        raise MissingExtraError.for_extra("ray", error.name or "ray") from error
    ours = not ray.is_initialized()
    if ours:
        ray.init(include_dashboard=False, log_to_driver=False, logging_level="error")
    logging.getLogger("ray.data").setLevel(logging.ERROR)  # a line or more for each window
    ray.data.DataContext.get_current().enable_progress_bars = False
    try:
        yield ray
    finally:
        if ours:
            ray.shutdown()
