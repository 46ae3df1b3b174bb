"""From finished chunks to the result's columns and to the summary."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from converter.predict.faults import MAX_NAMED, skipped_rows, write_list
from converter.predict.request import Summary
from converter.predict.results import Layout, columns
from converter.predict.writing import open_result

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from converter.predict.chunk import Chunk
    from converter.predict.portions import Span
    from converter.predict.request import Request, SkippedRow
    from converter.predict.results import Columns
    from converter.predict.store import PartialStore
    from converter.predict.writing import ResultFile
    from fleet_contract.release import ReleaseManifest


def layout_of(manifest: ReleaseManifest, key: str, *, all_scores: bool) -> Layout:
    """Which columns the result of a release has; `key` is what names a row."""
    return Layout(key=key, labels=manifest.labels, scores=manifest.outputs[0].shape[0], all_scores=all_scores)


class Outcome:
    """What the finished chunks make: the result file, and how often each label is in it."""

    def __init__(self, layout: Layout, file: ResultFile) -> None:
        self._layout, self._file = layout, file
        self._counts_K: NDArray[np.int64] = np.zeros(len(layout.labels), np.int64)

    def add(self, chunk: Chunk, span: Span) -> None:
        """Takes the next chunk.

        Raises:
            StorageError: the disk is full or cannot be written.
        """
        found = columns(chunk, span.start)
        self._file.add(found)
        if self._layout.labels:
            self._counts_K += np.bincount(found.label_B[~found.absent_B], minlength=len(self._counts_K))

    def finish(self) -> dict[str, int]:
        """Puts the file in its place; how many rows have each label.

        Raises:
            StorageError: the disk is full or cannot be written.
        """
        self._file.finish()
        return dict(zip(self._layout.labels, self._counts_K.tolist(), strict=True))


@contextmanager
def open_outcome(out: Path, layout: Layout, store: PartialStore) -> Iterator[Outcome]:
    """The outcome for the result `out` of the chunks in `store`, to be filled and finished in the block."""
    with open_result(out, layout, lambda: _stored_columns(store, layout), store.folder) as file:
        yield Outcome(layout, file)


def _stored_columns(store: PartialStore, layout: Layout) -> Iterator[Columns]:
    return (columns(chunk, span.start) for span, chunk in store.chunks(layout.scores))


def skipped_list(out: Path) -> Path:
    """Where the rows without a prediction are listed."""
    return out.with_name(f"{out.name}.skipped.csv")


def sum_up(
    request: Request,
    layout: Layout,
    store: PartialStore,
    *,
    labels: dict[str, int],
    resumed_rows: int,
    duration_s: float,
) -> Summary:
    """The summary; the list of skipped rows is written beside the result. `labels` counts rows by label.

    Raises:
        StorageError: the list cannot be written.
    """
    listed = skipped_list(request.out)
    skipped_count = write_list(listed, layout.key, _skipped(store, layout), store.folder)
    rows, released = store.position.row, request.released
    return Summary(
        release=f"{released.manifest.model} v{released.manifest.version}",
        release_sha256=released.release_sha256,
        variant=released.variant.id,
        out=str(request.out),
        rows=rows,
        labels=labels,
        skipped_rows=skipped_count,
        skipped=_first(_skipped(store, layout)) if skipped_count else (),
        skipped_list=str(listed) if skipped_count else "",
        resumed_rows=resumed_rows,
        duration_s=duration_s,
        rows_per_s=(rows - resumed_rows) / max(1e-9, duration_s),
    )


def _skipped(store: PartialStore, layout: Layout) -> Iterator[SkippedRow]:
    for span, chunk in store.chunks(layout.scores, only_bad=True):
        yield from skipped_rows(chunk, span)


def _first(skipped: Iterator[SkippedRow]) -> tuple[SkippedRow, ...]:
    return tuple(row for row, _ in zip(skipped, range(MAX_NAMED), strict=False))
