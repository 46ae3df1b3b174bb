"""A table by columns: one tensor a feature, as its names and vocabularies stand in the manifest. Pure.

A caller of a model of tables may send `age` as numbers and `city` as words (datatype BYTES) instead of one tensor of
codes; what it leaves out is refused, what is null is missing. Legend: B rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from fleet_contract.errors import ContractError
from fleet_contract.features import encode_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from device_agent.host.protocol import InputTensor
    from fleet_contract.release import Feature, ReleaseManifest

WORDS: Final = "BYTES"
_SCALARS: Final = {str, int, float, bool, type(None)}


def is_by_columns(tensors: Sequence[InputTensor], manifest: ReleaseManifest) -> bool:
    """Whether these tensors are features of the release and not its one input."""
    names = {feature.name for feature in manifest.features or ()}
    return any(tensor.name in names and tensor.name != manifest.inputs[0].name for tensor in tensors)


def columns_to_batch(tensors: Sequence[InputTensor], manifest: ReleaseManifest) -> NDArray[np.float32]:
    """The raw input (B, ...) that training made of such rows, bit for bit.

    Raises:
        ContractError: a feature is missing, unknown or twice, of another length than the others, of another kind, or
            a category that the vocabulary lacks.
    """
    features = manifest.features or ()
    by_name = {feature.name: feature for feature in features}
    unknown = [tensor.name for tensor in tensors if tensor.name not in by_name]
    if unknown or len({tensor.name for tensor in tensors}) != len(tensors):
        raise ContractError.mismatch(
            "inputs", got=[tensor.name for tensor in tensors][:50], expected=f"each once of {list(by_name)[:50]}"
        )
    columns = {tensor.name: _column(tensor, by_name[tensor.name]) for tensor in tensors}
    rows_BF = encode_rows(columns, features)
    return rows_BF.reshape(len(rows_BF), *manifest.inputs[0].shape)


def _column(tensor: InputTensor, feature: Feature) -> list[Any]:
    """Its values; flat, or one to a row as (B, 1)."""
    count = tensor.shape[0] if tensor.shape else 0
    if count < 1 or tensor.shape not in ((count,), (count, 1)) or len(tensor.data) != count:
        raise ContractError.mismatch(
            f"column {tensor.name!r}",
            got=f"shape {list(tensor.shape)} with {len(tensor.data)} values",
            expected="shape [B] or [B, 1] with as many values, B at least 1",
        )
    values = [value[0] if isinstance(value, list) and len(value) == 1 else value for value in tensor.data]
    _check_kinds(tensor, feature, values)
    return values


def _check_kinds(tensor: InputTensor, feature: Feature, values: list[Any]) -> None:
    if tensor.datatype == WORDS and not feature.categories:
        raise ContractError.mismatch(f"datatype of {tensor.name}", got=WORDS, expected="a type of numbers")
    odd = next((value for value in values if type(value) not in _SCALARS), None)
    words = next((value for value in values if isinstance(value, str)), None)
    if odd is not None or (words is not None and not feature.categories):
        raise ContractError.mismatch(
            f"column {tensor.name!r}",
            got=words if odd is None else odd,
            expected="a category or null" if feature.categories else "a number or null",
        )
