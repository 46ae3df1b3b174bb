"""Candidate and bundle folders: whole ones load, others are refused by name, and writing is all or nothing."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest

from converter.archive import encode_npz
from converter.bundle import Bundle, blob_ref, load_bundle, write_bundle
from converter.sources.candidate_folder import load_source, newest_candidate
from fleet_contract.candidate import CANDIDATE_FILE, MODEL_CARD_FILE, MODEL_FILE, SAMPLES_FILE
from fleet_contract.device_profile import Runtime
from fleet_contract.errors import ConflictError, ContractError, DataError, NotFoundError
from fleet_contract.release import ReleaseManifest, Variant, VariantEvidence
from fleet_contract.tensors import DType, TensorSpec
from fleet_files.durable import write_file
from tests.fakes.converter_candidates import candidate_document, digit_samples, write_candidate

if TYPE_CHECKING:
    from pathlib import Path


def test_a_whole_candidate_loads(tmp_path: Path) -> None:
    """Samples come back with their types, labels and slices."""
    source = load_source(write_candidate(tmp_path / "c", b"model"))
    assert source.model == {"model.keras": b"model"}
    assert source.samples.holdout.shape == (400, 8, 8, 1)
    assert source.samples.holdout.dtype == np.uint8
    assert source.samples.labels is not None
    assert source.samples.labels.dtype == np.int64
    assert set(source.samples.slices.tolist()) == {"odd", "even"}


def test_data_without_slices_load_with_empty_names(tmp_path: Path) -> None:
    """An empty array of slices means that there are none."""
    source = load_source(write_candidate(tmp_path / "c", b"model", digit_samples(slices=False)))
    assert source.samples.slices.shape == (400,)
    assert set(source.samples.slices.tolist()) == {""}


@pytest.mark.parametrize("name", [MODEL_FILE, SAMPLES_FILE, MODEL_CARD_FILE])
def test_a_changed_file_is_refused_by_name(tmp_path: Path, name: str) -> None:
    """One byte more is another hash."""
    folder = write_candidate(tmp_path / "c", b"model")
    with (folder / name).open("ab") as file:
        file.write(b"x")
    with pytest.raises(DataError, match=f"{name}: got SHA-256"):
        load_source(folder)


@pytest.mark.parametrize("name", [MODEL_FILE, SAMPLES_FILE, MODEL_CARD_FILE])
def test_a_half_written_folder_is_refused_by_name(tmp_path: Path, name: str) -> None:
    """A file that never came is named."""
    folder = write_candidate(tmp_path / "c", b"model")
    (folder / name).unlink()
    with pytest.raises(DataError, match=f"{name}: missing"):
        load_source(folder)


def test_a_cut_off_description_is_refused(tmp_path: Path) -> None:
    """candidate.json that ends early is no candidate."""
    folder = write_candidate(tmp_path / "c", b"model")
    path = folder / CANDIDATE_FILE
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match=CANDIDATE_FILE):
        load_source(folder)


def test_a_folder_without_a_candidate_is_not_found(tmp_path: Path) -> None:
    """The hint says how one comes about."""
    with pytest.raises(NotFoundError) as caught:
        load_source(tmp_path)
    assert "edgeferry train" in caught.value.hint


def test_the_newest_candidate_is_found(tmp_path: Path) -> None:
    """The last time wins; a folder that is still being written does not count."""
    for name in ("20261123T100000Z", "20261124T090000Z", ".20261125T090000Z.tmp"):
        write_candidate(tmp_path / name, b"model")
    (tmp_path / "20261126T090000Z").mkdir()
    assert newest_candidate(tmp_path).name == "20261124T090000Z"


def test_no_candidate_at_all_is_not_found(tmp_path: Path) -> None:
    """The hint says what to do."""
    with pytest.raises(NotFoundError, match="no candidate"):
        newest_candidate(tmp_path / "candidates")


def test_outputs_that_do_not_fit_the_labels_are_refused(tmp_path: Path) -> None:
    """One score per label."""
    folder = write_candidate(tmp_path / "c", b"model", labels=("a", "b"))
    with pytest.raises(ContractError, match="one score per label"):
        load_source(folder)


def samples_with(**changes: Any) -> bytes:
    """The digits' samples with some arrays replaced."""
    with np.load(io.BytesIO(digit_samples())) as archive:
        return encode_npz({**{name: archive[name] for name in archive}, **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"holdout_inputs": np.zeros((400, 8, 8, 3), np.uint8)}, "holdout_inputs"),
        ({"calibration_inputs": np.zeros((10, 8, 8, 1), np.float64)}, "float64"),
        ({"calibration_inputs": np.zeros((0, 8, 8, 1), np.uint8)}, "calibration_inputs"),
        ({"holdout_labels": np.full(400, 10)}, "below 10"),
        ({"holdout_labels": np.zeros(399, np.int64)}, "holdout_labels"),
        ({"holdout_slices": np.array(["a", "b"])}, "400 strings"),
        (
            {
                "holdout_inputs": np.zeros((63, 8, 8, 1), np.uint8),
                "holdout_labels": np.zeros(63, np.int64),
                "holdout_slices": np.array([], np.str_),
            },
            "at least 64",
        ),
    ],
)
def test_samples_that_do_not_fit_are_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    """Shape, type, range and number are checked, and the array is named."""
    with pytest.raises(DataError, match=message):
        load_source(write_candidate(tmp_path / "c", b"model", samples_with(**changes)))


def test_labels_by_name_become_indices(tmp_path: Path) -> None:
    """Names of labels are as good as their numbers."""
    names = np.array([str(index % 10) for index in range(400)])
    source = load_source(write_candidate(tmp_path / "c", b"model", samples_with(holdout_labels=names)))
    assert source.samples.labels is not None
    assert source.samples.labels.tolist() == [index % 10 for index in range(400)]


def test_pickled_samples_are_never_opened(tmp_path: Path) -> None:
    """An object array in the archive is refused, not run."""
    buffer = io.BytesIO()
    np.savez(buffer, calibration_inputs=np.array([{}], dtype=object))
    with pytest.raises(DataError, match=SAMPLES_FILE):
        load_source(write_candidate(tmp_path / "c", b"model", buffer.getvalue()))


def test_an_archive_without_an_array_names_it(tmp_path: Path) -> None:
    """What is missing is listed."""
    with pytest.raises(DataError, match="holdout_labels"):
        load_source(write_candidate(tmp_path / "c", b"model", encode_npz({"calibration_inputs": np.zeros(1)})))


def bundle_parts() -> tuple[ReleaseManifest, dict[str, bytes]]:
    """A manifest with one variant, and its blobs."""
    data = {"model": b"model", "golden": b"golden", "profile": b"{}", "card": b"card"}
    refs = {name: blob_ref(each, name) for name, each in data.items()}
    document = candidate_document({})
    edge = TensorSpec(name="x", dtype=DType.FLOAT32, shape=(8, 8, 1))
    figures = VariantEvidence(
        sample_count=400,
        accuracy=0.9,
        accuracy_drop=0.0,
        top1_agreement=1.0,
        max_abs_error=0.0,
        mean_abs_error=0.0,
        sqnr_db=130.0,
        latency_p50_ms=1.0,
        latency_p95_ms=2.0,
        host_rss_mb=40.0,
    )
    variant = Variant(
        id="onnx-f32",
        runtime=Runtime.ONNX,
        min_runtime_version="1.13.0",
        recipe="onnx-f32",
        blob=refs["model"],
        input=edge,
        output=document.outputs[0],
        evidence=figures,
        golden_tolerance=0.1,
        golden_agreement=0.9,
    )
    manifest = ReleaseManifest(
        model="digits",
        version=1,
        created_at=document.created_at,
        inputs=document.inputs,
        outputs=document.outputs,
        labels=document.labels,
        variants=(variant,),
        golden=refs["golden"],
        reference_profile=refs["profile"],
        model_card=refs["card"],
        evaluation=document.evaluation,
        verdict=document.verdict,
        lineage=document.lineage,
    )
    return manifest, {refs[name].sha256: each for name, each in data.items()}


def written(folder: Path) -> Bundle:
    """A small bundle at `folder`."""
    return write_bundle(folder, *bundle_parts(), {"report.html": b"<p>", "report.json": b"{}"})


def test_a_bundle_comes_back_as_it_was_written(tmp_path: Path) -> None:
    """Manifest, blobs and report are in the folder, and nothing else is beside it."""
    made = written(tmp_path / "release")
    loaded = load_bundle(tmp_path / "release")
    assert loaded == made
    assert loaded.blob(loaded.manifest.golden).read_bytes() == b"golden"
    assert loaded.report.read_bytes() == b"<p>"
    assert [path.name for path in tmp_path.iterdir()] == ["release"]


def test_a_changed_blob_is_refused_by_name(tmp_path: Path) -> None:
    """The hash is checked, not only the size."""
    made = written(tmp_path / "release")
    made.blob(made.manifest.golden).write_bytes(b"Golden")
    with pytest.raises(DataError, match="golden: got 6 bytes"):
        load_bundle(tmp_path / "release")


def test_a_missing_blob_is_refused_by_name(tmp_path: Path) -> None:
    """A bundle that lost a file says which."""
    made = written(tmp_path / "release")
    made.blob(made.manifest.model_card).unlink()
    with pytest.raises(DataError, match="missing; it is card"):
        load_bundle(tmp_path / "release")


def test_a_manifest_that_names_an_unknown_blob_writes_nothing(tmp_path: Path) -> None:
    """A bundle is complete or absent."""
    manifest, blobs = bundle_parts()
    del blobs[manifest.golden.sha256]
    with pytest.raises(ContractError, match="no bytes for blob golden"):
        write_bundle(tmp_path / "release", manifest, blobs, {})
    assert list(tmp_path.iterdir()) == []


def test_an_older_bundle_is_replaced_whole(tmp_path: Path) -> None:
    """Nothing of the old one is left over."""
    made = written(tmp_path / "release")
    (made.folder / "blobs" / "old").write_bytes(b"old")
    written(tmp_path / "release")
    assert not (made.folder / "blobs" / "old").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["release"]


def test_a_folder_that_is_no_bundle_is_left_alone(tmp_path: Path) -> None:
    """A slip of --out does not delete somebody's folder."""
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_bytes(b"cat")
    with pytest.raises(ConflictError, match="not a bundle"):
        written(tmp_path / "photos")
    assert (tmp_path / "photos" / "cat.jpg").read_bytes() == b"cat"


def test_an_archive_is_no_bundle(tmp_path: Path) -> None:
    """A folder without release.json is not found, whatever else it holds."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w"):
        pass
    with pytest.raises(NotFoundError, match=r"release\.json"):
        load_bundle(tmp_path)


def test_a_manifest_of_two_minds_is_refused(tmp_path: Path) -> None:
    """Its parts are checked against each other on reading, too."""
    made = written(tmp_path / "release")
    broken = msgspec.structs.replace(made.manifest, labels=("only one",))
    write_file(made.folder / "release.json", msgspec.json.encode(broken))
    with pytest.raises(ContractError, match="one score per label"):
        load_bundle(made.folder)
