"""From finished chunks to the result's columns and to the summary."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from converter.predict.faults import MAX_NAMED, skipped_rows, write_list
from converter.predict.request import Summary
from converter.predict.results import Layout, columns

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from converter.predict.request import Request, SkippedRow
    from converter.predict.results import Columns
    from converter.predict.store import PartialStore
    from fleet_contract.release import ReleaseManifest


def layout_of(manifest: ReleaseManifest, key: str, *, all_scores: bool) -> Layout:
    """Which columns the result of a release has; `key` is what names a row."""
    return Layout(key=key, labels=manifest.labels, scores=manifest.outputs[0].shape[0], all_scores=all_scores)


def result_columns(store: PartialStore, layout: Layout) -> Iterator[Columns]:
    """The columns of each chunk in order."""
    return (columns(chunk, span.start) for span, chunk in store.chunks(layout.scores))


def skipped_list(out: Path) -> Path:
    """Where the rows without a prediction are listed."""
    return out.with_name(f"{out.name}.skipped.csv")


def sum_up(request: Request, layout: Layout, store: PartialStore, *, resumed_rows: int, duration_s: float) -> Summary:
    """The summary; the list of skipped rows is written beside the result.

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
        labels=_label_counts(store, layout),
        skipped_rows=skipped_count,
        skipped=_first(_skipped(store, layout)) if skipped_count else (),
        skipped_list=str(listed) if skipped_count else "",
        resumed_rows=resumed_rows,
        duration_s=duration_s,
        rows_per_s=(rows - resumed_rows) / max(1e-9, duration_s),
    )


def _skipped(store: PartialStore, layout: Layout) -> Iterator[SkippedRow]:
    for span, chunk in store.chunks(layout.scores):
        yield from skipped_rows(chunk, span)


def _first(skipped: Iterator[SkippedRow]) -> tuple[SkippedRow, ...]:
    return tuple(row for row, _ in zip(skipped, range(MAX_NAMED), strict=False))


def _label_counts(store: PartialStore, layout: Layout) -> dict[str, int]:
    if not layout.labels:
        return {}
    counts_K = np.zeros(len(layout.labels), np.int64)
    for each in result_columns(store, layout):
        counts_K += np.bincount(each.label_B[~each.absent_B], minlength=len(counts_K))
    return dict(zip(layout.labels, counts_K.tolist(), strict=True))
