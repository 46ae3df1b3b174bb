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
from trainer.training.resources import estimate_need, find_room, own_memory_bytes, require_room, require_within
from trainer.training.train import fit_model

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager

    from trainer.data.dataset import Indices
    from trainer.progress import Progress
    from trainer.project import Project
    from trainer.settings import ResourcesSection
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
    project: Project, prepared: Prepared, progress: Progress, *, fresh: bool = False, keep_checkpoints: bool = True
) -> Trained:
    """Builds the user's model and fits it, going on where an interrupted run of the very same training stopped.

    Args:
        project: its settings and model file.
        prepared: the verified, split data.
        progress: hears of epochs, and of a run that goes on; what it raises stops the run.
        fresh: begins anew whatever checkpoint there is.
        keep_checkpoints: False for a training that is not worth going on with, such as a trial.

    Raises:
        ConfigError: it does not fit into memory, or a setting asks for what the machine does not have.
        ConflictError: another process trains this very run.
        ModelError: the model cannot be built or fitted.
        StorageError: a checkpoint cannot be read or written.
    """
    settings = project.settings.train
    resources = project.settings.resources
    keras = prepare(seed=settings.seed, threads=resources.threads or settings.threads, gpu=resources.gpu)
    distribution = join(settings.strategy, os.environ.get("TF_CONFIG", ""))
    if distribution.spread:
        workers = distribution.cluster.workers
        progress.remark(f"{settings.strategy}: {distribution.replicas} replicas on {workers} workers")
    with distribution.scope():
        model = _build(project, prepared)
    epoch_I = _epoch_rows(project, prepared)
    row_count = len(epoch_I) + len(prepared.parts.validation_I)
    need = estimate_need(model, row_count=row_count, input_shape=prepared.model_shape, batch_size=settings.batch_size)
    warning = require_room(need, find_room(resources.memory_mb), oversize=resources.oversize)
    if warning:
        progress.remark(warning)
    with _run(project, prepared, epoch_I, distribution, fresh=fresh) if keep_checkpoints else nullcontext() as run:
        fit = fit_model(
            keras,
            model,
            train=prepared.inputs(epoch_I),
            validation=prepared.inputs(prepared.parts.validation_I),
            settings=settings,
            progress=_Watched(progress, resources),
            distribution=distribution,
            run=run,
        )
    return Trained(_alone(model, project, prepared) if distribution.spread else model, fit, run)


def _build(project: Project, prepared: Prepared) -> Any:
    return build_model(
        project.model_path,
        prepared.model_shape,
        len(prepared.data.label_names),
        project.settings.model.hyperparameters,
    )


def _alone(model: Any, project: Project, prepared: Prepared) -> Any:
    """The same network outside of any strategy, as every later stage expects it."""
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


@dataclass(frozen=True, slots=True)
class _Watched:
    """A progress that also looks at the memory after each epoch."""

    progress: Progress
    resources: ResourcesSection

    def stage(self, name: str) -> None:
        self.progress.stage(name)

    def epoch(self, done: int, total: int, figures: Mapping[str, float]) -> None:
        self.progress.epoch(done, total, figures)
        if self.resources.memory_mb and not self.resources.oversize:
            require_within(self.resources.memory_mb, own_memory_bytes())

    def remark(self, text: str) -> None:
        self.progress.remark(text)
