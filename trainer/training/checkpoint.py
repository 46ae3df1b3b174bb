"""Checkpoints of a training: what it needs to go on after a kill as if nothing had happened.

    with open_run(state_folder / "runs", key, fresh=False) as run:
        checkpoint = run.latest()  # None at the first start
        run.keep(checkpoint)       # after each epoch
    run.forget()                   # when the candidate is kept

Rules: an epoch's folder appears whole or not at all, and the one before it is removed only then; a checkpoint that
cannot be read stops the run and is never trained over; one process at a time works on a run. A run's key is a digest of
all that decides its result, so that a changed setting, model file, data set or tool begins anew.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shutil
import zipfile
import zlib
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from fleet_contract.codec import encode
from fleet_contract.errors import ConflictError, StorageError
from fleet_files.durable import cannot_write, make_folder, new_folder, write_file
from trainer.training.early_stopping import Watch

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Arrays = list[NDArray[Any]]

KEY_CHARS: Final = 32
MAX_UNFINISHED_RUNS: Final = 5
_EPOCH_PREFIX: Final = "epoch-"
_STATE_FILE: Final = "state.npz"
_RECORD_FILE: Final = "run-id"
_UNREADABLE: Final = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The state after an epoch; arrays are in the order in which Keras lists the variables.

    `model` holds weights and the states of random generators; `best` the weights of the best epoch, None when that is
    this epoch; `epochs` the figures of every epoch up to this one.
    """

    model: Arrays
    optimizer: Arrays
    best: Arrays | None
    watch: Watch
    epochs: tuple[dict[str, float], ...]


@dataclass(slots=True)
class RunFolder:
    """Where the checkpoints of one run are; `writes` False only reads (a worker that is not the chief)."""

    folder: Path
    writes: bool = True
    _newest: Path | None = field(default=None, init=False)

    def latest(self) -> Checkpoint | None:
        """The newest checkpoint; None before the first.

        Raises:
            StorageError: it cannot be read.
        """
        epochs = sorted(self.folder.glob(f"{_EPOCH_PREFIX}*"))
        self._newest = epochs[-1] if epochs else None
        return _read(self._newest / _STATE_FILE) if self._newest else None

    def keep(self, checkpoint: Checkpoint) -> None:
        """Stores `checkpoint` and then removes the one before it.

        Raises:
            StorageError: the disk is full or cannot be written; the one before is still there.
        """
        if not self.writes:
            return
        target = self.folder / f"{_EPOCH_PREFIX}{len(checkpoint.epochs):06d}"
        with new_folder(target) as building, (building / _STATE_FILE).open("wb") as file:
            np.savez(file, allow_pickle=False, **_to_arrays(checkpoint))
        if self._newest is not None:
            shutil.rmtree(self._newest, ignore_errors=True)
        self._newest = target

    def recorded_as(self, run_id: str) -> str:
        """The id of the run record that this training began under; `run_id` when it begins now.

        Raises:
            StorageError: the disk is full or cannot be written.
        """
        path = self.folder / _RECORD_FILE
        if any(self.folder.glob(f"{_EPOCH_PREFIX}*")) and path.is_file():
            return path.read_text().strip()
        write_file(path, run_id.encode())
        return run_id

    def forget(self) -> None:
        """Removes the run's checkpoints; the run is over."""
        if self.writes:
            shutil.rmtree(self.folder, ignore_errors=True)


def run_key(decides: Mapping[str, object], *, code_folder: Path, arrays: Sequence[NDArray[Any]]) -> str:
    """The name of a run: a digest of all that decides its result.

    Args:
        decides: settings, hashes and versions, as plain values.
        code_folder: its Python files count, whatever they are called.
        arrays: row numbers of the parts; dtype, shape and order count.
    """
    digest = hashlib.sha256(encode({"run": 1, "machine": platform.machine(), **decides}))
    for path in sorted(code_folder.glob("*.py")):
        digest.update(encode({"file": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}))
    for array in arrays:
        digest.update(encode({"dtype": array.dtype.str, "shape": array.shape}))
        digest.update(np.ascontiguousarray(array).data.cast("B"))
    return digest.hexdigest()[:KEY_CHARS]


@contextmanager
def open_run(runs: Path, key: str, *, fresh: bool = False, writes: bool = True) -> Iterator[RunFolder]:
    """The folder of the run `key` below `runs`, held against other processes; `fresh` empties it first.

    Unfinished runs beyond the newest few are removed: their settings were changed long ago.

    Raises:
        ConflictError: another process trains this run.
        StorageError: the folder cannot be made.
    """
    folder = runs / key
    if not writes:
        yield RunFolder(folder, writes=False)
        return
    make_folder(folder)
    with _held(folder):
        if fresh:
            _empty(folder, f"{_EPOCH_PREFIX}*")
        _empty(folder, f".{_EPOCH_PREFIX}*")
        _drop_oldest(runs, keep=folder)
        yield RunFolder(folder)


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """A lock that the kernel gives back when the process ends, however it ends."""
    path = folder / "lock"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise cannot_write(path, error) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise ConflictError(
            f"{folder}: another process trains this very run", hint="wait for it, or change a setting such as the seed"
        ) from error
    try:
        yield
    finally:
        os.close(descriptor)


def _empty(folder: Path, pattern: str) -> None:
    for path in folder.glob(pattern):
        shutil.rmtree(path, ignore_errors=True)


def _drop_oldest(runs: Path, *, keep: Path) -> None:
    others = sorted(
        (path for path in runs.iterdir() if path != keep and path.is_dir()), key=lambda path: path.stat().st_mtime_ns
    )
    for path in others[: max(0, len(others) - MAX_UNFINISHED_RUNS)]:
        try:
            with _held(path):
                shutil.rmtree(path, ignore_errors=True)
        except ConflictError:
            continue


def _to_arrays(checkpoint: Checkpoint) -> dict[str, NDArray[Any]]:
    """Flat names for one NPZ file; figures may be NaN, which JSON has no word for."""
    watch = checkpoint.watch
    names = sorted({name for figures in checkpoint.epochs for name in figures})
    table_EN = [[figures.get(name, np.nan) for name in names] for figures in checkpoint.epochs]
    return {
        "watch": np.asarray([watch.best_loss, watch.best_epoch, watch.waited, watch.ended], np.float64),
        "figure_names": np.asarray(names, np.str_),
        "figures": np.asarray(table_EN, np.float64).reshape(len(checkpoint.epochs), len(names)),
        **_numbered("model", checkpoint.model),
        **_numbered("optimizer", checkpoint.optimizer),
        **(_numbered("best", checkpoint.best) if checkpoint.best is not None else {}),
    }


def _numbered(group: str, arrays: Arrays) -> dict[str, NDArray[Any]]:
    return {f"{group}.{number:06d}": array for number, array in enumerate(arrays)}


def _read(path: Path) -> Checkpoint:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            return _from_arrays({name: stored[name] for name in stored.files})
    except _UNREADABLE as error:
        raise StorageError(
            f"{path}: got {type(error).__name__}: {error}, expected the checkpoint of an unfinished training",
            hint="`edgeferry train --fresh` begins anew",
        ) from error


def _from_arrays(stored: Mapping[str, NDArray[Any]]) -> Checkpoint:
    loss, epoch, waited, ended = stored["watch"].tolist()
    names = [str(name) for name in stored["figure_names"]]
    best = _group("best", stored)
    return Checkpoint(
        model=_group("model", stored),
        optimizer=_group("optimizer", stored),
        best=best or None,
        watch=Watch(best_loss=loss, best_epoch=int(epoch), waited=int(waited), ended=bool(ended)),
        epochs=tuple(dict(zip(names, row, strict=True)) for row in stored["figures"].tolist()),
    )


def _group(group: str, stored: Mapping[str, NDArray[Any]]) -> Arrays:
    return [stored[name] for name in sorted(stored) if name.startswith(f"{group}.")]
