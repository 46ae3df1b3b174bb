"""The pin of a snapshot, `snapshot.json`: which rows and files the last sound run was made of; kept in git like a lock.

Rules: pure but for reading and writing the one file. Whether a source changed is decided by its rows alone (the content
hash); files say in words what happened to it. Paths are relative to the source, so that a pin holds on every machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import msgspec
from msgspec import Meta, Struct

from fleet_contract.codec import encode
from fleet_contract.errors import ConfigError
from fleet_contract.names import Sha256Str
from fleet_files.durable import write_file
from trainer.sources.fingerprint import FilePin

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

MAX_NAMED: Final = 5


class SnapshotPin(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`snapshot.json`: the source by its URI, the hash of its rows, how many they are, and its files by name."""

    schema: int = 1
    source: str
    snapshot_sha256: Sha256Str
    row_count: Annotated[int, Meta(ge=0)]
    files: dict[str, FilePin]


def read_pin(path: Path) -> SnapshotPin | None:
    """The pin at `path`; None when there is no such file yet.

    Raises:
        ConfigError: a file that is no pin.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=SnapshotPin)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}", hint="take it from version control, or delete it to pin anew") from error


def write_pin(path: Path, pin: SnapshotPin) -> None:
    """Stores `pin` at `path`, for version control.

    Raises:
        StorageError: the disk is full or cannot be written.
    """
    write_file(path, msgspec.json.format(encode(pin), indent=2) + b"\n")


def describe_change(old: SnapshotPin, new: SnapshotPin) -> str:
    """What is different about the rows, in words; empty when they are the same, whatever happened to files."""
    if old.snapshot_sha256 == new.snapshot_sha256:
        return ""
    words = [_source(old, new), _rows(old, new), _files(old, new)]
    return f"the source changed: {'; '.join(word for word in words if word)}"


def _source(old: SnapshotPin, new: SnapshotPin) -> str:
    return f"it was {old.source}, it is {new.source}" if old.source != new.source else ""


def _rows(old: SnapshotPin, new: SnapshotPin) -> str:
    more = new.row_count - old.row_count
    if more == 0:
        return f"{new.row_count:,} rows as before, not the same"
    change = f"{abs(more):,} {'more' if more > 0 else 'fewer'}"
    return f"{new.row_count:,} rows, {change} than before"


def _files(old: SnapshotPin, new: SnapshotPin) -> str:
    added = sorted(set(new.files) - set(old.files))
    removed = sorted(set(old.files) - set(new.files))
    changed = sorted(
        name for name in set(old.files) & set(new.files) if old.files[name].sha256 != new.files[name].sha256
    )
    words = [
        f"{len(names):,} {word} ({_some(names)})"
        for names, word in ((added, "new"), (removed, "gone"), (changed, "changed"))
        if names
    ]
    if words:
        return f"files: {', '.join(words)}"
    return (
        "no file changed, so the settings of [data] or the schema take other rows, columns or codes"
        if old.files
        else ""
    )


def _some(names: Sequence[str]) -> str:
    more = f", and {len(names) - MAX_NAMED:,} more" if len(names) > MAX_NAMED else ""
    return ", ".join(names[:MAX_NAMED]) + more
