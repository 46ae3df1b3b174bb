"""Near duplicates across splits: held-out rows that are all but a training row, and so test nothing.

What counts is how close the nearest training row is, compared with the REACH-th nearest: among unrelated rows of local
dimension d the ratio to the power d is distributed as Beta(1, REACH - 1), whatever the local density. d is estimated
from the same data (ratio of the REACH-th to the middle neighbour, by its median, which near duplicates do not move). A
row is flagged when unrelated rows would be that close with probability below FALSE_RATE, and when it is at most half as
far as the others.

Images are compared by a thumbnail without its brightness and contrast, tables and series by standardized values.
Shifted windows of one series and mirrored or turned images are not seen. Neighbours are sought under a random
projection and measured without it. Rules: pure, `rng` is an argument.
Source: Facco et al., "Estimating the intrinsic dimension of datasets by a minimal neighborhood information" (2017),
equations 2 to 4, for other neighbours; Johnson and Lindenstrauss (1984).
Legend: Q held-out rows, T training rows, D numbers of a descriptor, N neighbours, nearest first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from msgspec import Struct

from trainer.data.feature_view import DataKind, kind_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trainer.data.dataset import Dataset, Indices
    from trainer.data.parts import Split

    Reals = NDArray[np.float32]

FALSE_RATE: Final = 1e-4
REACH: Final = 20
MAX_RATIO: Final = 0.5
MAX_DIMENSION: Final = 100.0
PROJECTED: Final = 64
THUMBNAIL: Final = 16
MAX_PAIRS: Final = 400_000_000
"""Pairs of rows that are compared; with more, only some held-out rows are looked at."""
BLOCK_ROWS: Final = 512
BLOCK_NUMBERS: Final = 10_000_000
"""Held-out rows are compared so many at a time that neither scores nor neighbours hold more numbers."""
MAX_LISTED: Final = 20


class NearPair(Struct, frozen=True, kw_only=True):
    """A held-out row and its training row; `ratio` is their distance over that of the REACH-th neighbour."""

    row: int
    train_row: int
    ratio: float
    same_label: bool


class NearDuplicates(Struct, frozen=True, kw_only=True):
    """What was found among `checked` of `held_out` rows; `pairs` are the closest ones.

    `expected_false` is how many are to be expected among unrelated rows. `remark` says why nothing could be told.
    """

    held_out: int
    checked: int
    count: int
    expected_false: float
    dimension: float
    pairs: tuple[NearPair, ...] = ()
    remark: str = ""

    @property
    def by_chance(self) -> int:
        """As many say nothing."""
        return max(1, round(self.expected_false))

    def __str__(self) -> str:
        """The finding as a line for people."""
        if self.remark:
            return f"near duplicates: not judged: {self.remark}"
        looked = f"{self.checked} of {self.held_out}" if self.checked < self.held_out else f"{self.checked}"
        return (
            f"near duplicates: {self.count} of {looked} held-out rows are all but a training row "
            f"(at most {self.by_chance} by chance)"
        )


@dataclass(frozen=True, slots=True)
class Neighbourhoods:
    """The nearest training rows of held-out rows, and which of them are near duplicates; all rows of the data."""

    row_Q: Indices
    train_QN: Indices
    ratio_QN: NDArray[np.float64]
    near_QN: NDArray[np.bool_]
    dimension: float


def find_near_duplicates(data: Dataset, parts: Split, *, rng: np.random.Generator) -> NearDuplicates:
    """Validation and test rows that have a near duplicate in training."""
    held_out, trained = len(parts.held_out()), len(parts.train_I)
    if trained <= REACH or held_out == 0:
        return _not_judged(held_out, f"got {trained} training rows, expected more than {REACH}")
    found = neighbourhoods(data, parts, rng=rng)
    if found.dimension > MAX_DIMENSION:
        return _not_judged(held_out, "all rows are about as far from each other")
    flagged_I = np.flatnonzero(found.near_QN[:, 0])
    closest_I = flagged_I[np.argsort(found.ratio_QN[flagged_I, 0], kind="stable")][:MAX_LISTED]
    return NearDuplicates(
        held_out=held_out,
        checked=len(found.row_Q),
        count=len(flagged_I),
        expected_false=FALSE_RATE * len(found.row_Q),
        dimension=found.dimension,
        pairs=tuple(_pair(data, found, index) for index in closest_I),
    )


def neighbourhoods(data: Dataset, parts: Split, *, rng: np.random.Generator) -> Neighbourhoods:
    """What is near the held-out rows, of which there is at least one; more than REACH rows train."""
    held_out_I = parts.held_out()
    most = max(1, MAX_PAIRS // len(parts.train_I))
    row_Q = held_out_I if len(held_out_I) <= most else np.sort(rng.choice(held_out_I, most, replace=False))
    train_TD, query_QD = _descriptors(data, parts.train_I, row_Q)
    distance_QN, neighbour_QN = _neighbours(train_TD, query_QD, rng)
    dimension = _dimension(distance_QN)
    ratio_QN = distance_QN / np.maximum(distance_QN[:, -1:], np.finfo(np.float64).tiny)
    judged = dimension <= MAX_DIMENSION
    near_QN = (ratio_QN <= MAX_RATIO) & (_chance(ratio_QN, dimension) < FALSE_RATE if judged else False)
    return Neighbourhoods(row_Q, parts.train_I[neighbour_QN], ratio_QN, near_QN, dimension)


def _pair(data: Dataset, found: Neighbourhoods, index: int) -> NearPair:
    row, train_row = int(found.row_Q[index]), int(found.train_QN[index, 0])
    return NearPair(
        row=row,
        train_row=train_row,
        ratio=float(found.ratio_QN[index, 0]),
        same_label=bool(data.labels_B[row] == data.labels_B[train_row]),
    )


def _not_judged(held_out: int, remark: str) -> NearDuplicates:
    return NearDuplicates(held_out=held_out, checked=0, count=0, expected_false=0.0, dimension=0.0, remark=remark)


def _descriptors(data: Dataset, train_I: Indices, query_I: Indices) -> tuple[Reals, Reals]:
    if kind_of(data) is DataKind.IMAGES:
        return _thumbnails(data.inputs_B[train_I]), _thumbnails(data.inputs_B[query_I])
    train_TD, query_QD = (
        data.inputs_B[rows_I].reshape(len(rows_I), -1).astype(np.float32) for rows_I in (train_I, query_I)
    )
    known_TD = np.isfinite(train_TD)
    count_D = np.maximum(1, known_TD.sum(axis=0))
    mean_D = np.where(known_TD, train_TD, 0.0).sum(axis=0, dtype=np.float64) / count_D
    centred_TD = np.where(known_TD, train_TD - mean_D, 0.0)
    std_D = np.sqrt(np.einsum("td,td->d", centred_TD, centred_TD) / count_D)
    scale_D = np.where(std_D > 0.0, 1.0 / np.maximum(std_D, np.finfo(np.float32).tiny), 0.0)
    query_QD = np.where(np.isfinite(query_QD), query_QD - mean_D, 0.0).astype(np.float32)
    return (centred_TD * scale_D).astype(np.float32), (query_QD * scale_D).astype(np.float32)


def _thumbnails(images_B: NDArray[np.generic]) -> Reals:
    """Block means of at most THUMBNAIL x THUMBNAIL, mean 0 and length 1: brightness and contrast are gone."""
    count, height, width = images_B.shape[:3]
    flat_BHWC = images_B.reshape(count, height, width, -1)
    rows_I, columns_I = (np.arange(min(size, THUMBNAIL)) * size // min(size, THUMBNAIL) for size in (height, width))
    small = [
        np.add.reduceat(np.add.reduceat(block.astype(np.float32), rows_I, axis=1), columns_I, axis=2)
        for block in np.array_split(flat_BHWC, max(1, count // BLOCK_ROWS))
    ]
    areas_HW = np.outer(np.diff([*rows_I, height]), np.diff([*columns_I, width])).astype(np.float32)
    thumbs_BD = np.nan_to_num((np.concatenate(small) / areas_HW[:, :, None]).reshape(count, -1))
    thumbs_BD -= thumbs_BD.mean(axis=1, keepdims=True)
    length_B = np.linalg.norm(thumbs_BD, axis=1, keepdims=True)
    return np.asarray(thumbs_BD / np.maximum(length_B, np.float32(1e-6)), np.float32)


def _neighbours(train_TD: Reals, query_QD: Reals, rng: np.random.Generator) -> tuple[NDArray[np.float64], Indices]:
    """Distances and places of the REACH nearest training rows of each query, by the whole descriptors."""
    small_TD, small_QD = train_TD, query_QD
    if train_TD.shape[1] > PROJECTED:
        mix_DP = rng.standard_normal((train_TD.shape[1], PROJECTED), dtype=np.float32)
        small_TD, small_QD = train_TD @ mix_DP, query_QD @ mix_DP
    squares_T = np.einsum("td,td->t", small_TD, small_TD)
    distances, places = [], []
    block_rows = max(1, min(BLOCK_ROWS, BLOCK_NUMBERS // max(REACH * train_TD.shape[1], len(train_TD))))
    for start in range(0, len(query_QD), block_rows):
        block = slice(start, start + block_rows)
        score_QT = squares_T - 2.0 * (small_QD[block] @ small_TD.T)
        near_QN = np.argpartition(score_QT, REACH - 1, axis=1)[:, :REACH]
        exact_QN = np.linalg.norm(train_TD[near_QN] - query_QD[block, None, :], axis=2).astype(np.float64)
        order_QN = np.argsort(exact_QN, axis=1, kind="stable")
        distances.append(np.take_along_axis(exact_QN, order_QN, axis=1))
        places.append(np.take_along_axis(near_QN, order_QN, axis=1))
    return np.concatenate(distances), np.concatenate(places).astype(np.int64)


def _dimension(distance_QN: NDArray[np.float64]) -> float:
    """(r_10 / r_20) to the power d has median one half; infinite where neighbours are all as far."""
    far_Q, middle_Q = distance_QN[:, REACH - 1], distance_QN[:, REACH // 2 - 1]
    used_Q = middle_Q > 0.0
    if not used_Q.any():
        return float("inf")
    growth = float(np.median(np.log(far_Q[used_Q] / middle_Q[used_Q])))
    return float(np.log(2.0)) / growth if growth > 0.0 else float("inf")


def _chance(ratio_QN: NDArray[np.float64], dimension: float) -> NDArray[np.float64]:
    """Probability that the nearest of unrelated rows is as close as that."""
    return np.asarray(-np.expm1((REACH - 1) * np.log1p(-np.minimum(ratio_QN**dimension, 1.0 - 1e-12))))
