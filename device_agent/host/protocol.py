"""Open Inference Protocol V2, JSON form: bytes to a request, a result to bytes. Pure.

Rules: what the caller got wrong is a ContractError that names the field; no value is rounded, wrapped or parsed from
text to make it fit; null is a missing value of a float input. Legend: B batch, K classes.

Source: Open Inference Protocol V2, "REST" (required API); one output, and one input or a tensor for each feature of a
table (`device_agent.host.columns`).
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from msgspec import Struct

from device_agent.host.columns import columns_to_batch, is_by_columns
from device_agent.host.inputs import as_stored
from fleet_contract.codec import decode, encode
from fleet_contract.errors import ContractError
from fleet_contract.tensors import DType

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fleet_contract.release import ReleaseManifest
    from fleet_contract.tensors import TensorSpec

DATATYPES: Final = {
    "BOOL": "bool",
    "UINT8": "uint8",
    "UINT16": "uint16",
    "UINT32": "uint32",
    "UINT64": "uint64",
    "INT8": "int8",
    "INT16": "int16",
    "INT32": "int32",
    "INT64": "int64",
    "FP16": "float16",
    "FP32": "float32",
    "FP64": "float64",
}
"""Numeric datatypes of the protocol and numpy's names; BYTES is no input of a classifier."""

_FLOATS: Final = frozenset({"FP16", "FP32", "FP64"})
_NAMES: Final = {numpy_name: name for name, numpy_name in DATATYPES.items()}
_JSON_BYTES_PER_VALUE: Final = 26
_MIN_BODY_BYTES: Final = 1024 * 1024
_MAX_BODY_BYTES: Final = 32 * 1024 * 1024
_USUAL_BATCH: Final = 32


class InputTensor(Struct, frozen=True):
    """One tensor of a request; `data` flat or nested, row-major."""

    name: str
    shape: tuple[int, ...]
    datatype: str
    data: list[Any]


class RequestedOutput(Struct, frozen=True):
    """An output that the caller wants."""

    name: str


class InferRequest(Struct, frozen=True):
    """The body of `POST .../infer`; parameters are accepted and not used."""

    inputs: tuple[InputTensor, ...]
    id: str | None = None
    outputs: tuple[RequestedOutput, ...] | None = None


def body_limit_bytes(spec: TensorSpec) -> int:
    """The longest body that is read: a usual batch in JSON, within fixed bounds."""
    wanted = prod(spec.shape) * _JSON_BYTES_PER_VALUE * _USUAL_BATCH
    return min(max(wanted, _MIN_BODY_BYTES), _MAX_BODY_BYTES)


def decode_request(body: bytes, manifest: ReleaseManifest) -> tuple[InferRequest, NDArray[np.generic]]:
    """The request and its input as a batch of the type that the manifest's raw input has.

    Raises:
        ContractError: anything that does not fit, in the caller's own words.
    """
    request = decode(body, InferRequest, max_bytes=_MAX_BODY_BYTES)
    spec = manifest.inputs[0]
    for output in request.outputs or ():
        if output.name != manifest.outputs[0].name:
            raise ContractError.mismatch("outputs", got=output.name, expected=manifest.outputs[0].name)
    if is_by_columns(request.inputs, manifest):
        return request, as_stored(columns_to_batch(request.inputs, manifest), spec)
    if len(request.inputs) != 1:
        raise ContractError.mismatch("inputs", got=f"{len(request.inputs)} tensors", expected=f"1, {spec.name}")
    tensor = request.inputs[0]
    if tensor.name != spec.name:
        raise ContractError.mismatch("name of the input", got=tensor.name, expected=spec.name)
    return request, _to_batch(tensor, spec)


def encode_response(request: InferRequest, scores_BK: NDArray[np.float32], manifest: ReleaseManifest) -> bytes:
    """The answer: scores as one tensor; all labels, and the best one of each row, as parameters where there are any."""
    response: dict[str, Any] = {"model_name": manifest.model, "model_version": str(manifest.version)}
    if request.id is not None:
        response["id"] = request.id
    if manifest.labels:
        best_B = scores_BK.argmax(axis=1)
        response["parameters"] = {"labels": manifest.labels, "label": [manifest.labels[best] for best in best_B]}
    output = manifest.outputs[0]
    response["outputs"] = [
        {
            "name": output.name,
            "datatype": _NAMES[DType.FLOAT32.value],
            "shape": scores_BK.shape,
            "data": scores_BK.ravel().tolist(),
        }
    ]
    return encode(response)


def model_metadata(manifest: ReleaseManifest, variant_id: str, release_sha256: str) -> dict[str, Any]:
    """The body of `GET /v2/models/{model}`."""
    runtime = manifest.variant(variant_id).runtime.value
    return {
        "name": manifest.model,
        "versions": [str(manifest.version)],
        "platform": {"tflite": "tensorflow_tflite", "onnx": "onnx_onnxv1"}[runtime],
        "inputs": [_tensor_metadata(spec) for spec in manifest.inputs],
        "outputs": [_tensor_metadata(spec) for spec in manifest.outputs],
        "parameters": {
            "variant": variant_id,
            "release_sha256": release_sha256,
            "labels": manifest.labels,
            "features": manifest.features or (),
        },
    }


def _tensor_metadata(spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "datatype": _NAMES[spec.dtype.value], "shape": [-1, *spec.shape]}


def _to_batch(tensor: InputTensor, spec: TensorSpec) -> NDArray[np.generic]:
    if tensor.datatype not in DATATYPES:
        raise ContractError.mismatch(
            f"datatype of {tensor.name}", got=tensor.datatype, expected=f"one of {', '.join(DATATYPES)}"
        )
    if len(tensor.shape) != len(spec.shape) + 1 or tensor.shape[1:] != spec.shape or tensor.shape[0] < 1:
        raise ContractError.mismatch(
            f"shape of {tensor.name}", got=list(tensor.shape), expected=f"{['B', *spec.shape]} with B at least 1"
        )
    values = _to_array(tensor)
    if values.shape not in (tensor.shape, (prod(tensor.shape),)):
        raise ContractError.mismatch(
            f"data of {tensor.name}",
            got=f"values of shape {list(values.shape)}",
            expected=f"shape {list(tensor.shape)}, flat or nested",
        )
    return as_stored(_declared(values, tensor).reshape(tensor.shape), spec)


def _to_array(tensor: InputTensor) -> NDArray[np.generic]:
    try:
        values: NDArray[np.generic] = np.asarray(tensor.data)
    except (ValueError, OverflowError) as error:
        raise ContractError(f"data of {tensor.name}: {error}") from error
    if values.dtype == object and tensor.datatype in _FLOATS and _are_numbers_or_null(values):
        return values.astype(np.float64)
    if values.dtype.kind not in "biuf":
        raise ContractError.mismatch(
            f"data of {tensor.name}",
            got=f"values of type {values.dtype}",
            expected="numbers only" + (", or null where one is missing" if tensor.datatype in _FLOATS else ""),
        )
    return values


def _are_numbers_or_null(values: NDArray[Any]) -> bool:
    """Missing values (null, which numpy makes NaN) are the business of a release's preprocessing."""
    return all(value is None or type(value) in {int, float} for value in values.flat)


def _declared(values: NDArray[np.generic], tensor: InputTensor) -> NDArray[np.generic]:
    """The values in the datatype that the caller declared, if they fit."""
    target = np.dtype(DATATYPES[tensor.datatype])
    fits = values.dtype.kind in {"b": "b", "i": "biu", "u": "biu", "f": "biuf"}[target.kind]
    if fits and target.kind in "iu" and values.dtype.kind != "b":
        limits = np.iinfo(target)
        fits = int(values.min()) >= limits.min and int(values.max()) <= limits.max
    if not fits:
        raise ContractError.mismatch(
            f"data of {tensor.name}",
            got=f"values of type {values.dtype} from {values.min()} to {values.max()}",
            expected=tensor.datatype,
        )
    with np.errstate(over="ignore"):
        return values.astype(target)
