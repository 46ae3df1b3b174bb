"""The network. Preprocessing is declared in edgeferry.toml and is not part of it."""

import keras
from keras import layers


def build_model(
    input_shape: tuple[int, ...], class_count: int, *, units: int = 32, dropout: float = 0.1
) -> keras.Model:
    """A small dense classifier from a row of numbers to class probabilities."""
    return keras.Sequential(
        [
            keras.Input(input_shape),
            layers.Dense(units, activation="relu"),
            layers.Dropout(dropout),
            layers.Dense(units // 2, activation="relu"),
            layers.Dense(class_count, activation="softmax"),
        ]
    )
