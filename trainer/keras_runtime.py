"""TensorFlow made ready: imported late and quietly, seeded, deterministic, with as many threads as asked for."""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from fleet_contract.errors import ConfigError, MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Iterator


def import_keras() -> Any:
    """The keras module on TensorFlow; takes seconds the first time.

    Raises:
        MissingExtraError: TensorFlow is not installed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    try:
        with _native_stderr_held():
            import keras
            import tensorflow as tf

            tf.config.list_physical_devices()
    except ImportError as error:
        raise MissingExtraError.for_extra("trainer", "tensorflow") from error
    return keras


def prepare(*, seed: int, threads: int) -> Any:
    """Keras with every source of randomness seeded; the same seed, data and machine give the same weights.

    Args:
        seed: for Python, numpy and TensorFlow.
        threads: for one operation; 0 leaves it to TensorFlow.

    Raises:
        ConfigError: TensorFlow already runs with another number of threads.
        MissingExtraError: TensorFlow is not installed.
    """
    keras = import_keras()
    import tensorflow as tf

    threading = tf.config.threading
    try:
        if threads and threading.get_intra_op_parallelism_threads() != threads:
            threading.set_intra_op_parallelism_threads(threads)
        if threads and threading.get_inter_op_parallelism_threads() != threads:
            threading.set_inter_op_parallelism_threads(threads)
    except RuntimeError as error:
        raise ConfigError(
            f"[train] threads: got {threads}, expected what this process started with: {error}",
            hint="one process trains with one number of threads; start another process",
        ) from error
    tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(seed)
    return keras


@contextmanager
def _native_stderr_held() -> Iterator[None]:
    """Holds back what native code writes to file descriptor 2 (banners about GPUs); shows it when the block fails."""
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(saved, held.read())
            raise
        finally:
            os.dup2(saved, 2)
            os.close(saved)
