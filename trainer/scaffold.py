"""`edgeferry init`: copies a template into a folder, so that the next command is `edgeferry train`."""

from __future__ import annotations

import re
from importlib import resources
from typing import TYPE_CHECKING, Final

from fleet_contract.errors import ConfigError, ConflictError
from fleet_contract.names import parse_name
from fleet_files.durable import write_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.resources.abc import Traversable
    from pathlib import Path

TEMPLATES: Final = ("image", "tabular", "timeseries")
NAME_MARK: Final = "@NAME@"
_RENAMED: Final = {"gitignore": ".gitignore"}


def write_project(folder: Path, *, template: str, name: str = "", force: bool = False) -> list[Path]:
    """Writes the files of `template` into `folder`; returns their paths.

    Args:
        folder: made when it does not exist.
        template: one of TEMPLATES.
        name: the model's name; empty takes the folder's.
        force: overwrite files that exist.

    Raises:
        ConfigError: no such template.
        ConflictError: a file exists already; nothing is written.
        ContractError: `name` is not a name.
        StorageError: the disk is full or cannot be written.
    """
    if template not in TEMPLATES:
        raise ConfigError(f"template: got {template!r}, expected one of {', '.join(TEMPLATES)}")
    model_name = parse_name(name or default_name(folder), "model name")
    root = resources.files("trainer") / "templates" / template
    sources = {folder / relative: source for relative, source in _files(root)}
    existing = sorted(str(path.relative_to(folder)) for path in sources if path.exists())
    if existing and not force:
        raise ConflictError(
            f"{folder}: got {', '.join(existing)} there already, expected none of the template's files",
            hint="name another folder, or overwrite with --force",
        )
    for path, source in sources.items():
        write_file(path, source.read_text(encoding="utf-8").replace(NAME_MARK, model_name).encode())
    return sorted(sources)


def default_name(folder: Path) -> str:
    """A model name made of the folder's name."""
    return re.sub(r"[^a-z0-9]+", "-", folder.absolute().name.lower()).strip("-")[:63].rstrip("-") or "model"


def _files(root: Traversable, prefix: str = "") -> Iterator[tuple[str, Traversable]]:
    """Every file below `root`, with the path at which a project has it."""
    for entry in root.iterdir():
        if entry.is_file():
            yield prefix + _RENAMED.get(entry.name, entry.name), entry
        elif entry.name != "__pycache__":
            yield from _files(entry, f"{prefix}{entry.name}/")
