"""Portions scored over a Ray cluster with Ray Data's `map_batches`: the same children, so the same bytes.

Data are read where the command runs and go out with the portions; only image files are read by the nodes, which must
see them under the same path. `RAY_ADDRESS` names a cluster; without it Ray starts for this run alone, listens on the
loopback, and leaves nothing behind. The nodes need edgeferry with the runtime of the variant.
"""

from __future__ import annotations

import logging
import os
import tempfile
from contextlib import ExitStack, contextmanager
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
        with _session() as (ray, scratch):
            artifact = ray.put(Path(job.artifact).read_bytes())
            given = {"job": encode(job), "limits": self.limits, "artifact": artifact, "scratch": scratch}
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


def score_batch(batch: Any, *, job: bytes, limits: Limits, artifact: Any, scratch: str | None) -> Any:
    """What runs on a node: a table of portions to a table of chunks, or of why there is none."""
    import pyarrow as pa

    chunks, failures = [], []
    for span, payload in zip(batch["span"].to_pylist(), batch["payload"].to_pylist(), strict=True):
        portion = Portion(decode(span, Span), payload, 0, 0.0)
        try:
            chunks.append(_child(job, limits, artifact, scratch).score(portion))
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


def _child(job: bytes, limits: Limits, artifact: Any, parent: str | None) -> Child:
    digest = sha256(job).hexdigest()
    if _LOADED and _LOADED[0].digest == digest:
        return _LOADED[0].child
    while _LOADED:
        _LOADED.pop().child.end()
    import ray

    scratch = tempfile.TemporaryDirectory(prefix="edgeferry-ray-", dir=parent)
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
def _session() -> Iterator[tuple[Any, str | None]]:
    """Ray, connected, and the folder for its tasks' files, where it is ours.

    Raises:
        MissingExtraError: it is not installed.
    """
    with ExitStack() as stack:
        where = _own_cluster(stack) if not os.environ.get("RAY_ADDRESS") else {}
        ray = _import_ray()
        ray.init(include_dashboard=False, log_to_driver=False, logging_level="error", **where)
        stack.callback(ray.shutdown)
        logging.getLogger("ray.data").setLevel(logging.ERROR)  # a line or more for each window
        ray.data.DataContext.get_current().enable_progress_bars = False
        yield ray, where.get("_temp_dir")


def _own_cluster(stack: ExitStack) -> dict[str, str]:
    """How Ray starts a cluster for nobody else. Its own folder goes with it, after what runs there has ended."""
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # read by the import; its only effect here is the loopback
    folder = tempfile.TemporaryDirectory(prefix="edgeferry-ray-", ignore_cleanup_errors=True)
    return {"address": "local", "_temp_dir": stack.enter_context(folder)}


def _import_ray() -> Any:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    try:
        import ray
        import ray.data
    except ModuleNotFoundError as error:
        raise MissingExtraError.for_extra("ray", error.name or "ray") from error
    return ray
