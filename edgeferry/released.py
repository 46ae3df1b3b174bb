"""A release as people name it on the command line: a bundle folder, or MODEL@VERSION of the fleet server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeferry.session import connect

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from converter.predict.released import ReleasedVariant


def open_released(release: str, variant: str, scratch: Path, *, server: str, token: str) -> ReleasedVariant:
    """The release's variant of that id, or the one nearest to float, with its file; what is fetched goes to `scratch`.

    Raises:
        ConfigError: it is the server's, and no token was given.
        ContractError, DataError, NotFoundError, TrustError, UnreachableError: it cannot be had, or is not what it says.
    """
    from converter.predict.released import from_bundle, from_server

    if "@" in release and not Path(release).exists():
        return from_server(connect(server, token), release, variant, scratch)
    return from_bundle(Path(release), variant)


def raw_scores(released: ReleasedVariant, inputs_B: NDArray[Any]) -> NDArray[np.float32]:
    """Scores (B, K) of raw inputs, as a device would make them; see `converter.scoring.score`."""
    from converter.scoring import score

    return score(released.manifest, released.variant.id, released.artifact, inputs_B)
