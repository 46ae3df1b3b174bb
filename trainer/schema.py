"""The data schema: inferred once, reviewed by a person, kept in git, enforced from then on.

Rules: pure but for reading and writing the one file. Integer inputs take the range seen; float inputs a tenth of its
width more on either side, because another sample of the same source goes a little beyond.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Annotated

import msgspec
import numpy as np
from msgspec import Meta, Struct

from fleet_contract.codec import encode
from fleet_contract.errors import ConfigError
from fleet_contract.names import Sha256
from fleet_contract.release import Fraction
from fleet_contract.tensors import DType
from fleet_files.durable import write_file

if TYPE_CHECKING:
    from pathlib import Path

    from trainer.dataset import Dataset

FLOAT_MARGIN = 0.1


class DataSchema(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`schema.json`: what inputs and labels must look like.

    `low` and `high` bound every value; `max_missing_fraction` is the share of rows with NaN or infinity that may be
    dropped; `class_shares` follow `labels`, and no share may differ by more than `max_share_change`.
    """

    schema: int = 1
    dtype: DType
    shape: tuple[Annotated[int, Meta(ge=1)], ...]
    low: float
    high: float
    max_missing_fraction: Fraction = 0.0
    labels: Annotated[tuple[str, ...], Meta(min_length=2)]
    class_shares: tuple[Fraction, ...]
    max_share_change: Fraction = 0.1
    min_rows_per_class: Annotated[int, Meta(ge=3)] = 10


def infer_schema(data: Dataset) -> DataSchema:
    """The schema that describes `data`; values that are not finite count for nothing.

    Raises:
        ConfigError: fewer than two classes.
    """
    if len(data.label_names) < 2:
        raise ConfigError(f"{data.source}: got classes {list(data.label_names)}, expected at least two")
    low, high = _range(data)
    counts_K = np.bincount(data.labels_B, minlength=len(data.label_names))
    return DataSchema(
        dtype=DType(data.inputs_B.dtype.name),
        shape=data.sample_shape,
        low=low,
        high=high,
        labels=data.label_names,
        class_shares=tuple(round(float(share), 6) for share in counts_K / max(1, len(data))),
        min_rows_per_class=max(3, min(10, int(counts_K.min()))),
    )


def _range(data: Dataset) -> tuple[float, float]:
    finite = data.inputs_B[np.isfinite(data.inputs_B)]
    if finite.size == 0:
        return 0.0, 0.0
    low, high = float(finite.min()), float(finite.max())
    margin = FLOAT_MARGIN * (high - low) if data.inputs_B.dtype.kind == "f" else 0.0
    return low - margin, high + margin


def schema_sha256(schema: DataSchema) -> Sha256:
    """The hash that lineage pins; white space and key order of the file do not count."""
    return Sha256(hashlib.sha256(encode(schema)).hexdigest())


def read_schema(path: Path) -> DataSchema | None:
    """The reviewed schema at `path`; None when there is no such file yet.

    Raises:
        ConfigError: a file that is not a schema.
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
    if len(schema.class_shares) != len(schema.labels):
        raise ConfigError(
            f"{path}: class_shares: got {len(schema.class_shares)} numbers, expected {len(schema.labels)} as labels"
        )
    return schema


def write_schema(path: Path, schema: DataSchema) -> None:
    """Stores `schema` at `path` for review.

    Raises:
        StorageError: the disk is full or cannot be written.
    """
    write_file(path, msgspec.json.format(encode(schema), indent=2) + b"\n")
