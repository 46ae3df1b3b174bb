"""The workflow of a batch prediction: read, score, keep, write.

    summary = predict(request, LocalEngine(workers=2), progress=progress, elapsed_s=perf_counter)

What was finished before an interruption is not done again, and the result has the same bytes as without one.
"""

from __future__ import annotations

from contextlib import closing
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Final

import numpy as np

from converter.predict.chunk import decode_chunk
from converter.predict.faults import require_none, skipped_rows
from converter.predict.portions import ScoreJob
from converter.predict.request import OnError
from converter.predict.sources.source import AS_THEY_ARE, Reading, open_source
from converter.predict.store import JobIdentity, partial_store
from converter.predict.summing_up import layout_of, open_outcome, sum_up
from converter.predict.writing import check_format
from fleet_contract.errors import ConflictError, DataError

if TYPE_CHECKING:
    from collections.abc import Callable

    from converter.predict.chunk import Chunk
    from converter.predict.engine import Engine
    from converter.predict.portions import Span
    from converter.predict.request import Progress, Request, Summary
    from converter.predict.sources.source import Source
    from converter.predict.store import PartialStore
    from converter.predict.summing_up import Outcome
    from fleet_contract.release import ReleaseManifest, Variant

CHUNK_S: Final = 2.0
"""Work of a chunk, by the latency that the release states: what a kill costs, and how often progress moves."""
MAX_CHUNK_ROWS: Final = 8192
MAX_CHUNK_BYTES: Final = 8 * 1024**2
"""Of a chunk's input as float32."""
_TOOLS: Final = ("edgeferry", "numpy", "pyarrow", "pillow", "ai-edge-litert", "tflite-runtime", "onnxruntime")


def predict(request: Request, engine: Engine, *, progress: Progress, elapsed_s: Callable[[], float]) -> Summary:
    """Scores all rows of the data and writes the result file; see `Request`.

    Raises:
        DataError: the data cannot be read, or changed meanwhile, or a row cannot be scored and that stops.
        ConflictError: the result is there already, or an unfinished run of another kind is.
        ModelError: the variant cannot be run.
        StorageError: the disk is full or cannot be written.
    """
    begun_s = elapsed_s()
    _check_out(request)
    source = open_source(request.data, reading(request))
    identity = _identity(request, source)
    with partial_store(request.out, identity, restart=request.restart) as store:
        resumed_rows = store.position.row
        progress.begin(total_rows=source.total_rows, finished_rows=resumed_rows)
        layout = layout_of(request.released.manifest, source.key, all_scores=request.all_scores)
        with open_outcome(request.out, layout, store) as outcome:
            _take_finished(request, source, store, outcome)
            _score(request, source, store, engine, progress=progress, outcome=outcome)
            _require_unchanged(request, source, identity, store)
            progress.write()
            labels = outcome.finish()
        duration_s = elapsed_s() - begun_s
        summary = sum_up(request, layout, store, labels=labels, resumed_rows=resumed_rows, duration_s=duration_s)
        store.drop()
    return summary


def chunk_rows(manifest: ReleaseManifest, variant: Variant) -> int:
    """How many rows make a chunk: about CHUNK_S of work, within the bounds of rows and bytes."""
    row_bytes = int(np.prod(manifest.inputs[0].shape, dtype=np.int64)) * 4
    by_time = CHUNK_S * 1000.0 / max(1e-3, variant.evidence.latency_p50_ms)
    return max(1, int(min(MAX_CHUNK_ROWS, MAX_CHUNK_BYTES // max(1, row_bytes), by_time)))


def _check_out(request: Request) -> None:
    check_format(request.out)
    if request.out.exists() and not request.overwrite:
        raise ConflictError(f"{request.out}: is there already", hint="name another --out, or give --overwrite")


def _identity(request: Request, source: Source) -> JobIdentity:
    released = request.released
    return JobIdentity(
        release_sha256=released.release_sha256,
        variant=released.variant.id,
        data=request.data.name,
        data_identity=source.identity(),
        columns=request.columns,
        array=request.array,
        separator=request.separator,
        rows_per_chunk=request.rows_per_chunk or chunk_rows(released.manifest, released.variant),
        tools={name: found for name in _TOOLS if (found := _version(name))},
    )


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def reading(request: Request) -> Reading:
    """How the data of a request are to be read."""
    manifest = request.released.manifest
    return Reading(
        raw=manifest.inputs[0],
        features=manifest.features or (),
        images=manifest.images or AS_THEY_ARE,
        columns=request.columns,
        array=request.array,
        separator=request.separator,
    )


def score_job(request: Request, source: Source) -> ScoreJob:
    """What those who score are told."""
    released = request.released
    return ScoreJob(
        form=source.form,
        raw=released.manifest.inputs[0],
        preprocessing=released.manifest.preprocessing,
        runtime=released.variant.runtime,
        artifact=str(released.artifact),
        variant=released.variant.id,
        input=released.variant.input,
        output=released.variant.output,
    )


def _take_finished(request: Request, source: Source, store: PartialStore, outcome: Outcome) -> None:
    """What an earlier run finished; it may have been told to skip what this one stops at."""
    for span, chunk in store.chunks(request.released.scores):
        _require_good(request, source, chunk, span)
        outcome.add(chunk, span)


def _score(
    request: Request, source: Source, store: PartialStore, engine: Engine, *, progress: Progress, outcome: Outcome
) -> None:
    """Scores what is not finished, chunk by chunk."""
    if store.position.row == source.total_rows:
        return
    portions = source.portions(store.job.rows_per_chunk, store.position)
    with closing(engine.score(score_job(request, source), portions)) as scored:
        for portion, data in scored:
            chunk = decode_chunk(data, portion.span, request.released.scores)
            store.add(portion, data, len(chunk.bad))
            progress.advance(store.position.row, portion.fraction)
            _require_good(request, source, chunk, portion.span)
            outcome.add(chunk, portion.span)


def _require_good(request: Request, source: Source, chunk: Chunk, span: Span) -> None:
    if request.on_error is OnError.STOP:
        require_none(request.data, source.key, skipped_rows(chunk, span))


def _require_unchanged(request: Request, source: Source, identity: JobIdentity, store: PartialStore) -> None:
    if source.identity() != identity.data_identity:
        store.drop()
        raise DataError(f"{request.data}: changed while it was read; what was scored is dropped")
    if not store.finished:
        raise DataError(f"{request.data}: got no row, expected some")
