"""From files on the disk to an engine that has proven itself on a few golden vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from device_agent.host.engine import Engine
from device_agent.host.golden import load_golden, replay
from device_agent.runtimes import open_session
from fleet_contract.codec import decode
from fleet_contract.errors import ModelError
from fleet_contract.reference_profile import ReferenceProfile

if TYPE_CHECKING:
    from device_agent.host.hosted import HostedRelease

WARM_UP_ROWS: Final = 8
MAX_PROFILE_BYTES: Final = 4 * 1024 * 1024


def load_engine(release: HostedRelease, *, threads: int) -> Engine:
    """Opens the release's variant; nothing has been run yet.

    Raises:
        ModelError: a file is damaged, or the runtime refuses it, or its tensors are others than the manifest says.
        MissingExtraError: its runtime is not installed.
    """
    variant = release.variant
    session = open_session(variant, release.blob_path(variant.blob), threads=threads)
    return Engine(release.manifest, variant, session)


def warm_up(engine: Engine, release: HostedRelease) -> None:
    """Replays a few golden vectors, so that the first caller waits for nothing and a broken load is found.

    Raises:
        ModelError: a run failed, or strays from the reference by more than the variant's tolerance.
    """
    golden = load_golden(release.blob_path(release.manifest.golden), release.manifest)
    outcome = replay(engine, golden.first(WARM_UP_ROWS))
    if not outcome.max_abs_error <= release.variant.golden_tolerance:
        raise ModelError(f"warming up {release.title}: {outcome.failure(release.variant)}")


def load_profile(release: HostedRelease) -> ReferenceProfile:
    """The release's reference profile.

    Raises:
        ModelError: the file is damaged.
        ContractError: it is no reference profile.
    """
    path = release.blob_path(release.manifest.reference_profile)
    return decode(path.read_bytes(), ReferenceProfile, max_bytes=MAX_PROFILE_BYTES)
