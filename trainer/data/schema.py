"""The data schema: inferred once, reviewed by a person, kept in git, enforced from then on.

Rules: pure but for reading and writing the one file. Integer inputs take the range seen; float inputs a tenth of its
width more on either side, because another sample of the same source goes a little beyond. Tables and series also have a
range for each column or channel; there the margin of floats is half the width, since long tails go further beyond and a
range is there for broken sensors and wrong units (a shifted distribution is found by `trainer.data.skew`).

Schema 1 knew no features; such files are read, checked and hashed as they always were.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
import numpy as np
from msgspec import Meta, Struct

from fleet_contract.codec import encode
from fleet_contract.errors import ConfigError, DataError
from fleet_contract.names import Sha256
from fleet_contract.release import Fraction
from fleet_contract.tensors import DType
from fleet_files.durable import write_file
from trainer.data.feature_view import DataKind, feature_view, kind_of

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from trainer.data.dataset import Dataset
    from trainer.data.feature_view import FeatureView

SCHEMA_VERSION: Final = 2
FLOAT_MARGIN: Final = 0.1
FEATURE_MARGIN: Final = 0.5


class FeatureSchema(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A column of a table or a channel of a series.

    With `categories` the values are codes 0, 1, 2, ... into them. `max_missing_fraction` is the share of rows in which
    it may be NaN or infinite; left out, the schema's own counts.
    """

    name: str
    low: float
    high: float
    categories: tuple[str, ...] = ()
    max_missing_fraction: Fraction | None = None


class DataSchema(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`schema.json`: what inputs and labels must look like.

    `low` and `high` bound every value; `max_missing_fraction` is the share of rows with NaN or infinity that may be
    dropped, features with a share of their own apart; `class_shares` follow `labels`, and no share may differ by more
    than `max_share_change`. `features` bound each column or channel in their order; images have none.
    """

    schema: Annotated[int, Meta(ge=1, le=SCHEMA_VERSION)] = SCHEMA_VERSION
    dtype: DType
    shape: tuple[Annotated[int, Meta(ge=1)], ...]
    low: float
    high: float
    max_missing_fraction: Fraction = 0.0
    labels: Annotated[tuple[str, ...], Meta(min_length=2)]
    class_shares: tuple[Fraction, ...]
    max_share_change: Fraction = 0.1
    min_rows_per_class: Annotated[int, Meta(ge=3)] = 10
    features: tuple[FeatureSchema, ...] = ()


def infer_schema(data: Dataset, *, allow_missing: bool = False) -> DataSchema:
    """The schema that describes `data`; values that are not finite count for nothing.

    Args:
        data: what to describe.
        allow_missing: let through as large a share of missing values as there is now; otherwise none.

    Raises:
        DataError: no rows, or fewer than two classes.
    """
    if len(data) == 0:
        raise DataError(f"{data.source}: got no rows, expected some")
    if len(data.label_names) < 2:
        raise DataError(f"{data.source}: got classes {list(data.label_names)}, expected at least two")
    view = feature_view(data)
    finite_VF = np.isfinite(view.values_VF)
    low_F, high_F = _ranges(view, finite_VF)
    features = _features(view, low_F, high_F) if kind_of(data) is not DataKind.IMAGES else ()
    counts_K = np.bincount(data.labels_B, minlength=len(data.label_names))
    low, high = _widen(float(low_F.min()), float(high_F.max()), data, FLOAT_MARGIN)
    schema = DataSchema(
        dtype=DType(data.inputs_B.dtype.name),
        shape=data.sample_shape,
        low=min([low, *(feature.low for feature in features)]),
        high=max([high, *(feature.high for feature in features)]),
        labels=data.label_names,
        class_shares=tuple(round(float(share), 6) for share in counts_K / max(1, len(data))),
        min_rows_per_class=max(3, min(10, int(counts_K.min()))),
        features=features,
    )
    return _with_missing(schema, view.rows_with(~finite_VF)) if allow_missing else schema


def _ranges(view: FeatureView, finite_VF: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Least and greatest finite value of each feature; 0 where there is none."""
    if view.values_VF.dtype.kind != "f":
        return view.values_VF.min(axis=0).astype(np.float64), view.values_VF.max(axis=0).astype(np.float64)
    low_F = view.values_VF.min(axis=0, where=finite_VF, initial=np.inf).astype(np.float64)
    high_F = view.values_VF.max(axis=0, where=finite_VF, initial=-np.inf).astype(np.float64)
    known_F = np.isfinite(low_F)
    return np.where(known_F, low_F, 0.0), np.where(known_F, high_F, 0.0)


def _features(view: FeatureView, low_F: NDArray[np.float64], high_F: NDArray[np.float64]) -> tuple[FeatureSchema, ...]:
    margin = FEATURE_MARGIN if view.values_VF.dtype.kind == "f" else 0.0
    return tuple(
        FeatureSchema(name=name, low=0.0, high=float(len(categories) - 1), categories=categories)
        if categories
        else FeatureSchema(name=name, low=low - margin * (high - low), high=high + margin * (high - low))
        for name, categories, low, high in zip(
            view.names, view.categories, low_F.tolist(), high_F.tolist(), strict=True
        )
    )


def _widen(low: float, high: float, data: Dataset, share: float) -> tuple[float, float]:
    margin = share * (high - low) if data.inputs_B.dtype.kind == "f" else 0.0
    return low - margin, high + margin


def _with_missing(schema: DataSchema, missing_BF: NDArray[np.bool_]) -> DataSchema:
    """Each feature with its share of missing rows; images, which have no features, with that of whole rows."""
    if not schema.features:
        share = _rounded_up(float(missing_BF.any(axis=1).mean()))
        return msgspec.structs.replace(schema, max_missing_fraction=share)
    features = tuple(
        msgspec.structs.replace(feature, max_missing_fraction=_rounded_up(share)) if share else feature
        for feature, share in zip(schema.features, missing_BF.mean(axis=0).tolist(), strict=True)
    )
    return msgspec.structs.replace(schema, features=features)


def _rounded_up(share: float) -> float:
    """To whole percents, so that a person reads it and the same share passes."""
    return min(1.0, float(np.ceil(share * 100.0 - 1e-9)) / 100.0)


def schema_sha256(schema: DataSchema) -> Sha256:
    """The hash that lineage pins; white space and key order of the file do not count."""
    return Sha256(hashlib.sha256(encode(_document(schema))).hexdigest())


def _document(schema: DataSchema) -> object:
    """Without features the document is that of schema 1, byte for byte, but for its number."""
    document = msgspec.to_builtins(schema)
    if not schema.features:
        del document["features"]
    return document


def read_schema(path: Path) -> DataSchema | None:
    """The reviewed schema at `path`; None when there is no such file yet.

    Raises:
        ConfigError: a file that is not a schema, or one of a later version of edgeferry.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    try:
        schema = msgspec.json.decode(content, type=DataSchema)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}", hint="mend it, or delete it to have it inferred again") from error
    _check(schema, path)
    return schema


def _check(schema: DataSchema, path: Path) -> None:
    if len(schema.class_shares) != len(schema.labels):
        raise ConfigError(
            f"{path}: class_shares: got {len(schema.class_shares)} numbers, expected {len(schema.labels)} as labels"
        )
    names = [feature.name for feature in schema.features]
    if len(set(names)) != len(names):
        raise ConfigError(f"{path}: features: got a name twice, expected each once")
    ranges = [("values", schema.low, schema.high)]
    ranges += [(f"feature {feature.name!r}", feature.low, feature.high) for feature in schema.features]
    for where, low, high in ranges:
        if not low <= high:
            raise ConfigError(f"{path}: {where}: got low {low:g} and high {high:g}, expected low <= high")


def write_schema(path: Path, schema: DataSchema) -> None:
    """Stores `schema` at `path` for review.

    Raises:
        StorageError: the disk is full or cannot be written.
    """
    write_file(path, schema_text(schema).encode() + b"\n")


def schema_text(schema: DataSchema) -> str:
    """The schema as it stands in its file."""
    return msgspec.json.format(encode(_document(schema)), indent=2).decode()
