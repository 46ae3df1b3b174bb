"""Training on several devices or machines: the strategy that `[train] strategy` names, and who of its workers writes.

    distribution = join(Strategy.MULTI_WORKER, os.environ.get("TF_CONFIG", ""))
    with distribution.scope():
        model = build()

Rules: every worker sees the same rows in the same order and takes its share of each batch; all validate on all rows, so
all stop at the same epoch; only the chief writes. A worker that has no checkpoint takes the chief's.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import numpy as np

from fleet_contract.errors import ConfigError, UnreachableError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from numpy.typing import NDArray


class Strategy(StrEnum):
    """How a training is spread: not at all, over this machine's GPUs, or over the workers in TF_CONFIG."""

    NONE = "none"
    MIRRORED = "mirrored"
    MULTI_WORKER = "multi-worker"


class _Jobs(msgspec.Struct, frozen=True):
    worker: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    chief: Annotated[tuple[str, ...], msgspec.Meta(max_length=1)] = ()


class _Task(msgspec.Struct, frozen=True):
    type: str
    index: Annotated[int, msgspec.Meta(ge=0)]


class _TfConfig(msgspec.Struct, frozen=True):
    cluster: _Jobs
    task: _Task


@dataclass(frozen=True, slots=True)
class Cluster:
    """This process's place among the workers; the chief has index 0."""

    workers: int = 1
    index: int = 0

    @property
    def is_chief(self) -> bool:
        """Whether this process writes what comes of the training."""
        return self.index == 0


def read_cluster(strategy: Strategy, tf_config: str) -> Cluster:
    """The place that the text of the variable TF_CONFIG gives this process; alone unless the strategy spans workers.

    Raises:
        ConfigError: it is missing or does not fit TensorFlow's form.
    """
    if strategy is not Strategy.MULTI_WORKER:
        return Cluster()
    try:
        config = msgspec.json.decode(tf_config.encode(), type=_TfConfig)
    except msgspec.DecodeError as error:
        raise _bad_config(tf_config, str(error)) from error
    jobs = {"chief": config.cluster.chief, "worker": config.cluster.worker}
    members = jobs.get(config.task.type, ())
    if config.task.index >= len(members):
        raise _bad_config(tf_config, f"task {config.task.type} {config.task.index} is not in the cluster")
    before = len(config.cluster.chief) if config.task.type == "worker" else 0
    return Cluster(workers=len(jobs["chief"]) + len(jobs["worker"]), index=before + config.task.index)


def _bad_config(tf_config: str, why: str) -> ConfigError:
    got = repr(tf_config) if tf_config else "nothing"
    return ConfigError(
        f'[train] strategy = "multi-worker": TF_CONFIG: got {got}: {why}',
        hint='on each worker, e.g. TF_CONFIG=\'{"cluster": {"worker": ["host-a:9000", "host-b:9000"]}, '
        '"task": {"type": "worker", "index": 0}}\'',
    )


@dataclass(frozen=True, slots=True)
class Distribution:
    """A TensorFlow strategy and this process's place in it; `spread` False is ordinary training."""

    strategy: Any
    cluster: Cluster
    spread: bool

    def scope(self) -> AbstractContextManager[Any]:
        """Variables made in this context belong to the strategy."""
        context: AbstractContextManager[Any] = self.strategy.scope()
        return context

    @property
    def replicas(self) -> int:
        """How many devices share a batch, over all workers."""
        return int(self.strategy.num_replicas_in_sync)

    def lost_worker(self, error: Exception) -> UnreachableError | None:
        """The error in our words when it says that another worker went away; None when it says anything else."""
        import tensorflow as tf

        gone = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError)
        if self.cluster.workers == 1 or not isinstance(error, gone):
            return None
        return UnreachableError(
            f"training: a worker of {self.cluster.workers} went away: {str(error).splitlines()[0]}",
            hint="start all workers again: they go on from the chief's last checkpoint",
        )

    def share(self, batches: Any) -> Any:
        """The dataset of this worker's shares of `batches`."""
        import tensorflow as tf

        if not self.spread:
            return batches
        options = tf.data.Options()
        options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
        return self.strategy.experimental_distribute_dataset(batches.with_options(options))

    def from_chief(self, array: NDArray[Any]) -> NDArray[Any]:
        """The chief's array of this shape, on every worker; all call this in the same order."""
        import tensorflow as tf

        if self.cluster.workers == 1:
            return array
        wide = array.astype(np.int64) if array.dtype.kind in "iub" else array

        def contribution(context: Any) -> Any:
            sends = self.cluster.is_chief and context.replica_id_in_sync_group == 0
            return tf.constant(wide if sends else np.zeros_like(wide))

        parts = self.strategy.experimental_distribute_values_from_function(contribution)
        summed = self.strategy.reduce(tf.distribute.ReduceOp.SUM, parts, axis=None)
        return np.asarray(summed.numpy(), array.dtype).reshape(array.shape)


_joined: dict[str, Any] = {}


def join(strategy: Strategy, tf_config: str) -> Distribution:
    """The distribution of this process; with several workers this waits until all are there.

    Multi-worker training has to be joined before TensorFlow has done anything else; later calls give the same.

    Raises:
        ConfigError: TF_CONFIG is not of TensorFlow's form, or TensorFlow already works alone.
    """
    import tensorflow as tf

    cluster = read_cluster(strategy, tf_config)
    match strategy:
        case Strategy.NONE:
            return Distribution(tf.distribute.get_strategy(), cluster, spread=False)
        case Strategy.MIRRORED:
            devices = [device.name for device in tf.config.list_logical_devices("GPU")]
            devices = devices or [device.name for device in tf.config.list_logical_devices("CPU")]
            return Distribution(tf.distribute.MirroredStrategy(devices), cluster, spread=True)
        case Strategy.MULTI_WORKER:
            if tf_config not in _joined:
                _joined[tf_config] = _multi_worker(tf_config)
            return Distribution(_joined[tf_config], cluster, spread=True)


def _multi_worker(tf_config: str) -> Any:
    import tensorflow as tf

    try:
        return tf.distribute.MultiWorkerMirroredStrategy()
    except (RuntimeError, ValueError, tf.errors.OpError) as error:
        raise ConfigError(
            f'[train] strategy = "multi-worker": TF_CONFIG={tf_config}: got {type(error).__name__}: {error}, '
            "expected a cluster that comes together",
            hint="start every worker's `edgeferry train`, in processes that have not trained before",
        ) from error
