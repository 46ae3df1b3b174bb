"""Requests of the Open Inference Protocol V2 become batches, results become responses."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from msgspec.structs import replace

from device_agent.host.protocol import InferRequest, body_limit_bytes, decode_request, encode_response, model_metadata
from fleet_contract.errors import ContractError
from fleet_contract.tensors import DType, TensorSpec
from tests.fakes.host_releases import INPUT, digits, make_release

if TYPE_CHECKING:
    from pathlib import Path

    from fleet_contract.release import ReleaseManifest


@pytest.fixture
def manifest(tmp_path: Path) -> ReleaseManifest:
    """The digits manifest: uint8 images of 8 x 8 x 1."""
    return make_release(tmp_path).manifest


def _body(**changes: Any) -> bytes:
    tensor = {"name": "image", "shape": [1, 8, 8, 1], "datatype": "UINT8", "data": [3] * 64}
    return json.dumps({"inputs": [{**tensor, **changes}]}).encode()


def test_flat_and_nested_data_give_the_same_batch(manifest: ReleaseManifest) -> None:
    """Both forms of the specification are read row-major."""
    images_B = digits().inputs[:2]
    flat = _body(shape=[2, 8, 8, 1], data=images_B.ravel().tolist())
    nested = _body(shape=[2, 8, 8, 1], data=images_B.tolist())
    for body in (flat, nested):
        _, batch = decode_request(body, manifest)
        assert batch.dtype == np.uint8
        assert np.array_equal(batch, images_B)


@pytest.mark.parametrize("datatype", ["UINT8", "INT64", "UINT16"])
def test_other_whole_number_types_are_taken_when_values_fit(manifest: ReleaseManifest, datatype: str) -> None:
    """A caller may declare a wider whole-number type than the model's."""
    _, batch = decode_request(_body(datatype=datatype), manifest)
    assert batch.dtype == np.uint8


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": "photo"}, "name of the input: got 'photo', expected image"),
        ({"datatype": "BF16"}, "datatype of image: got 'BF16'"),
        ({"datatype": "BYTES"}, "datatype of image: got 'BYTES'"),
        ({"shape": [8, 8, 1]}, "shape of image"),
        ({"shape": [0, 8, 8, 1], "data": []}, "shape of image"),
        ({"shape": [-1, 8, 8, 1]}, "shape of image"),
        ({"shape": [2, 8, 8, 1]}, r"data of image: got 'values of shape \[64\]'"),
        ({"data": [300] * 64}, "300"),
        ({"data": [1.5] * 64}, "float64"),
        ({"data": ["1"] * 64}, "numbers only"),
        ({"data": [None] * 64}, "numbers only"),
        ({"data": [[1], [2, 3]]}, "data of image"),
        ({"datatype": "FP32", "data": [0.5] * 64}, "type float32"),
        ({"data": [10**30] * 64}, "numbers only"),
    ],
)
def test_what_does_not_fit_is_named(manifest: ReleaseManifest, changes: dict[str, Any], words: str) -> None:
    """Every mistake of a caller names the field, what came and what was expected."""
    with pytest.raises(ContractError, match=words):
        decode_request(_body(**changes), manifest)


def test_null_is_a_missing_value_of_a_float_input(manifest: ReleaseManifest) -> None:
    """A release that imputes gets NaN; text among the numbers stays refused."""
    floats = replace(manifest, inputs=(replace(manifest.inputs[0], dtype=DType.FLOAT32),))
    data = [None, *[0.5] * 63]
    _, batch = decode_request(_body(datatype="FP32", data=data), floats)
    assert np.isnan(batch.ravel()[0])
    assert np.array_equal(batch.ravel()[1:], np.full(63, 0.5, np.float32))
    with pytest.raises(ContractError, match="numbers only, or null"):
        decode_request(_body(datatype="FP32", data=["0.5", *data[1:]]), floats)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b'{"inputs": 3}', b"\xff", b"[" * 100_000])
def test_bytes_that_are_no_request_are_refused(manifest: ReleaseManifest, body: bytes) -> None:
    """Any bytes give a request or a ContractError."""
    with pytest.raises(ContractError):
        decode_request(body, manifest)


def test_only_outputs_that_exist_may_be_asked_for(manifest: ReleaseManifest) -> None:
    """The outputs filter takes the model's output by name and refuses others."""
    good = json.loads(_body()) | {"outputs": [{"name": "scores"}]}
    assert decode_request(json.dumps(good).encode(), manifest)[0].outputs is not None
    bad = json.loads(_body()) | {"outputs": [{"name": "logits"}]}
    with pytest.raises(ContractError, match="got 'logits', expected scores"):
        decode_request(json.dumps(bad).encode(), manifest)


def test_the_response_carries_id_scores_and_the_best_label_of_each_row(manifest: ReleaseManifest) -> None:
    """A response repeats the id and says scores, all labels and each row's label."""
    scores_BK = np.eye(10, dtype=np.float32)[[3, 9]]
    response = json.loads(encode_response(InferRequest((), id="a1"), scores_BK, manifest))
    assert response["id"] == "a1"
    assert (response["model_name"], response["model_version"]) == ("digits", "1")
    assert response["parameters"]["label"] == ["digit-3", "digit-9"]
    assert response["parameters"]["labels"] == list(manifest.labels)
    assert response["outputs"] == [
        {"name": "scores", "datatype": "FP32", "shape": [2, 10], "data": scores_BK.ravel().tolist()}
    ]


def test_a_release_without_labels_answers_with_numbers_alone(manifest: ReleaseManifest) -> None:
    """An autoencoder has no best label, and none is made up."""
    bare = replace(manifest, labels=())
    response = json.loads(encode_response(InferRequest(()), np.zeros((1, 10), np.float32), bare))
    assert "parameters" not in response
    assert response["outputs"][0]["shape"] == [1, 10]


def test_a_request_without_id_gets_none(manifest: ReleaseManifest) -> None:
    """No id is made up."""
    assert b'"id"' not in encode_response(InferRequest(()), np.zeros((1, 10), np.float32), manifest)


def test_metadata_names_tensors_with_a_free_batch_axis(manifest: ReleaseManifest) -> None:
    """The batch axis is -1, as the specification writes it."""
    metadata = model_metadata(manifest, "onnx-f32", "ab")
    assert metadata["platform"] == "onnx_onnxv1"
    assert metadata["inputs"] == [{"name": "image", "datatype": "UINT8", "shape": [-1, 8, 8, 1]}]


def test_the_body_limit_grows_with_the_input_within_bounds() -> None:
    """A small input may still send a mebibyte, a huge one no more than 32."""
    huge = TensorSpec(name="x", dtype=DType.UINT8, shape=(4000, 4000, 3))
    assert body_limit_bytes(INPUT) == 1024 * 1024
    assert body_limit_bytes(huge) == 32 * 1024 * 1024
