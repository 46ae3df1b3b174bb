"""A project's source with its pin: read, compared with what was pinned, and pinned anew once the rows proved sound.

source = PinnedSource(project, frozen=True)
data = source.read(progress)      # a change is told in words; frozen refuses it
source.keep(progress)             # only after the data were verified
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fleet_contract.errors import DataError
from fleet_contract.release import Feature
from trainer.data.schema import read_schema
from trainer.data.snapshot import snapshot_sha256
from trainer.sources.fingerprint import fingerprint_files, stamp_files
from trainer.sources.pin import SnapshotPin, describe_change, read_pin, write_pin
from trainer.sources.uri import load_source, source_files, source_root

if TYPE_CHECKING:
    from pathlib import Path

    from trainer.data.dataset import Dataset
    from trainer.progress import Progress
    from trainer.project import Project
    from trainer.sources.fingerprint import FilePin


class PinnedSource:
    """The source of a project's own data; `frozen` refuses rows other than those pinned."""

    def __init__(self, project: Project, *, frozen: bool = False) -> None:
        self._project = project
        self._frozen = frozen
        self._settings = project.settings.data
        self._path = project.folder / self._settings.snapshot
        self._pinned: SnapshotPin | None = None
        self._found: SnapshotPin | None = None

    def read(self, progress: Progress) -> Dataset:
        """The rows, in the codes of the reviewed schema where there is one.

        Raises:
            ConfigError: a setting, the reviewed schema or the pin cannot be read.
            DataError: the data cannot be read, changed meanwhile, or, when frozen, are not those pinned.
            StorageError: the cache of file hashes cannot be written.
        """
        self._pinned = read_pin(self._path)
        if self._frozen and self._pinned is None:
            raise DataError(
                f"{self._path}: got no pinned snapshot, expected one to hold the source against",
                hint="run `edgeferry train` once without --frozen, and keep the file under version control",
            )
        files = source_files(self._settings, self._project.folder)
        before = stamp_files(files)
        data = load_source(self._settings, self._project.folder, known=self._known_features(), progress=progress)
        pins = fingerprint_files(files, self._project.state_folder / "file-hashes.json")
        if source_files(self._settings, self._project.folder) != files or stamp_files(files) != before:
            raise DataError(f"{data.source}: changed while it was read, expected files at rest", hint="run it again")
        self._found = self._describe(data, pins)
        self._tell(progress, data.source)
        return data

    def keep(self, progress: Progress) -> None:
        """Pins the rows that were read; writes nothing where they are those pinned.

        Raises:
            StorageError: the pin cannot be written.
        """
        assert self._found is not None, "read first"
        if self._found == self._pinned:
            return
        write_pin(self._path, self._found)
        progress.remark(f"pinned {self._found.row_count:,} rows in {self._path.name}")

    def _known_features(self) -> tuple[Feature, ...]:
        schema = read_schema(self._project.schema_path)
        return tuple(
            Feature(name=feature.name, categories=feature.categories) for feature in (schema.features if schema else ())
        )

    def _describe(self, data: Dataset, pins: dict[Path, FilePin]) -> SnapshotPin:
        root = source_root(self._settings, self._project.folder)
        return SnapshotPin(
            source=self._settings.source,
            snapshot_sha256=snapshot_sha256(data),
            row_count=len(data),
            files={_name(file, root): pin for file, pin in pins.items()},
        )

    def _tell(self, progress: Progress, source: str) -> None:
        assert self._found is not None
        change = describe_change(self._pinned, self._found) if self._pinned else ""
        if change and self._frozen:
            raise DataError(
                f"{source}: {change}; expected the snapshot pinned in {self._path.name}",
                hint="bring back the pinned data, or run without --frozen to pin these",
            )
        if change:
            progress.remark(change)


def _name(file: Path, root: Path) -> str:
    """The file's name within the source."""
    return file.relative_to(root).as_posix() if file != root else file.name
