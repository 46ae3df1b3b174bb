"""`edgeferry lineage`: the chain from data snapshot to device, of a candidate, a bundle or a published release."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from edgeferry.output import print_json
from edgeferry.session import DEFAULT_SERVER, AsJson, Server, Token, connect
from fleet_contract.errors import ContractError, NotFoundError, TrustError

if TYPE_CHECKING:
    from fleet_client import FleetClient
    from fleet_contract.api import ReleaseView
    from trainer.records.lineage_view import LineageView


def lineage(
    release: Annotated[str, typer.Argument(help="A candidate's or bundle's folder, or MODEL, MODEL@VERSION|ALIAS.")],
    *,
    server: Server = DEFAULT_SERVER,
    token: Token = "",
    as_json: AsJson = False,
) -> None:
    """Print the chain from data snapshot to device."""
    folder = Path(release)
    view = folder_lineage(folder) if folder.is_dir() else server_lineage(connect(server, token), release)
    if as_json:
        print_json(view)
    else:
        print("\n".join(lineage_lines(view)))


def folder_lineage(folder: Path) -> LineageView:
    """The chain of the candidate or bundle in `folder`.

    Raises:
        NotFoundError: it holds neither.
        ContractError, DataError: what it holds is not whole.
    """
    from fleet_contract.candidate import CANDIDATE_FILE, Candidate
    from fleet_contract.codec import decode
    from fleet_contract.release import MAX_RELEASE_BYTES, decode_release
    from trainer.records.lineage_view import bundle_lineage, candidate_lineage

    candidate, manifest = folder / CANDIDATE_FILE, folder / "release.json"
    if candidate.is_file():
        return candidate_lineage(decode(candidate.read_bytes(), Candidate, max_bytes=MAX_RELEASE_BYTES))
    if not manifest.is_file():
        raise NotFoundError(
            f"{folder}: got neither {CANDIDATE_FILE} nor release.json, expected a candidate or a bundle",
            hint="`edgeferry train` makes candidates, `edgeferry convert` bundles",
        )
    content = manifest.read_bytes()
    return bundle_lineage(decode_release(content), hashlib.sha256(content).hexdigest())


def server_lineage(client: FleetClient, name: str) -> LineageView:
    """The chain of a published release, `MODEL@VERSION`, `MODEL@ALIAS` or a model for its newest version.

    Raises:
        NotFoundError: there is no such release.
        TrustError: the family's signed metadata name another manifest for that version, or none.
        UnreachableError, AccessError: the server does not answer, or not to this token.
    """
    from trainer.records.lineage_view import release_lineage

    view = _find(client, name)
    return release_lineage(
        view, key_ids=signing_keys(client, view), rollouts=client.rollouts(), devices=client.devices()
    )


def _find(client: FleetClient, name: str) -> ReleaseView:
    matched = re.fullmatch(r"([^@]+)@v?(.+)", name)
    if matched:
        return client.release(matched[1], matched[2])
    newest = next(client.releases(model=name), None)
    if newest is None:
        raise NotFoundError(f"{name}: got no such folder and no such model", hint="`edgeferry release list`")
    return newest


class _Signature(msgspec.Struct):
    keyid: str


class _Target(msgspec.Struct):
    hashes: dict[str, str]


class _Targets(msgspec.Struct):
    targets: dict[str, _Target]


class _Metadata(msgspec.Struct):
    signatures: list[_Signature]
    signed: _Targets


def signing_keys(client: FleetClient, view: ReleaseView) -> list[str]:
    """Ids of the keys that signed the family's targets, which must name this very manifest.

    The server has checked the signatures when it took them, devices check them again; here the hashes are compared.

    Raises:
        TrustError: the metadata name another manifest for that version, or none.
        ContractError: the metadata are malformed.
    """
    from edgeferry.publishing import current_targets
    from fleet_contract.release import release_target_path

    try:
        metadata = msgspec.json.decode(current_targets(client, view.model), type=_Metadata)
    except msgspec.DecodeError as error:
        raise ContractError(f"TUF metadata from the server: {error}") from error
    target = metadata.signed.targets.get(release_target_path(view.model, view.version))
    got = target.hashes.get("sha256", "") if target else ""
    if got != view.release_sha256:
        raise TrustError(
            f"{view.model} v{view.version}: signed manifest: got {got or 'none'}, expected {view.release_sha256}"
        )
    return [signature.keyid for signature in metadata.signatures]


def lineage_lines(view: LineageView) -> list[str]:
    """The chain as lines for people."""
    lines = [f"{view.model}{f' v{view.version}' if view.version else ''}"]
    for link in view.links:
        lines.append(f"  {link.step}")
        width = max((len(name) for name in link.facts), default=0)
        lines += [f"    {name:<{width}}  {value}" for name, value in link.facts.items()]
    return lines
