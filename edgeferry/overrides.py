"""A release whose verdict said no goes out only when the publisher says so too, in the manifest that they sign.

The override's text then names who converted in spite of the verdict and why, who accepted that, and with which key;
the family's TUF signature covers the manifest and so the text, and the server writes it into its audit log.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from fleet_contract.errors import GateError

if TYPE_CHECKING:
    from pathlib import Path

    from fleet_contract.release import ReleaseManifest, Verdict

KEY_ID_CHARS = 16


def accepted_verdict(manifest: ReleaseManifest, *, accepted_by: str, release_key: Path) -> Verdict:
    """The verdict to publish: as it is when it passed, else with who accepts the override and with which key.

    Args:
        manifest: of the bundle.
        accepted_by: the publisher's name; empty where they did not accept an override.
        release_key: PEM file of the family's release key.

    Raises:
        GateError: the verdict did not pass, and nobody overrode it or the publisher did not accept that.
        TrustError: the key cannot be read.
    """
    verdict = manifest.verdict
    if verdict.passed:
        return verdict
    failed = ", ".join(gate.gate for gate in verdict.gates if not gate.passed)
    if not verdict.override:
        raise GateError(f"{manifest.model}: the verdict did not pass ({failed})", hint="convert with --override REASON")
    if not accepted_by:
        raise GateError(
            f"{manifest.model}: the verdict did not pass ({failed}) and was overridden: {verdict.override}",
            hint="to publish it all the same, with your signature under that: --accept-override",
        )
    accepted = f"{verdict.override} (accepted by {accepted_by} with release key {_key_id(release_key)})"
    return msgspec.structs.replace(verdict, override=accepted)


def _key_id(release_key: Path) -> str:
    from fleet_server.document_signer import load_ed25519
    from fleet_server.tuf_documents import public_key

    return str(public_key(load_ed25519(release_key)).keyid)[:KEY_ID_CHARS]
