"""Whether a model's edges are those that its candidate promises. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fleet_contract.errors import ContractError

if TYPE_CHECKING:
    from fleet_contract.tensors import TensorSpec


def check_shape(what: str, got: object, spec: TensorSpec) -> None:
    """Passes when `got`, a shape with the batch first and None for any size, admits `spec`'s shape.

    Raises:
        ContractError: another rank or size, or several tensors where one is expected.
    """
    expected = (None, *spec.shape)
    fits = (
        isinstance(got, tuple)
        and len(got) == len(expected)
        and all(size is None or size == wanted for size, wanted in zip(got[1:], spec.shape, strict=True))
    )
    if not fits:
        raise ContractError.mismatch(
            what,
            got=got,
            expected=f"{expected} as candidate.json says of {spec.name!r}",
            hint="a model has one input and one output; the candidate's shapes are without the batch axis",
        )
