"""The compiled steps of a training over any strategy, and the batches that they take.

Rules: the rows of an epoch are ordered by (seed, epoch) alone, so that epoch 7 is the same whether or not epochs 1 to 6
ran in this process. Legend: B rows, I row indices.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from trainer.data.dataset import Indices, Labels
    from trainer.training.distribute import Distribution


def epoch_order(row_count: int, *, seed: int, epoch: int) -> Indices:
    """The rows of an epoch in the order in which they are trained on."""
    return np.random.default_rng([seed, epoch]).permutation(row_count).astype(np.int64)


def seed_epoch(*, seed: int, epoch: int) -> None:
    """Sets the process-wide generators for an epoch, for users' code that draws from them."""
    import tensorflow as tf

    drawn = int(np.random.default_rng([seed, epoch, 1]).integers(2**31))
    random.seed(drawn)
    np.random.seed(drawn)  # noqa: NPY002 - users' layers may draw from numpy's old global generator
    tf.random.set_seed(drawn)


@dataclass(slots=True)
class Batches:
    """Batches of the rows of one epoch after the other; `epoch` says which order the next iteration has.

    A batch is inputs, labels and, where there are any, weights.
    """

    inputs_B: NDArray[np.float32]
    labels_B: Labels
    batch_size: int
    seed: int
    weights_B: NDArray[np.float32] | None = None
    epoch: int = field(default=1)

    def shuffled(self) -> Any:
        """A dataset that looks at `epoch` whenever an iteration begins."""
        import tensorflow as tf

        count = len(self.labels_B)

        def order() -> Indices:
            return epoch_order(count, seed=self.seed, epoch=self.epoch)

        once = tf.data.Dataset.range(1)
        orders_I = once.map(lambda _: tf.ensure_shape(tf.numpy_function(order, [], tf.int64), [count]))
        rows_I = orders_I.flat_map(tf.data.Dataset.from_tensor_slices)
        return self._gather(rows_I.batch(self.batch_size))

    def in_order(self) -> Any:
        """A dataset of the rows as they are."""
        import tensorflow as tf

        return self._gather(tf.data.Dataset.range(len(self.labels_B)).batch(self.batch_size))

    def _gather(self, rows_I: Any) -> Any:
        import tensorflow as tf

        with tf.device("CPU:0"):
            columns = [
                tf.constant(rows_B) for rows_B in (self.inputs_B, self.labels_B, self.weights_B) if rows_B is not None
            ]
        gathered = rows_I.map(lambda some_I: tuple(tf.gather(rows_B, some_I) for rows_B in columns))
        return gathered.prefetch(2)


def build_state(model: Any, distribution: Distribution, sample: tuple[Any, Any]) -> None:
    """Makes every variable of a compiled Keras model; of `sample`, inputs and labels, only shapes and dtypes count."""
    with distribution.scope():
        model._symbolic_build(data_batch=sample)  # noqa: SLF001 - as fit() does: metrics cannot be made in a tf.function
        model.optimizer.build(model.trainable_variables)


def compile_step(step: Callable[[Any], Any], distribution: Distribution, batches: Any) -> Callable[[Any], None]:
    """`step` of a Keras model for one of `batches`, traced once: the last batch may be smaller than the others."""
    import tensorflow as tf

    def one_batch(batch: Any) -> None:
        distribution.strategy.run(step, args=(batch,))

    compiled: Callable[[Any], None] = tf.function(one_batch, autograph=False, input_signature=[batches.element_spec])
    return compiled
