"""Whether a model's edges are those that its candidate promises, and ones that edgeferry can carry at all. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fleet_contract.errors import ContractError, DataError, ModelError

if TYPE_CHECKING:
    from converter.process.jobs import Edge
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


def check_edges(model_input: Edge, model_output: Edge) -> None:
    """Passes for an input and an output of float32, of fixed sizes but for the batch, the output one row per input.

    Raises:
        ModelError: another element type, an open size, a fixed batch of several, or an output that is no row.
    """
    for what, edge in (("input", model_input), ("output", model_output)):
        _check_dtype(what, edge)
        _check_sizes(what, edge)
    if len(model_output.shape) != 2:
        raise ModelError(
            f"model output {model_output.name!r}: got shape {words(model_output.shape)}, expected [B, K]",
            hint="end the model in a layer that gives one row of numbers for each input",
        )


def check_rows(model_input: Edge, shape: tuple[int, ...]) -> None:
    """Passes when samples of `shape`, rows first, are what the input takes.

    Raises:
        DataError: another rank or size.
    """
    if tuple(model_input.shape[1:]) != shape[1:]:
        raise DataError(
            f"samples: got rows of shape {list(shape[1:])}, expected {list(model_input.shape[1:])}"
            f" as the model's input {model_input.name!r}",
            hint="the first axis of `inputs` counts rows; the others are the model's own",
        )


def words(shape: tuple[int | None, ...]) -> str:
    """A shape for people; a size that is open is `?`."""
    return f"[{', '.join('?' if size is None else str(size) for size in shape)}]"


def _check_dtype(what: str, edge: Edge) -> None:
    if edge.dtype == "float32":
        return
    quantized = edge.dtype in {"int8", "uint8", "int16"}
    raise ModelError(
        f"model {what} {edge.name!r}: got {edge.dtype}, expected float32",
        hint="bring the float model that it was quantized from, or one that casts inside" if quantized else "",
    )


def _check_sizes(what: str, edge: Edge) -> None:
    shape = words(edge.shape)
    if len(edge.shape) < 2:
        raise ModelError(f"model {what} {edge.name!r}: got shape {shape}, expected a batch axis and at least one more")
    if any(size is None or size < 1 for size in edge.shape[1:]):
        raise ModelError(
            f"model {what} {edge.name!r}: got shape {shape}, expected fixed sizes behind the batch axis",
            hint="a device runs one shape: export the model with the sizes that it will meet",
        )
    if edge.shape[0] not in {None, 1}:
        raise ModelError(
            f"model {what} {edge.name!r}: got shape {shape}, expected a batch axis that is open or 1",
            hint="export the model with an open batch axis",
        )
