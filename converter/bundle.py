"""The bundle: a release as a folder.

    release.json       the manifest
    blobs/<sha256>     every blob that it names
    report.json        every recipe that was tried, with its gates and figures
    report.html        the same for people

The manifest's version is what the caller asked for; publishing gives it the real one.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from fleet_contract.codec import encode
from fleet_contract.errors import ConflictError, ContractError, DataError, NotFoundError
from fleet_contract.release import BlobRef, ReleaseManifest, check_release, decode_release
from fleet_files.durable import replacing_folder, write_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

RELEASE_FILE: Final = "release.json"
BLOBS_FOLDER: Final = "blobs"
REPORT_JSON: Final = "report.json"
REPORT_HTML: Final = "report.html"


@dataclass(frozen=True, slots=True)
class Bundle:
    """A release in a folder."""

    folder: Path
    manifest: ReleaseManifest

    def blob(self, ref: BlobRef) -> Path:
        """Where the blob's bytes are."""
        return self.folder / BLOBS_FOLDER / ref.sha256

    @property
    def report(self) -> Path:
        """The report for people."""
        return self.folder / REPORT_HTML


def blob_ref(data: bytes, name: str) -> BlobRef:
    """The reference to `data`."""
    return BlobRef(sha256=hashlib.sha256(data).hexdigest(), size_bytes=len(data), name=name)


def check_target(out: Path) -> None:
    """Passes when a bundle may be written to `out`: nothing is there, an empty folder, or an older bundle.

    Raises:
        ConflictError: something else is there.
    """
    if not out.exists() or (out / RELEASE_FILE).is_file():
        return
    if not out.is_dir() or any(out.iterdir()):
        raise ConflictError(f"{out}: is there already and is not a bundle", hint="name another folder with --out")


def write_bundle(
    out: Path, manifest: ReleaseManifest, blobs: Mapping[str, bytes], reports: Mapping[str, bytes]
) -> Bundle:
    """Puts the bundle at `out` in one step, in place of an older one. `blobs` are by SHA-256, `reports` by name.

    Raises:
        ContractError: the manifest contradicts itself or names a blob that is not given.
        ConflictError: something else is at `out`.
        StorageError: it cannot be written.
    """
    check_release(manifest)
    check_target(out)
    with replacing_folder(out) as staging:
        (staging / BLOBS_FOLDER).mkdir()
        for ref in manifest.blobs():
            if ref.sha256 not in blobs:
                raise ContractError(f"bundle: no bytes for blob {ref.name} ({ref.sha256})")
            write_file(staging / BLOBS_FOLDER / ref.sha256, blobs[ref.sha256])
        for name, data in reports.items():
            write_file(staging / name, data)
        write_file(staging / RELEASE_FILE, encode(manifest))
    return Bundle(out, manifest)


def load_bundle(folder: Path) -> Bundle:
    """The bundle in `folder`, with every blob's size and hash checked.

    Raises:
        NotFoundError: `folder` holds no bundle.
        ContractError: the manifest is malformed.
        DataError: a blob is missing or is not what the manifest names.
    """
    path = folder / RELEASE_FILE
    if not path.is_file():
        raise NotFoundError(f"{folder}: there is no {RELEASE_FILE}", hint="`edgeferry convert` makes a bundle")
    bundle = Bundle(folder, decode_release(path.read_bytes()))
    for ref in bundle.manifest.blobs():
        _check_blob(bundle.blob(ref), ref)
    return bundle


def _check_blob(path: Path, ref: BlobRef) -> None:
    if not path.is_file():
        raise DataError(f"{path}: missing; it is {ref.name}", hint="convert the candidate again")
    with path.open("rb") as file:
        got = hashlib.file_digest(file, "sha256").hexdigest()
    size_bytes = path.stat().st_size
    if (got, size_bytes) != (ref.sha256, ref.size_bytes):
        raise DataError(
            f"{path}: {ref.name}: got {size_bytes} bytes with SHA-256 {got}, "
            f"expected {ref.size_bytes} bytes with {ref.sha256}",
            hint="the file was changed or only half written; convert the candidate again",
        )
