"""One of every message of this version, as files that later versions must still read (`python -m` makes them).

Run it when a version is released, never to make a failing compatibility test pass.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fleet_contract import desired, messages, signing
from fleet_contract.codec import encode
from fleet_contract.deployment import DeploymentError, DeploymentState, ErrorClass
from fleet_contract.telemetry import encode_batch, window_dtype
from tests.fakes.contract_documents import NOON, manifest, profile

FOLDER = Path(__file__).parents[1] / "compat" / "golden"
RELEASED = "0.1"


def documents() -> dict[str, object]:
    """A document a type, with no field left at its default where that says something."""
    installed = messages.InstalledRelease(model="eye", version=2, variant="tflite-int8", release_sha256="0" * 64)
    error = DeploymentError(kind=ErrorClass.INTEGRITY, code="blob-hash", detail="got a, expected b")
    slot = messages.SlotReport(
        slot="main",
        deployment_id="dep-1",
        state=DeploymentState.ROLLED_BACK,
        since=NOON,
        target_model="eye",
        target_version=3,
        active=installed,
        previous=installed,
        error=error,
        host_port=8000,
    )
    wanted = desired.SlotDesired(
        slot="main", deployment_id="dep-1", model="eye", version=3, release_sha256="0" * 64, min_version=1
    )
    return {
        "DeviceStatus": messages.DeviceStatus(session_id="s", online=True, agent_version="0.1.0", at=NOON),
        "ServerStatus": messages.ServerStatus(session_id="s", online=False),
        "Reported": messages.Reported(seq=9, at=NOON, desired_rev=4, slots=(slot,), metadata_age_s=1.5),
        "Event": messages.Event(
            seq=8,
            at=NOON,
            slot="main",
            deployment_id="dep-1",
            event="probation-failed",
            from_state=DeploymentState.PROBATION,
            to_state=DeploymentState.ROLLING_BACK,
            model="eye",
            version=3,
            variant="tflite-int8",
            error=error,
            detail="2 of 40 results were not finite",
        ),
        "SecurityReport": messages.SecurityReport(seq=7, at=NOON, refused="blob", code="blob-hash", detail="d"),
        "Command": messages.Command(
            id="c", device_id="pi", name=messages.CommandName.COLLECT, issued_at=NOON, expires_at=NOON, max_samples=10
        ),
        "CommandResult": messages.CommandResult(id="c", accepted=True, at=NOON),
        "Hint": messages.Hint(reason="released"),
        "Desired": desired.Desired(device_id="pi", rev=4, issued_at=NOON, expires_at=NOON, slots=(wanted,)),
        "SignedDocument": signing.envelope(signing.DESIRED_TYPE, b"payload", "key", b"signature"),
        "DeviceProfile": profile(),
        "ReleaseManifest": manifest(),
    }


def telemetry() -> bytes:
    """A batch of two windows."""
    windows = np.zeros(2, window_dtype(9, 2))
    windows["seq"] = (5, 6)
    windows["slot"] = b"main"
    windows["count"] = 60
    windows["means"] = np.arange(9, dtype=np.float32)
    return encode_batch(windows)


if __name__ == "__main__":
    folder = FOLDER / RELEASED
    folder.mkdir(parents=True, exist_ok=True)
    for name, document in documents().items():
        (folder / f"{name}.json").write_bytes(encode(document))
    (folder / "telemetry.bin").write_bytes(telemetry())
