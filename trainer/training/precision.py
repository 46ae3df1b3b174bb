"""The numbers in which a training computes: float32, or mixed with 16 bits where a GPU or a newer CPU is quicker so.

Rules: weights and the optimizer's state are always float32, and so is the network that leaves the training: its
evaluation, its gates and the converter see float32 only.
"""

from __future__ import annotations

from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Precision(StrEnum):
    """What layers compute in; the words are those of Keras."""

    FLOAT32 = "float32"
    MIXED_FLOAT16 = "mixed_float16"
    MIXED_BFLOAT16 = "mixed_bfloat16"


@contextmanager
def computing_in(precision: Precision) -> Iterator[None]:
    """Layers that are made in this block compute so."""
    import keras

    keras.config.set_dtype_policy(precision.value)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(Precision.FLOAT32.value)
