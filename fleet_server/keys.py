"""Makes the fleet's keys and the first metadata: fresh every time, no default key anywhere.

    init_keys(Path("KEYS"), ["digits"], now=...)      # the layout is docs/reference/trust.md
    delegate(Path("KEYS"), "wear", now=...)           # one more model family; needs offline/targets.pem

Private keys are PEM PKCS8 without a passphrase, readable by their owner only: lock the offline ones away.
"""

from __future__ import annotations

import secrets
import shutil
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from fleet_contract.errors import ConflictError, StorageError, TrustError
from fleet_contract.names import parse_name
from fleet_files.durable import sync_folder, write_file
from fleet_server.certificates import new_authority
from fleet_server.document_signer import load_ed25519
from fleet_server.tuf_documents import (
    DIRECTOR_KEYS_PATH,
    ROOT_LIFETIME,
    TARGETS_LIFETIME,
    DelegatedRole,
    Delegations,
    Role,
    Root,
    TargetFile,
    Targets,
    director_keys_json,
    expires,
    parse,
    public_key,
    release_role,
    signed_bytes,
)

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

ROOT_KEYS: Final = 3
ROOT_THRESHOLD: Final = 2
PRIVATE: Final = 0o600


def init_keys(out: Path, models: list[str], *, now: datetime) -> None:
    """Makes a whole set of keys and signed metadata in the new folder `out`, all of it or nothing.

    Raises:
        ConflictError: `out` exists and is not empty.
        ContractError: a model's name is no name.
        StorageError: the disk cannot be written.
    """
    for model in models:
        parse_name(model, "model")
    if out.exists() and any(out.iterdir()):
        raise ConflictError(f"{out}: is not empty", hint="keys are never overwritten; name a new folder")
    building = out.with_name(f".{out.name}.{secrets.token_hex(6)}")
    try:
        _build(building, models, now)
        if out.exists():
            out.rmdir()
        building.rename(out)
        sync_folder(out.parent)
    except OSError as error:
        raise StorageError(f"cannot make {out}: {error.strerror}", hint="is the folder above it writable?") from error
    finally:
        shutil.rmtree(building, ignore_errors=True)


def delegate(keys: Path, model: str, *, now: datetime) -> Path:
    """Adds a model family: makes its release key and signs the next targets metadata, whose file is returned.

    Hand that file to the server with `PUT /api/v1/trust/targets`.

    Raises:
        TrustError: the offline targets key or the metadata cannot be read.
        ConflictError: the family is there already.
    """
    parse_name(model, "model")
    targets_key = load_ed25519(keys / "offline" / "targets.pem")
    current = newest_targets(keys / "metadata")
    targets = parse(current.read_bytes(), Targets, current.name).signed
    delegations = targets.delegations or Delegations(keys={}, roles={})
    if delegations.roles and release_role(model) in delegations.roles:
        raise ConflictError(f"model {model}: {current.name} delegates to it already")
    release_key = Ed25519PrivateKey.generate()
    _delegate_to(delegations, model, release_key)
    targets.delegations = delegations
    targets.version += 1
    targets.expires = expires(now, TARGETS_LIFETIME)
    _write_key(keys / "release" / f"release-{model}.pem", release_key)
    file = keys / "metadata" / f"{targets.version}.targets.json"
    write_file(file, signed_bytes(targets, targets_key))
    return file


def newest_targets(metadata: Path) -> Path:
    """The top-level targets file of the highest version.

    Raises:
        TrustError: there is none.
    """
    found = {int(path.name.split(".")[0]): path for path in metadata.glob("*.targets.json") if path.name[0].isdigit()}
    if not found:
        raise TrustError(f"{metadata}: no targets metadata", hint="`edgeferry keys init` makes it")
    return found[max(found)]


def _build(folder: Path, models: list[str], now: datetime) -> None:
    roots = [Ed25519PrivateKey.generate() for _ in range(ROOT_KEYS)]
    targets, snapshot, timestamp, director = (Ed25519PrivateKey.generate() for _ in range(4))
    releases = {model: Ed25519PrivateKey.generate() for model in models}
    for number, key in enumerate(roots, 1):
        _write_key(folder / "offline" / f"root-{number}.pem", key)
    _write_key(folder / "offline" / "targets.pem", targets)
    for name, key in {"snapshot": snapshot, "timestamp": timestamp, "director": director}.items():
        _write_key(folder / "online" / f"{name}.pem", key)
    (folder / "release").mkdir()
    for model, key in releases.items():
        _write_key(folder / "release" / f"release-{model}.pem", key)
    ca_key_pem, ca_certificate_pem = new_authority(now)
    write_file(folder / "online" / "ca.pem", ca_key_pem, mode=PRIVATE)
    write_file(folder / "online" / "ca.crt", ca_certificate_pem)
    directors = director_keys_json([director])
    write_file(folder / "metadata" / "director-keys.json", directors)
    write_file(folder / "metadata" / "1.root.json", _root(roots, targets, snapshot, timestamp, now))
    write_file(folder / "metadata" / "1.targets.json", _targets(targets, releases, directors, now))
    for model, key in releases.items():
        first = signed_bytes(Targets(expires=expires(now, TARGETS_LIFETIME)), key)
        write_file(folder / "metadata" / f"1.{release_role(model)}.json", first)


def _root(
    roots: list[Ed25519PrivateKey],
    targets: Ed25519PrivateKey,
    snapshot: Ed25519PrivateKey,
    timestamp: Ed25519PrivateKey,
    now: datetime,
) -> bytes:
    publics = [public_key(key) for key in roots]
    ids = [key.keyid for key in publics]
    single = {"targets": public_key(targets), "snapshot": public_key(snapshot), "timestamp": public_key(timestamp)}
    root = Root(
        expires=expires(now, ROOT_LIFETIME),
        keys={key.keyid: key for key in (*publics, *single.values())},
        roles={"root": Role(ids, ROOT_THRESHOLD), **{name: Role([key.keyid], 1) for name, key in single.items()}},
        consistent_snapshot=True,
    )
    return signed_bytes(root, *roots)


def _targets(key: Ed25519PrivateKey, releases: dict[str, Ed25519PrivateKey], directors: bytes, now: datetime) -> bytes:
    delegations = Delegations(keys={}, roles={})
    for model, release_key in releases.items():
        _delegate_to(delegations, model, release_key)
    targets = Targets(
        expires=expires(now, TARGETS_LIFETIME),
        targets={DIRECTOR_KEYS_PATH: TargetFile.from_data(DIRECTOR_KEYS_PATH, directors, ["sha256"])},
        delegations=delegations,
    )
    return signed_bytes(targets, key)


def _delegate_to(delegations: Delegations, model: str, release_key: Ed25519PrivateKey) -> None:
    public = public_key(release_key)
    role = DelegatedRole(release_role(model), [public.keyid], 1, terminating=True, paths=[f"models/{model}/*/*"])
    delegations.keys[public.keyid] = public
    delegations.roles = {**(delegations.roles or {}), role.name: role}


def _write_key(path: Path, key: Ed25519PrivateKey) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write_file(path, pem, mode=PRIVATE)
