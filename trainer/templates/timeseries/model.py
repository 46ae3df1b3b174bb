"""The network. Preprocessing is declared in edgeferry.toml and is not part of it."""

import keras
from keras import layers


def build_model(
    input_shape: tuple[int, ...], class_count: int, *, filters: int = 16, dropout: float = 0.2
) -> keras.Model:
    """A small convolutional classifier from (time, channels) to class probabilities."""
    return keras.Sequential(
        [
            keras.Input(input_shape),
            layers.Conv1D(filters, 5, padding="same", activation="relu"),
            layers.MaxPooling1D(),
            layers.Conv1D(2 * filters, 5, padding="same", activation="relu"),
            layers.GlobalAveragePooling1D(),
            layers.Dropout(dropout),
            layers.Dense(class_count, activation="softmax"),
        ]
    )
