"""Two small networks of our own, trained on the spot: `python benchmarks/converter/projects.py FOLDER`.

Fashion-MNIST where Debian's package is installed, else the digits of scikit-learn. Writes `plain.keras` (convolutions
and a large dense layer), `separable.keras` (depthwise, residual, under 50,000 parameters) and `data.npz`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

FASHION = Path("/usr/share/datasets/fashion-mnist")
TRAIN_ROWS, EPOCHS = 12_000, 3


def dataset() -> tuple[str, NDArray[np.float32], NDArray[np.int64]]:
    """Its name, images (B, H, W, 1) from 0 to 1, classes; in a fixed random order."""
    if FASHION.is_dir():
        from trainer.sources.fashion_mnist import load_fashion_mnist

        data = load_fashion_mnist(FASHION)
        name, images, labels = "Fashion-MNIST", data.inputs_B.astype(np.float32) / 255, data.labels_B
    else:
        from sklearn.datasets import load_digits

        rows, labels = load_digits(return_X_y=True)
        name, images = "digits", rows.reshape(-1, 8, 8, 1).astype(np.float32) / 16
    order = np.random.default_rng(0).permutation(len(images))
    return name, images[order], labels[order].astype(np.int64)


def _plain(shape: tuple[int, ...]) -> Any:
    from keras import Input, Sequential, layers

    return Sequential(
        [
            Input(shape),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )


def _separable(shape: tuple[int, ...]) -> Any:
    from keras import Input, Model, layers

    def block(tensor: Any, filters: int, stride: int) -> Any:
        out = layers.DepthwiseConv2D(3, strides=stride, padding="same", use_bias=False)(tensor)
        out = layers.Activation("silu")(layers.BatchNormalization(momentum=0.9)(out))
        out = layers.BatchNormalization(momentum=0.9)(layers.Conv2D(filters, 1, use_bias=False)(out))
        return layers.add([tensor, out]) if stride == 1 and tensor.shape[-1] == filters else out

    image = Input(shape)
    tensor = layers.Conv2D(24, 3, padding="same", use_bias=False)(image)
    tensor = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(tensor))
    for filters, stride in ((32, 2), (32, 1), (64, 2), (64, 1), (96, 1)):
        tensor = block(tensor, filters, stride)
    tensor = layers.GlobalAveragePooling2D()(tensor)
    return Model(image, layers.Dense(10, activation="softmax")(tensor))


def main(folder: Path) -> None:
    """Trains both and writes them with the data that they did not see."""
    import keras

    name, images, labels = dataset()
    train = min(TRAIN_ROWS, len(images) * 2 // 3)
    for kind, make in (("plain", _plain), ("separable", _separable)):
        keras.utils.set_random_seed(1)
        model = make(images.shape[1:])
        model.compile(keras.optimizers.Adam(2e-3), "sparse_categorical_crossentropy")
        epochs = EPOCHS if len(images) > TRAIN_ROWS else 10 * EPOCHS
        model.fit(images[:train], labels[:train], batch_size=128, epochs=epochs, verbose=0)
        model.save(folder / f"{kind}.keras")
    unseen = slice(train, train + 10_000)
    np.savez(
        folder / "data.npz",
        name=name,
        calibration=images[: min(1000, train)],
        inputs=images[unseen],
        labels=labels[unseen],
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
