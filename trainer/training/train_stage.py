"""The stage `train`: the user's model built, then fitted by our loop or by the user's own function.

Rules: our loop goes on from its checkpoint where there is one; what cannot be trained is refused before a run begins.
"""

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
from trainer.training.class_weight import class_weights
from trainer.training.compiling import LEARNING_RATE, compile_model
from trainer.training.distribute import join
from trainer.training.keras_runtime import prepare
from trainer.training.model_file import check_model, load_model_file
from trainer.training.precision import Precision, computing_in
from trainer.training.resources import MemoryWatch, estimate_need, find_room, require_room
from trainer.training.train import fit_model, weigh
from trainer.training.user_training import require_single, train_by_user

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    import numpy as np
    from numpy.typing import NDArray

    from trainer.data.dataset import Indices
    from trainer.progress import Progress
    from trainer.project import Project
    from trainer.records.tracking import TrackedRun
    from trainer.settings import TrainSection
    from trainer.stages import Prepared
    from trainer.training.checkpoint import RunFolder
    from trainer.training.distribute import Distribution
    from trainer.training.model_file import ModelFile
    from trainer.training.train import Fit


@dataclass(frozen=True, slots=True)
class Trained:
    """A fitted Keras model and how the fit went; `run` holds its checkpoints until the candidate is kept.

    `learned_with` says in words for the lineage what fitted it: an optimizer and a loss, or the user's function.
    """

    model: Any
    fit: Fit
    learned_with: Mapping[str, str | float]
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
    code = load_model_file(project.model_path)
    training = _Training(project, prepared, progress, code, distribution, _epoch_rows(project, prepared))
    if code.train is not None:
        require_single(settings)
        return training.by_user(code.train)
    return training.by_loop(keras, fresh=fresh, keep_checkpoints=keep_checkpoints, tracked=tracked)


@dataclass(frozen=True, slots=True)
class _Training:
    """What a training starts from, whichever way it goes on; `epoch_I` are the rows of each epoch."""

    project: Project
    prepared: Prepared
    progress: Progress
    code: ModelFile
    distribution: Distribution
    epoch_I: Indices

    @property
    def settings(self) -> TrainSection:
        return self.project.settings.train

    def by_user(self, train_model: Callable[..., Any]) -> Trained:
        """A training by the user's own function, of which there are no checkpoints."""
        self.progress.remark(f"{self.code.path.name}: train_model trains; a killed training begins anew")
        model = self.build()
        self.require_room(model)
        fitted, fit = train_by_user(
            train_model,
            model,
            train=self.prepared.inputs(self.epoch_I),
            validation=self.prepared.inputs(self.prepared.parts.validation_I),
            settings=self.settings,
            progress=self.progress,
            weights_K=self.class_weights(),
            after_epoch=self.memory_watch(),
        )
        if fitted is not model:
            check_model(fitted, self.prepared.model_shape, self.class_count, f"{self.code.path}: train_model")
        rate = self.settings.learning_rate or LEARNING_RATE
        return Trained(fitted, fit, {"trained_by": "train_model", "learning_rate": rate})

    def by_loop(self, keras: Any, *, fresh: bool, keep_checkpoints: bool, tracked: TrackedRun | None) -> Trained:
        """A training by our loop, from the run's checkpoint where there is one."""
        settings, rate = self.settings, self.settings.learning_rate
        with self.distribution.scope(), computing_in(settings.precision):
            model = self.build()
            learned_with = compile_model(keras, model, learning_rate=rate, class_count=self.class_count)
        self.require_room(model)
        with self.run(fresh=fresh) if keep_checkpoints else nullcontext() as run:
            if tracked is not None and run is not None and run.writes:
                tracked.go_on(run.recorded_as(tracked.run_id))
            fit = fit_model(
                model,
                train=weigh(self.prepared.inputs(self.epoch_I), self.class_weights()),
                validation=self.prepared.inputs(self.prepared.parts.validation_I),
                settings=settings,
                progress=self.progress,
                distribution=self.distribution,
                run=run,
                after_batch=self.memory_watch(),
            )
        return Trained(self.alone(model), fit, learned_with, run)

    @property
    def class_count(self) -> int:
        return len(self.prepared.data.label_names)

    def build(self) -> Any:
        hyperparameters = self.project.settings.model.hyperparameters
        return self.code.build(self.prepared.model_shape, self.class_count, hyperparameters)

    def alone(self, model: Any) -> Any:
        """The same network in float32 and outside of any strategy, as every later stage expects it."""
        if not self.distribution.spread and self.settings.precision is Precision.FLOAT32:
            return model
        alone = self.build()
        alone.set_weights(model.get_weights())
        return alone

    def class_weights(self) -> NDArray[np.float32] | None:
        labels_B = self.prepared.data.labels_B[self.epoch_I]
        return class_weights(self.settings.class_weight, labels_B, self.class_count)

    def memory_watch(self) -> MemoryWatch:
        resources = self.project.settings.resources
        return MemoryWatch(0 if resources.oversize else resources.memory_mb)

    def require_room(self, model: Any) -> None:
        """Passes, with a remark if need be, when the training may start with the memory that there is."""
        resources, shape = self.project.settings.resources, self.prepared.model_shape
        row_count = len(self.epoch_I) + len(self.prepared.parts.validation_I)
        need = estimate_need(model, row_count=row_count, input_shape=shape, batch_size=self.settings.batch_size)
        warning = require_room(need, find_room(resources.memory_mb), oversize=resources.oversize)
        if warning:
            self.progress.remark(warning)

    def run(self, *, fresh: bool) -> AbstractContextManager[RunFolder]:
        """The folder of this very training."""
        settings, cluster = self.project.settings, self.distribution.cluster
        decides = {
            "data": snapshot_sha256(self.prepared.data),
            "train": msgspec.to_builtins(settings.train),
            "model": msgspec.to_builtins(settings.model),
            "steps": msgspec.to_builtins(self.prepared.steps),
            "threads": settings.resources.threads,
            "workers": cluster.workers,
            "replicas": self.distribution.replicas,
            "tools": tool_versions(),
        }
        rows = (self.epoch_I, self.prepared.parts.validation_I)
        key = run_key(decides, code_folder=self.code.path.parent, arrays=rows)
        return open_run(self.project.state_folder / "runs", key, fresh=fresh, writes=cluster.is_chief)


def _epoch_rows(project: Project, prepared: Prepared) -> Indices:
    settings = project.settings.train
    return mix_epoch(
        prepared.parts.train_I,
        prepared.data.fleet_mask,
        fleet_share=settings.fleet_share,
        max_repeats=settings.fleet_max_repeats,
    )
