"""TensorFlow made ready: imported late and quietly, seeded, deterministic, with as many threads as asked for."""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from fleet_contract.errors import ConfigError, MissingExtraError
from trainer.lean_imports import leaving_out

if TYPE_CHECKING:
    from collections.abc import Iterator

    Gpu = Literal["auto", "none"] | tuple[int, ...]


def import_keras() -> Any:
    """The keras module on TensorFlow; takes seconds the first time.

    Raises:
        MissingExtraError: TensorFlow is not installed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    try:
        with _native_stderr_held(), leaving_out("pandas", "matplotlib", "sklearn"):
            import keras
            import tensorflow as tf

            tf.config.list_physical_devices()
    except ImportError as error:
        raise MissingExtraError.for_extra("trainer", "tensorflow") from error
    return keras


def prepare(*, seed: int, threads: int, gpu: Gpu = "auto") -> Any:
    """Keras with every source of randomness seeded; the same seed, data and machine give the same weights.

    Args:
        seed: for Python, numpy and TensorFlow.
        threads: for one operation; 0 leaves it to TensorFlow.
        gpu: `auto` shows all GPUs, `none` no GPU, numbers those; none is filled with memory before it is needed.

    Raises:
        ConfigError: TensorFlow already runs with another number of threads or other GPUs, or there is no such GPU.
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
            f"[resources] threads: got {threads}, expected what this process started with: {error}",
            hint="one process trains with one number of threads; start another process",
        ) from error
    _show_gpus(tf, gpu)
    tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(seed)
    return keras


def _show_gpus(tf: Any, gpu: Gpu) -> None:
    present = tf.config.list_physical_devices("GPU")
    numbers = range(len(present)) if gpu == "auto" else () if gpu == "none" else gpu
    if any(number not in range(len(present)) for number in numbers):
        raise ConfigError(
            f"[resources] gpu: got {list(numbers)}, expected numbers below {len(present)}: so many GPUs are here",
            hint='gpu = "none" trains on the CPU',
        )
    chosen = [present[number] for number in numbers]
    if not present or chosen == tf.config.get_visible_devices("GPU"):
        return
    try:
        tf.config.set_visible_devices(chosen, "GPU")
        for device in chosen:
            tf.config.experimental.set_memory_growth(device, enable=True)
    except RuntimeError as error:
        raise ConfigError(
            f"[resources] gpu: got {list(numbers)}, expected what this process started with: {error}",
            hint="one process trains with one choice of GPUs; start another process",
        ) from error


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
