"""Checkpoints: whole or absent, one at a time, never trained over when they cannot be read."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fleet_contract.errors import ConflictError, StorageError
from trainer.training.checkpoint import MAX_UNFINISHED_RUNS, Checkpoint, open_run, run_key
from trainer.training.early_stopping import Watch

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def make_checkpoint(epochs: int, *, best: bool = True) -> Checkpoint:
    """A checkpoint after so many epochs, with arrays of several kinds."""
    rng = np.random.default_rng(epochs)
    model: list[NDArray[Any]] = [rng.normal(size=(3, 4)).astype(np.float32), np.asarray([7, epochs], np.uint32)]
    return Checkpoint(
        model=model,
        optimizer=[np.asarray(epochs, np.int64), *[rng.normal(size=2).astype(np.float32) for _ in range(12)]],
        best=[model[0] * 2] if best else None,
        watch=Watch(best_loss=0.25, best_epoch=1, waited=epochs - 1),
        epochs=tuple({"loss": 1.0 / number, "val_loss": math.nan} for number in range(1, epochs + 1)),
    )


def assert_same(got: Checkpoint | None, expected: Checkpoint) -> None:
    """Passes when every array is equal to the last bit and dtype, and all else is equal."""
    assert got is not None
    pairs = [(got.model, expected.model), (got.optimizer, expected.optimizer), (got.best or [], expected.best or [])]
    for arrays, others in pairs:
        assert [array.dtype for array in arrays] == [array.dtype for array in others]
        assert all(np.array_equal(array, other) for array, other in zip(arrays, others, strict=True))
    assert (got.best is None, got.watch) == (expected.best is None, expected.watch)
    assert repr(got.epochs) == repr(expected.epochs)


@pytest.mark.parametrize("best", [True, False])
def test_the_newest_checkpoint_comes_back_as_it_was_and_is_the_only_one(tmp_path: Path, *, best: bool) -> None:
    """Twelve optimizer arrays keep their order, NaN stays NaN, and the folder does not grow."""
    with open_run(tmp_path, "key") as run:
        assert run.latest() is None
        for epochs in (1, 2, 11):
            run.keep(make_checkpoint(epochs, best=best))
    with open_run(tmp_path, "key") as run:
        assert_same(run.latest(), make_checkpoint(11, best=best))
        assert len(list(run.folder.glob("epoch-*"))) == 1
        run.forget()
    assert list(tmp_path.iterdir()) == []


def test_fresh_begins_anew(tmp_path: Path) -> None:
    """A checkpoint that is there is removed, not read."""
    with open_run(tmp_path, "key") as run:
        run.keep(make_checkpoint(2))
    with open_run(tmp_path, "key", fresh=True) as run:
        assert run.latest() is None


def test_a_run_that_goes_on_knows_the_record_it_began_under(tmp_path: Path) -> None:
    """Without a checkpoint nothing goes on, and the newest record counts."""
    with open_run(tmp_path, "key") as run:
        assert run.recorded_as("first") == "first"
    with open_run(tmp_path, "key") as run:
        assert run.recorded_as("second") == "second"
        run.keep(make_checkpoint(1))
    with open_run(tmp_path, "key") as run:
        assert run.recorded_as("third") == "second"
    with open_run(tmp_path, "key", fresh=True) as run:
        assert run.recorded_as("fourth") == "fourth"


def test_a_write_that_was_cut_off_leaves_the_checkpoint_before_it(tmp_path: Path) -> None:
    """Half an epoch's folder, under its other name, is swept away and never read."""
    with open_run(tmp_path, "key") as run:
        run.keep(make_checkpoint(2))
    half = tmp_path / "key" / ".epoch-000003.new.abc"
    half.mkdir()
    (half / "state.npz").write_bytes(b"PK\x03\x04 half")
    with open_run(tmp_path, "key") as run:
        assert_same(run.latest(), make_checkpoint(2))
    assert not half.exists()


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "another file"])
def test_a_damaged_checkpoint_is_an_error_and_stays(tmp_path: Path, damage: str) -> None:
    """The error names the file and --fresh; nothing is removed or trained over."""
    with open_run(tmp_path, "key") as run:
        run.keep(make_checkpoint(3))
    (path,) = tmp_path.glob("key/epoch-*/state.npz")
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 0xFF
    changed = {
        "truncated": bytes(content[: len(content) // 2]),
        "flipped": bytes(content),
        "empty": b"",
        "another file": b"\x93NUMPY",
    }
    path.write_bytes(changed[damage])
    with open_run(tmp_path, "key") as run, pytest.raises(StorageError, match=r"state\.npz: got") as raised:
        run.latest()
    assert "--fresh" in raised.value.hint
    assert path.exists()


def test_one_process_at_a_time_works_on_a_run(tmp_path: Path) -> None:
    """A second one is told so; another run is free, and so is this one afterwards."""
    with open_run(tmp_path, "key"):
        with pytest.raises(ConflictError, match="another process trains this very run"), open_run(tmp_path, "key"):
            pass
        with open_run(tmp_path, "other"):
            pass
    with open_run(tmp_path, "key"):
        pass


def test_only_the_newest_unfinished_runs_are_kept(tmp_path: Path) -> None:
    """Old ones go when another begins; one that is being trained stays."""
    with open_run(tmp_path, "run-0"):
        for number in range(1, 10):
            with open_run(tmp_path, f"run-{number}") as run:
                run.keep(make_checkpoint(1))
        kept = {path.name for path in tmp_path.iterdir()}
    assert {"run-0", "run-9"} <= kept
    assert len(kept) <= MAX_UNFINISHED_RUNS + 2


def test_a_worker_that_is_not_the_chief_writes_nothing(tmp_path: Path) -> None:
    """Neither folder nor lock nor checkpoint."""
    with open_run(tmp_path / "runs", "key", writes=False) as run:
        run.keep(make_checkpoint(1))
        run.forget()
    assert list(tmp_path.iterdir()) == []


def test_a_key_changes_with_everything_that_decides_the_result(tmp_path: Path) -> None:
    """Settings, code, rows and their order count; the rest of the folder does not."""
    (tmp_path / "model.py").write_text("a = 1")
    rows_I = np.arange(5)

    def key(setting: int = 1, rows: NDArray[np.int64] = rows_I) -> str:
        return run_key({"setting": setting}, code_folder=tmp_path, arrays=(rows,))

    first = key()
    (tmp_path / "notes.txt").write_text("more")
    assert key() == first
    assert len({first, key(setting=2), key(rows=rows_I[::-1]), key(rows=rows_I[:4])}) == 4
    (tmp_path / "layers.py").write_text("b = 2")
    assert key() != first
