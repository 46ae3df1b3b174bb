"""`[preprocessing]`: transforms as a user declares them; what is left out is fitted on the training split.

An entry is a place on the last axis: a column of a table, a channel of an image or a series. `columns` names entries by
number, or by name where the data have names; left out, a transform works on all of them.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from fleet_contract.preprocessing import Difference, Grayscale, Spectrum, StandardizeEach
from fleet_contract.preprocessing_shapes import CodeCount
from fleet_contract.preprocessing_values import Positive

Place = Annotated[int, Meta(ge=0)] | Annotated[str, Meta(min_length=1)]
Places = Annotated[tuple[Place, ...], Meta(min_length=1)]


class ScaleSetting(Struct, frozen=True, kw_only=True, tag="scale", tag_field="kind"):
    """(x - offset) * factor."""

    factor: float
    offset: float = 0.0
    columns: Places | None = None


class ClipSetting(Struct, frozen=True, kw_only=True, tag="clip", tag_field="kind"):
    """Values limited to [low, high]."""

    low: float
    high: float
    columns: Places | None = None


class Log1pSetting(Struct, frozen=True, kw_only=True, tag="log1p", tag_field="kind"):
    """log(1 + x), or sign(x) * log(1 + |x|) where `signed`."""

    signed: bool = False
    columns: Places | None = None


class StandardizeSetting(Struct, frozen=True, kw_only=True, tag="standardize", tag_field="kind"):
    """(x - mean) / std per entry; what is left out is fitted."""

    mean: tuple[float, ...] | None = None
    std: tuple[Positive, ...] | None = None
    columns: Places | None = None


class RobustSetting(Struct, frozen=True, kw_only=True, tag="robust", tag_field="kind"):
    """(x - median) / (third quartile - first quartile) per entry, fitted."""

    columns: Places | None = None


class MinMaxSetting(Struct, frozen=True, kw_only=True, tag="min-max", tag_field="kind"):
    """To [0, 1] per entry, by the least and greatest value of the training split; `clip` keeps all others in it too."""

    clip: bool = False
    columns: Places | None = None


class Strategy(StrEnum):
    """What takes the place of a missing value."""

    CONSTANT = "constant"
    MEAN = "mean"
    MEDIAN = "median"


class ImputeSetting(Struct, frozen=True, kw_only=True, tag="impute", tag_field="kind"):
    """NaN, and each value in `also`, becomes `value` or the fitted mean or median of its entry.

    `indicator` appends an entry for each column: 1 where its value was missing.
    """

    strategy: Strategy
    value: float = 0.0
    also: tuple[float, ...] = ()
    indicator: bool = False
    columns: Places | None = None


class OneHotSetting(Struct, frozen=True, kw_only=True, tag="one-hot", tag_field="kind"):
    """Columns of codes 0, 1, ... as one column a code; `counts` left out comes from vocabulary and training split."""

    columns: Places
    counts: tuple[CodeCount, ...] | None = None


class SelectSetting(Struct, frozen=True, kw_only=True, tag="select", tag_field="kind"):
    """Only these entries, in this order."""

    columns: Places


FittedSetting = StandardizeSetting | RobustSetting | MinMaxSetting | ImputeSetting | OneHotSetting
DeclaredSetting = ScaleSetting | ClipSetting | Log1pSetting | SelectSetting
TransformSetting = FittedSetting | DeclaredSetting | StandardizeEach | Grayscale | Difference | Spectrum
