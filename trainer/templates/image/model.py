"""The network. Preprocessing is declared in edgeferry.toml and is not part of it."""

import keras
from keras import layers


def build_model(
    input_shape: tuple[int, ...], class_count: int, *, filters: int = 12, dropout: float = 0.2
) -> keras.Model:
    """A small convolutional classifier from (height, width, channels) to class probabilities."""
    return keras.Sequential(
        [
            keras.Input(input_shape),
            layers.Conv2D(filters, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(2 * filters, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(2 * filters, 3, padding="same", activation="relu"),
            layers.Flatten(),
            layers.Dropout(dropout),
            layers.Dense(class_count, activation="softmax"),
        ]
    )
