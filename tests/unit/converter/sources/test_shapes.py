"""The model's shapes against the candidate's."""

from __future__ import annotations

import pytest

from converter.sources.shapes import check_shape
from fleet_contract.errors import ContractError
from fleet_contract.tensors import DType, TensorSpec

IMAGE = TensorSpec(name="image", dtype=DType.UINT8, shape=(8, 8, 1))


@pytest.mark.parametrize("got", [(None, 8, 8, 1), (1, 8, 8, 1), (None, None, None, 1)])
def test_a_shape_that_admits_the_candidates_passes(got: tuple[int | None, ...]) -> None:
    """Open sizes admit any; the batch does not matter."""
    check_shape("model input", got, IMAGE)


@pytest.mark.parametrize("got", [(None, 8, 8), (None, 8, 8, 3), [(None, 8, 8, 1), (None, 4)], None])
def test_another_shape_is_told_with_got_and_expected(got: object) -> None:
    """Rank, size, several inputs and none at all are refused."""
    with pytest.raises(ContractError, match=r"model input: got .* expected \(None, 8, 8, 1\)"):
        check_shape("model input", got, IMAGE)
