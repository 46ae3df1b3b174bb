"""The stage `train`: the user's model, built and fitted as the settings say, from its checkpoint where there is one."""

from __future__ import annotations

import os
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from trainer.data.replay import mix_epoch
from trainer.data.snapshot import snapshot_sha256
from trainer.records.lineage import tool_versions
from trainer.training.checkpoint import open_run, run_key
from trainer.training.distribute import join
from trainer.training.keras_runtime import prepare
from trainer.training.model_file import build_model
from trainer.training.precision import Precision, computing_in
from trainer.training.resources import MemoryWatch, estimate_need, find_room, require_room
from trainer.training.train import fit_model

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from trainer.data.dataset import Indices
    from trainer.progress import Progress
    from trainer.project import Project
    from trainer.records.tracking import TrackedRun
    from trainer.stages import Prepared
    from trainer.training.checkpoint import RunFolder
    from trainer.training.distribute import Distribution
    from trainer.training.train import Fit


@dataclass(frozen=True, slots=True)
class Trained:
    """A fitted Keras model and how the fit went; `run` holds its checkpoints until the candidate is kept."""

    model: Any
    fit: Fit
    run: RunFolder | None = None

    def forget(self) -> None:
        """Removes the checkpoints; call it when the candidate is safe."""
        if self.run is not None:
            self.run.forget()


def train(
    project: Project,
    prepared: Prepared,
    progress: Progress,
    *,
    fresh: bool = False,
    keep_checkpoints: bool = True,
    tracked: TrackedRun | None = None,
) -> Trained:
    """Builds the user's model and fits it, going on where an interrupted run of the very same training stopped.

    Args:
        project: its settings and model file.
        prepared: the verified, split data.
        progress: hears of epochs, and of a run that goes on; what it raises stops the run.
        fresh: begins anew whatever checkpoint there is.
        keep_checkpoints: False for a training that is not worth going on with, such as a trial.
        tracked: the record of the run, which becomes that of the interrupted run where this one goes on with it.

    Raises:
        ConfigError: it does not fit into memory, or a setting asks for what the machine does not have.
        ConflictError: another process trains this very run.
        ModelError: the model cannot be built or fitted.
        StorageError: a checkpoint cannot be read or written.
    """
    settings, resources = project.settings.train, project.settings.resources
    keras = prepare(seed=settings.seed, threads=resources.threads, gpu=resources.gpu)
    distribution = join(settings.strategy, os.environ.get("TF_CONFIG", ""))
    if distribution.spread:
        workers = distribution.cluster.workers
        progress.remark(f"{settings.strategy}: {distribution.replicas} replicas on {workers} workers")
    with distribution.scope(), computing_in(settings.precision):
        model = _build(project, prepared)
    epoch_I = _epoch_rows(project, prepared)
    _require_room(project, prepared, model, len(epoch_I), progress)
    with _run(project, prepared, epoch_I, distribution, fresh=fresh) if keep_checkpoints else nullcontext() as run:
        if tracked is not None and run is not None and run.writes:
            tracked.go_on(run.recorded_as(tracked.run_id))
        fit = fit_model(
            keras,
            model,
            train=prepared.inputs(epoch_I),
            validation=prepared.inputs(prepared.parts.validation_I),
            settings=settings,
            progress=progress,
            distribution=distribution,
            run=run,
            after_batch=MemoryWatch(0 if resources.oversize else resources.memory_mb),
        )
    plain = not distribution.spread and settings.precision is Precision.FLOAT32
    return Trained(model if plain else _alone(model, project, prepared), fit, run)


def _require_room(project: Project, prepared: Prepared, model: Any, epoch_rows: int, progress: Progress) -> None:
    """Passes, with a remark if need be, when the training may start with the memory that there is."""
    resources, batch_size = project.settings.resources, project.settings.train.batch_size
    row_count = epoch_rows + len(prepared.parts.validation_I)
    need = estimate_need(model, row_count=row_count, input_shape=prepared.model_shape, batch_size=batch_size)
    warning = require_room(need, find_room(resources.memory_mb), oversize=resources.oversize)
    if warning:
        progress.remark(warning)


def _build(project: Project, prepared: Prepared) -> Any:
    return build_model(
        project.model_path,
        prepared.model_shape,
        len(prepared.data.label_names),
        project.settings.model.hyperparameters,
    )


def _alone(model: Any, project: Project, prepared: Prepared) -> Any:
    """The same network in float32 and outside of any strategy, as every later stage expects it."""
    alone = _build(project, prepared)
    alone.set_weights(model.get_weights())
    return alone


def _epoch_rows(project: Project, prepared: Prepared) -> Indices:
    settings = project.settings.train
    return mix_epoch(
        prepared.parts.train_I,
        prepared.data.fleet_mask,
        fleet_share=settings.fleet_share,
        max_repeats=settings.fleet_max_repeats,
    )


def _run(
    project: Project, prepared: Prepared, epoch_I: Indices, distribution: Distribution, *, fresh: bool
) -> AbstractContextManager[RunFolder]:
    """The folder of this very training."""
    settings = project.settings
    decides = {
        "data": snapshot_sha256(prepared.data),
        "train": msgspec.to_builtins(settings.train),
        "model": msgspec.to_builtins(settings.model),
        "steps": msgspec.to_builtins(prepared.steps),
        "threads": settings.resources.threads,
        "workers": distribution.cluster.workers,
        "replicas": distribution.replicas,
        "tools": tool_versions(),
    }
    key = run_key(decides, code_folder=project.model_path.parent, arrays=(epoch_I, prepared.parts.validation_I))
    return open_run(project.state_folder / "runs", key, fresh=fresh, writes=distribution.cluster.is_chief)
