"""What each declared transform does to numbers worked out by hand."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest

from fleet_contract.codec import decode
from fleet_contract.errors import ContractError
from fleet_contract.preprocessing import (
    Clip,
    Difference,
    Grayscale,
    Impute,
    Log1p,
    MinMax,
    OneHot,
    Robust,
    Scale,
    Select,
    Spectrum,
    Standardize,
    StandardizeEach,
    Transform,
    apply,
    model_input,
    output_shape,
)
from fleet_contract.release import check_release
from fleet_contract.tensors import DType, TensorSpec
from tests.fakes.contract_documents import manifest, variant

if TYPE_CHECKING:
    from collections.abc import Sequence

NAN = math.nan
BY_HAND: dict[str, tuple[Transform, Sequence[Any], Sequence[Any]]] = {
    "scale shifts before it multiplies": (Scale(factor=0.5, offset=2.0), [4.0, 2.0], [1.0, 0.0]),
    "only the columns named are changed": (Scale(factor=10.0, columns=(1,)), [4.0, 2.0], [4.0, 20.0]),
    "numbers belong to the columns in the order named": (
        Standardize(mean=(1.0, 2.0), std=(1.0, 2.0), columns=(2, 0)),
        [4.0, 5.0, 6.0],
        [1.0, 5.0, 5.0],
    ),
    "each sample by itself": (StandardizeEach(epsilon=0.0), [1.0, 3.0], [-1.0, 1.0]),
    "clip at both ends": (Clip(low=-1.0, high=1.0), [-5.0, 0.5, 5.0], [-1.0, 0.5, 1.0]),
    "robust by median and quartiles": (Robust(median=(3.0,), spread=(4.0,)), [3.0, 11.0], [0.0, 2.0]),
    "min-max lets others go beyond": (MinMax(low=(10.0,), span=(10.0,)), [10.0, 30.0], [0.0, 2.0]),
    "min-max keeps others in": (MinMax(low=(10.0,), span=(10.0,), clip=True), [5.0, 30.0], [0.0, 1.0]),
    "the logarithm of 0 is 0": (Log1p(), [0.0, math.e - 1.0], [0.0, 1.0]),
    "a signed logarithm is odd": (Log1p(signed=True), [1.0 - math.e, math.e - 1.0], [-1.0, 1.0]),
    "NaN is filled, infinity is not": (Impute(values=(9.0,)), [NAN, math.inf], [9.0, math.inf]),
    "a stand-in for missing is filled": (Impute(values=(9.0,), also=(-1.0,)), [-1.0, 0.0], [9.0, 0.0]),
    "indicators come after all columns": (
        Impute(values=(9.0,), indicator=True, columns=(1,)),
        [1.0, NAN, 3.0],
        [1.0, 9.0, 3.0, 1.0],
    ),
    "codes become columns in their place": (
        OneHot(columns=(2, 0), counts=(2, 3)),
        [1.0, 7.0, 0.0],
        [0.0, 1.0, 0.0, 7.0, 1.0, 0.0],
    ),
    "a code that is unknown, not whole or missing is all zero": (
        OneHot(columns=(0, 1, 2), counts=(2, 2, 2)),
        [5.0, 0.5, NAN],
        [0.0] * 6,
    ),
    "columns in the order asked for": (Select(columns=(2, 0)), [1.0, 2.0, 3.0], [3.0, 1.0]),
    "a weighted sum of channels": (Grayscale(weights=(0.5, 0.25)), [[2.0, 4.0]], [[2.0]]),
    "steps against the one before": (Difference(), [1.0, 4.0, 9.0], [3.0, 5.0]),
    "steps against the second before": (Difference(lag=2), [1.0, 4.0, 9.0], [8.0]),
    "a constant has only the frequency 0": (Spectrum(), [2.0, 2.0, 2.0, 2.0], [2.0, 0.0, 0.0]),
    "a sign that changes each step has only the highest": (Spectrum(), [2.0, -2.0, 2.0, -2.0], [0.0, 0.0, 2.0]),
}


@pytest.mark.parametrize(("step", "sample", "expected"), BY_HAND.values(), ids=BY_HAND.keys())
def test_a_step_does_what_its_name_says(step: Transform, sample: Sequence[Any], expected: Sequence[Any]) -> None:
    """One sample, worked out by hand."""
    result_B = apply((step,), np.asarray([sample]))
    assert result_B[0] == pytest.approx(np.asarray(expected, np.float32), abs=1e-6)
    assert output_shape((step,), np.shape(sample)) == np.shape(expected)


def test_a_logarithm_of_what_has_none_is_not_finite() -> None:
    """-1 and less, without a warning: the model host refuses such rows by their number."""
    assert not np.isfinite(apply((Log1p(),), np.asarray([[-1.0, -2.0]]))).any()


REFUSED: dict[str, tuple[Transform, tuple[int, ...]]] = {
    "a column beyond the last": (Scale(factor=1.0, columns=(3,)), (3,)),
    "a column twice": (Clip(low=0.0, high=1.0, columns=(1, 1)), (3,)),
    "two means for three columns": (Standardize(mean=(0.0, 0.0), std=(1.0,)), (3,)),
    "a spread too many": (Robust(median=(0.0,), spread=(1.0, 1.0), columns=(0,)), (3,)),
    "fewer counts than columns": (OneHot(columns=(0, 1), counts=(2,)), (3,)),
    "weights of another number of channels": (Grayscale(), (8, 8, 1)),
    "a lag as long as the series": (Difference(lag=4), (4, 2)),
    "a spectrum of a single number": (Spectrum(), ()),
}


@pytest.mark.parametrize(("step", "shape"), REFUSED.values(), ids=REFUSED.keys())
def test_a_step_that_cannot_take_the_shape_is_refused(step: Transform, shape: tuple[int, ...]) -> None:
    """The message names the transform; no step ever broadcasts to a shape that nobody asked for."""
    with pytest.raises(ContractError, match=r"transform [\w-]+.*got .*expected"):
        output_shape((step,), shape)


@pytest.mark.parametrize(
    "document",
    [
        {"kind": "warp"},
        {"kind": "robust", "median": [0.0], "spread": [0.0]},
        {"kind": "one-hot", "columns": [0], "counts": [10**9]},
        {"kind": "one-hot", "columns": [], "counts": [1]},
        {"kind": "difference", "lag": 0},
        {"kind": "select", "columns": [-1]},
    ],
    ids=lambda document: str(document["kind"]),
)
def test_a_document_that_means_harm_or_nothing_is_refused(document: dict[str, Any]) -> None:
    """Limits hold where bytes enter: no division by 0, no expansion beyond 10,000 columns a code."""
    with pytest.raises(ContractError):
        decode(msgspec.json.encode([document]), tuple[Transform, ...])


def test_a_variant_takes_what_preprocessing_makes_of_the_raw_input() -> None:
    """A release whose input is a colour image may run a model of gray ones, and only such a model."""
    raw = TensorSpec(name="input", dtype=DType.UINT8, shape=(2, 3))
    gray = TensorSpec(name="x", dtype=DType.FLOAT32, shape=(2, 1))
    sound = manifest(inputs=(raw,), preprocessing=(Grayscale(),), variants=(variant(input=gray),))
    check_release(sound)
    with pytest.raises(ContractError, match=r"input of tflite-f32: got \(2, 3\), expected \(2, 1\)"):
        check_release(msgspec.structs.replace(sound, variants=(variant(input=raw),)))
    with pytest.raises(ContractError, match=r"preprocessing of input \[2, 3\]: transform select"):
        check_release(msgspec.structs.replace(sound, preprocessing=(Select(columns=(5,)),)))


def test_the_model_input_is_real_numbers() -> None:
    """A raw input of stored integers becomes float32 of the shape after the last step, not quantized."""
    raw = TensorSpec(name="input", dtype=DType.INT8, shape=(4, 2), scale=0.5, zero_point=3)
    eaten = model_input(raw, (Difference(), Spectrum()))
    assert eaten == TensorSpec(name="input", dtype=DType.FLOAT32, shape=(2, 2))
