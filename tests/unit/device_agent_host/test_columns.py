"""Rows of a table by their columns, over the REST protocol of the model host."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from device_agent.host.protocol import decode_request, model_metadata
from fleet_contract.errors import ContractError
from fleet_contract.features import encode_rows
from fleet_contract.release import Feature
from fleet_contract.tensors import DType, TensorSpec
from tests.fakes.host_releases import make_release

if TYPE_CHECKING:
    from pathlib import Path

    from fleet_contract.release import ReleaseManifest

AGE = {"name": "age", "shape": [3], "datatype": "INT64", "data": [31, None, 7]}
CITY = {"name": "city", "shape": [3, 1], "datatype": "BYTES", "data": [["Rome"], [None], ["Oslo"]]}


@pytest.fixture
def manifest(tmp_path: Path) -> ReleaseManifest:
    """A release of a table with a number and a category."""
    return msgspec.structs.replace(
        make_release(tmp_path).manifest,
        inputs=(TensorSpec(name="input", dtype=DType.FLOAT32, shape=(2,)),),
        features=(Feature(name="age"), Feature(name="city", categories=("Oslo", "Rome"))),
    )


def _request(*tensors: dict[str, Any]) -> bytes:
    return json.dumps({"inputs": tensors}).encode()


def test_columns_in_any_order_give_the_rows_of_training(manifest: ReleaseManifest) -> None:
    """What is missing is NaN, a category its place in the vocabulary: as `encode_rows` makes them."""
    _, batch = decode_request(_request(CITY, AGE), manifest)
    expected = encode_rows({"age": [31, None, 7], "city": ["Rome", None, "Oslo"]}, manifest.features or ())
    assert batch.tobytes() == expected.tobytes()


def test_one_tensor_of_codes_is_still_taken(manifest: ReleaseManifest) -> None:
    """A caller that encodes by itself sends the release's input as it is."""
    tensor = {"name": "input", "shape": [1, 2], "datatype": "FP32", "data": [31, 1]}
    _, batch = decode_request(_request(tensor), manifest)
    assert batch.tolist() == [[31.0, 1.0]]


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        ([AGE], "city"),
        ([AGE, CITY, {**AGE, "name": "height"}], "inputs: got .*height"),
        ([AGE, AGE, CITY], "each once"),
        ([AGE, {**CITY, "data": ["Rome", "Paris", "Oslo"]}], "'Paris' in row 1, expected one of 'Oslo', 'Rome'"),
        ([AGE, {**CITY, "shape": [2], "data": ["Rome", "Oslo"]}], "rows"),
        ([{**AGE, "shape": [4]}, CITY], r"shape \[4\] with 3 values"),
        ([{**AGE, "shape": []}, CITY], "shape"),
        ([{**AGE, "data": [31, "7", 7]}, CITY], "'7', expected a number or null"),
        ([{**AGE, "datatype": "BYTES"}, CITY], "expected a type of numbers"),
        ([AGE, {**CITY, "data": [["Rome"], {}, ["Oslo"]]}], "expected a category or null"),
    ],
)
def test_what_does_not_fit_names_the_column(
    manifest: ReleaseManifest, tensors: list[dict[str, Any]], words: str
) -> None:
    """Every mistake of a caller names the column, what came and what was expected."""
    with pytest.raises(ContractError, match=words):
        decode_request(_request(*tensors), manifest)


def test_metadata_tell_the_columns_and_their_vocabularies(manifest: ReleaseManifest) -> None:
    """A client in any language finds what to send."""
    metadata = msgspec.to_builtins(model_metadata(manifest, manifest.variants[0].id, "0" * 64))
    age, city = metadata["parameters"]["features"]
    assert age["name"] == "age"
    assert city["categories"] == ("Oslo", "Rome")
