"""Declared transforms, in any order that fits, on any batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fleet_contract.codec import decode, encode
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
    output_shape,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

number = st.floats(-1e3, 1e3, width=32)
positive = st.floats(0.0625, 1e3, width=32)


@st.composite
def steps_that_fit(draw: st.DrawFn, shape: tuple[int, ...]) -> tuple[Transform, ...]:
    """Up to five steps, each taking what the one before gives."""
    steps: list[Transform] = []
    for _ in range(draw(st.integers(0, 5))):
        step = draw(st.one_of(*_fitting(shape)))
        shape = step.output_shape(shape)
        steps.append(step)
    return tuple(steps)


def _fitting(shape: tuple[int, ...]) -> list[st.SearchStrategy[Any]]:
    count = shape[-1]
    columns = st.lists(st.integers(0, count - 1), min_size=1, max_size=count, unique=True).map(tuple)
    per_entry = st.tuples(*[number] * count)
    spreads = st.tuples(*[positive] * count)
    found: list[st.SearchStrategy[Any]] = [
        st.builds(Scale, factor=number, offset=number, columns=columns),
        st.builds(Standardize, mean=per_entry, std=spreads),
        st.builds(StandardizeEach),
        st.builds(Clip, low=st.just(-3.0), high=number.map(abs), columns=columns),
        st.builds(Robust, median=st.tuples(number), spread=st.tuples(positive), columns=columns),
        st.builds(MinMax, low=per_entry, span=spreads, clip=st.booleans()),
        st.builds(Log1p, signed=st.booleans(), columns=columns),
        st.builds(Impute, values=st.tuples(number), also=st.just((0.0,)), indicator=st.booleans(), columns=columns),
        columns.map(lambda chosen: OneHot(columns=chosen, counts=tuple(range(1, len(chosen) + 1)))),
        st.builds(Select, columns=columns),
        st.builds(Grayscale, weights=per_entry),
        st.builds(Spectrum),
    ]
    return [*found, st.builds(Difference, lag=st.integers(1, shape[0] - 1))] if shape[0] > 1 else found


@st.composite
def batches_with_steps(draw: st.DrawFn) -> tuple[NDArray[Any], tuple[Transform, ...]]:
    """A batch of any of four element types, with NaN where it may hold some, and steps that fit it."""
    shape = draw(hnp.array_shapes(min_dims=1, max_dims=3, max_side=4))
    dtype = draw(st.sampled_from(["uint8", "int16", "float16", "float32"]))
    elements = st.floats(-1e3, 1e3, width=16) | st.just(float("nan")) if dtype.startswith("f") else None
    batch_B = draw(hnp.arrays(dtype, (draw(st.integers(1, 5)), *shape), elements=elements))
    return batch_B, draw(steps_that_fit(shape))


@given(case=batches_with_steps())
def test_the_shape_is_known_beforehand(case: tuple[NDArray[Any], tuple[Transform, ...]]) -> None:
    """`output_shape` says what `apply` gives, which is float32 and leaves its input as it was."""
    batch_B, steps = case
    before = batch_B.tobytes()
    result_B = apply(steps, batch_B)
    assert result_B.shape == (len(batch_B), *output_shape(steps, batch_B.shape[1:]))
    assert result_B.dtype == np.float32
    assert batch_B.tobytes() == before


@given(case=batches_with_steps())
def test_a_sample_comes_out_the_same_alone_and_in_any_memory_order(
    case: tuple[NDArray[Any], tuple[Transform, ...]],
) -> None:
    """Bit for bit, NaN included: a device serves one row of what was trained in batches."""
    batch_B, steps = case
    together_B = apply(steps, batch_B)
    assert apply(steps, np.asfortranarray(batch_B)).tobytes() == together_B.tobytes()
    for row in range(len(batch_B)):
        assert apply(steps, batch_B[row : row + 1])[0].tobytes() == together_B[row].tobytes()


@given(case=batches_with_steps())
def test_steps_survive_the_wire(case: tuple[NDArray[Any], tuple[Transform, ...]]) -> None:
    """What was fitted here is what a device reads, to the bit."""
    _, steps = case
    assert decode(encode(steps), tuple[Transform, ...]) == steps


@given(shape=hnp.array_shapes(min_dims=0, max_dims=3, max_side=3).map(tuple), other=hnp.array_shapes(max_side=5))
def test_steps_for_another_shape_are_a_contract_error_and_nothing_else(
    shape: tuple[int, ...], other: tuple[int, ...]
) -> None:
    """Steps that fit one shape either fit another or are refused in words."""
    count = other[-1]
    for step in (
        Standardize(mean=(0.0,) * count, std=(1.0,) * count),
        Select(columns=(count,)),
        OneHot(columns=(0, count), counts=(2, 2)),
        OneHot(columns=(0,), counts=(2, 2)),
        Scale(factor=1.0, columns=(0, 0)),
        Grayscale(weights=(1.0,) * count),
        Difference(lag=count),
        Spectrum(),
    ):
        try:
            after = output_shape((step,), shape)
        except ContractError as error:
            assert "transform" in error.message  # noqa: PT017 - a shape that fits raises nothing
        else:
            assert apply((step,), np.zeros((2, *shape), np.float32)).shape == (2, *after)
