"""The SDK answers in the caller's own process and follows what the agent commits."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from device_agent import Model
from fleet_contract.errors import ContractError, NotFoundError, TrustError
from tests.fakes.host_releases import LABELS, digits, install, make_release, store_blob, with_variant

if TYPE_CHECKING:
    from pathlib import Path


def test_one_input_and_a_batch_give_scores(tmp_path: Path) -> None:
    """One input gives K scores, a batch B x K; labels and names are the release's."""
    install(make_release(tmp_path / "blobs", "tflite-f32", version=3), tmp_path)
    model = Model("main", state_dir=tmp_path)
    data = digits()
    np.testing.assert_allclose(model(data.inputs[0]), data.outputs[0], atol=1e-4)
    np.testing.assert_allclose(model(data.inputs[:5].tolist()), data.outputs[:5], atol=1e-4)
    assert (model.name, model.version, model.variant, model.labels) == ("digits", 3, "tflite-f32", LABELS)
    assert model.label(data.inputs[0]) == LABELS[data.outputs[0].argmax()]


def test_the_next_call_after_a_commit_uses_the_new_release(tmp_path: Path) -> None:
    """A change of the slot is followed between calls."""
    install(make_release(tmp_path / "blobs", version=1), tmp_path)
    model = Model("main", state_dir=tmp_path)
    install(make_release(tmp_path / "blobs", "onnx-f32", version=2), tmp_path)
    assert model.version == 1
    model(digits().inputs[0])
    assert (model.version, model.variant) == (2, "onnx-f32")


def test_a_release_that_does_not_load_is_not_followed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The old release goes on answering, and the log says why."""
    install(make_release(tmp_path / "blobs", version=1), tmp_path)
    model = Model("main", state_dir=tmp_path)
    broken = make_release(tmp_path / "blobs", version=2)
    install(with_variant(broken, blob=store_blob(tmp_path / "blobs", b"junk" * 50, "x")), tmp_path)
    assert model(digits().inputs[0]).shape == (10,)
    assert model.version == 1
    assert "release-not-followed" in caplog.text


def test_a_slot_without_release_is_not_found(tmp_path: Path) -> None:
    """The error names slot and folder and says what to do."""
    with pytest.raises(NotFoundError, match="slot main in"):
        Model("main", state_dir=tmp_path)


def test_a_manifest_that_was_changed_on_the_disk_is_not_used(tmp_path: Path) -> None:
    """The manifest's digest must be the one that the agent committed."""
    release = make_release(tmp_path / "blobs")
    install(release, tmp_path)
    path = tmp_path / "releases" / f"{release.release_sha256}.json"
    path.write_bytes(path.read_bytes().replace(b"digit-0", b"digit-9"))
    with pytest.raises(TrustError, match="expected"):
        Model("main", state_dir=tmp_path)


def test_a_wrong_input_is_refused(tmp_path: Path) -> None:
    """Shape and type are checked as they are over HTTP."""
    install(make_release(tmp_path / "blobs"), tmp_path)
    model = Model("main", state_dir=tmp_path)
    with pytest.raises(ContractError, match="tensor image"):
        model(np.zeros((9, 8, 1), np.uint8))
    with pytest.raises(ContractError, match="float64"):
        model(np.full((8, 8, 1), 0.5))


def test_importing_the_package_loads_no_numpy() -> None:
    """`import device_agent` stays light until the model is used."""
    program = (
        "import sys, device_agent; assert 'numpy' not in sys.modules; device_agent.Model; assert 'numpy' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
