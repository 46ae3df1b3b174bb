"""What people write without a pipeline: load, split, standardize, fit, report, save.

    python plain_keras.py EPOCHS

Runs in a folder with `data.npz` and the project's own `model.py`.
"""

import sys

import keras
import numpy as np
import tensorflow as tf
from sklearn.metrics import classification_report
from sklearn.model_selection import train_test_split

sys.path.insert(0, ".")
from model import build_model

epochs = int(sys.argv[1])
keras.utils.set_random_seed(0)
tf.config.experimental.enable_op_determinism()

with np.load("data.npz") as data:
    inputs, labels = data["inputs"], data["labels"]
train, rest, train_labels, rest_labels = train_test_split(
    inputs, labels, train_size=0.7, stratify=labels, random_state=0
)
val, test, val_labels, test_labels = train_test_split(
    rest, rest_labels, test_size=0.5, stratify=rest_labels, random_state=0
)
mean, std = train.mean(), train.std()
train, val, test = (((part - mean) / std).astype("float32") for part in (train, val, test))

model = build_model(train.shape[1:], int(labels.max()) + 1)
model.compile(keras.optimizers.Adam(0.004), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
keep_best = keras.callbacks.EarlyStopping(patience=epochs, restore_best_weights=True)
model.fit(
    train,
    train_labels,
    batch_size=64,
    epochs=epochs,
    validation_data=(val, val_labels),
    callbacks=[keep_best],
    verbose=2,
)
scores = model.predict(test, batch_size=512, verbose=0)
print(classification_report(test_labels, scores.argmax(1), digits=4))
model.save("model.keras")
