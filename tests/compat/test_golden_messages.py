"""Messages of every released version are still read, and this version's are still written as they were."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fleet_contract import desired, device_profile, messages, release, signing
from fleet_contract.codec import decode, encode
from fleet_contract.telemetry import decode_batch
from tests.fakes.contract_golden import FOLDER, RELEASED, documents, telemetry

if TYPE_CHECKING:
    from pathlib import Path

KINDS: dict[str, type] = {
    kind.__name__: kind
    for kind in (
        messages.DeviceStatus,
        messages.ServerStatus,
        messages.Reported,
        messages.Event,
        messages.SecurityReport,
        messages.Command,
        messages.CommandResult,
        messages.Hint,
        desired.Desired,
        signing.SignedDocument,
        device_profile.DeviceProfile,
        release.ReleaseManifest,
    )
}
FILES = sorted(FOLDER.glob("*/*.json"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_a_message_of_a_released_version_is_read(file: Path) -> None:
    """What an older agent or server sends still decodes to the same type."""
    assert isinstance(decode(file.read_bytes(), KINDS[file.stem]), KINDS[file.stem])


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*/telemetry.bin")), ids=lambda file: file.parent.name)
def test_windows_of_a_released_version_are_read(file: Path) -> None:
    """The binary layout keeps its meaning."""
    windows = decode_batch(file.read_bytes())
    assert windows["seq"].tolist() == [5, 6]
    assert windows["means"][0].tolist() == list(range(9))


@pytest.mark.parametrize("name", sorted(KINDS))
def test_this_version_writes_what_it_promised(name: str) -> None:
    """The bytes of the current version have not changed since its golden messages were made."""
    assert (FOLDER / RELEASED / f"{name}.json").read_bytes() == encode(documents()[name])


def test_this_version_writes_the_windows_it_promised() -> None:
    """The same for the binary layout."""
    assert (FOLDER / RELEASED / "telemetry.bin").read_bytes() == telemetry()
