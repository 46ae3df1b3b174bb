"""Releases and slots on the disk."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from device_agent.faults import RefusedError
from device_agent.slot_record import SlotRecord
from device_agent.slots import SlotFiles, needed_blobs
from fleet_contract.deployment import DeploymentState
from fleet_contract.errors import ModelError
from fleet_contract.messages import InstalledRelease
from tests.fakes.agent_releases import FakeRelease, make_release
from tests.fakes.contract_documents import NOON

if TYPE_CHECKING:
    from pathlib import Path


def keep(files: SlotFiles, release: FakeRelease) -> InstalledRelease:
    """Puts a whole release on the disk, with the blobs of all its variants."""
    files.keep_manifest(release.data, release.sha256)
    for sha256, data in release.blobs.items():
        (files.blobs / sha256).write_bytes(data)
    return InstalledRelease(
        model="eye", version=release.manifest.version, variant="tflite-f32", release_sha256=release.sha256
    )


def test_garbage_collection_spares_what_a_slot_may_need(tmp_path: Path) -> None:
    """Active, previous, staged and wanted releases stay; what nobody names goes, parts of downloads too."""
    files = SlotFiles(tmp_path)
    releases = [make_release(version) for version in range(1, 7)]
    active, previous, staged, _, _, _ = (keep(files, release) for release in releases)
    stray = files.blobs / ("f" * 64 + ".part")
    stray.write_bytes(b"half")
    record = SlotRecord(
        slot="main",
        since=NOON,
        state=DeploymentState.DOWNLOADING,
        active=active,
        previous=previous,
        staged=staged,
        desired=releases[3].desired(),
        queued=releases[4].desired(),
    )
    removed = files.collect_garbage([record])
    assert stray.name in removed
    for release in releases[:5]:
        hosted = files.hosted(release.sha256, "tflite-f32")
        for blob in needed_blobs(release.manifest, release.manifest.variants):
            hosted.blob_path(blob)
    assert not (files.blobs / releases[5].manifest.variants[0].blob.sha256).exists()
    with pytest.raises(ModelError):
        files.manifest(releases[5].sha256)


def test_variants_that_lost_go_after_the_commit(tmp_path: Path) -> None:
    """Only the winner's blob, the golden vectors and the reference profile of an installed release stay."""
    files = SlotFiles(tmp_path)
    release = make_release(1, variants=("tflite-f32", "tflite-int8"))
    record = SlotRecord(
        slot="main",
        since=NOON,
        state=DeploymentState.COMMITTED,
        active=keep(files, release),
        desired=release.desired(),
    )
    files.collect_garbage([record])
    kept = needed_blobs(release.manifest, release.manifest.variants[:1])
    assert {file.name for file in files.blobs.iterdir()} == {blob.sha256 for blob in kept}


def test_a_damaged_manifest_stops_the_collection(tmp_path: Path) -> None:
    """What a damaged manifest names cannot be known, so nothing is removed."""
    files = SlotFiles(tmp_path)
    release = make_release(1)
    record = SlotRecord(slot="main", since=NOON, active=keep(files, release))
    (tmp_path / "releases" / f"{release.sha256}.json").write_bytes(b"{}")
    assert files.collect_garbage([record]) == []
    assert len(list(files.blobs.iterdir())) == len(release.blobs)


def test_a_manifest_of_another_digest_is_refused(tmp_path: Path) -> None:
    """Director and repository must name the same bytes."""
    release = make_release(1)
    with pytest.raises(RefusedError) as caught:
        SlotFiles(tmp_path).keep_manifest(release.data + b" ", release.sha256)
    assert caught.value.code == "release-mismatch"


def test_current_json_tells_the_sdk_what_runs(tmp_path: Path) -> None:
    """It names release, variant, model and version, and goes away with the release."""
    files = SlotFiles(tmp_path)
    installed = keep(files, make_release(3))
    files.set_current("main", installed)
    file = tmp_path / "slots" / "main" / "current.json"
    assert json.loads(file.read_text()) == {
        "schema": 1,
        "release_sha256": installed.release_sha256,
        "variant_id": "tflite-f32",
        "model": "eye",
        "version": 3,
    }
    files.set_current("main", None)
    assert not file.exists()
