"""Release manifests: what contradicts itself is refused, with both sides named."""

from __future__ import annotations

import msgspec
import pytest

from fleet_contract.codec import encode
from fleet_contract.errors import ContractError
from fleet_contract.release import check_release, decode_release, release_target_path
from fleet_contract.tensors import DType, TensorSpec
from tests.fakes.contract_documents import manifest, variant


def test_a_sound_release_survives_the_wire() -> None:
    """What was encoded decodes to the same manifest."""
    assert decode_release(encode(manifest())) == manifest()


CONTRADICTIONS = {
    "no variant at all": {"variants": ()},
    "two variants with one id": {"variants": (variant(), variant())},
    "an input shape that is not the manifest's": {
        "variants": (variant(input=TensorSpec(name="x", dtype=DType.FLOAT32, shape=(3,))),)
    },
    "an output shape that is not the manifest's": {
        "variants": (variant(output=TensorSpec(name="y", dtype=DType.FLOAT32, shape=(1,))),)
    },
    "more labels than scores": {"labels": ("a", "b", "c")},
    "two inputs": {"inputs": manifest().inputs * 2},
}


@pytest.mark.parametrize("changes", CONTRADICTIONS.values(), ids=CONTRADICTIONS.keys())
def test_a_release_that_contradicts_itself_is_refused(changes: dict[str, object]) -> None:
    """The message names the release, what was got and what was expected."""
    with pytest.raises(ContractError, match=r"release eye v1: .*got .*expected"):
        check_release(manifest(**changes))


@pytest.mark.parametrize("field", ["model", "version", "variants", "golden", "lineage", "verdict"])
def test_a_release_without_a_required_part_is_refused(field: str) -> None:
    """Evidence that is missing is never assumed."""
    fields = msgspec.to_builtins(manifest())
    del fields[field]
    with pytest.raises(ContractError, match=field):
        decode_release(msgspec.json.encode(fields))


def test_an_unknown_variant_is_answered_with_those_there_are() -> None:
    """Asking for a variant by a wrong id lists the right ones."""
    with pytest.raises(ContractError, match="tflite-f32"):
        manifest().variant("onnx-f32")


def test_every_blob_is_named_once_a_part() -> None:
    """Variants, golden vectors, profile and model card are all the blobs that a release needs."""
    names = [blob.name for blob in manifest().blobs()]
    assert names == ["tflite-f32", "golden.npz", "reference_profile.json", "README.md"]


def test_the_target_path_fits_the_delegated_pattern() -> None:
    """`models/MODEL/*/*` is what a family's key may sign."""
    assert release_target_path("eye", 7) == "models/eye/7/release.json"
