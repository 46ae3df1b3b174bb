"""Weights of classes against scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from trainer.training.class_weight import ClassWeight, class_weights
from trainer.training.train import LabelledInputs, weigh

LABELS = np.repeat([0, 1, 3], [70, 25, 5])


def test_balanced_weights_are_those_of_scikit_learn() -> None:
    """A class without rows weighs nothing and counts as no class."""
    weights_K = class_weights(ClassWeight.BALANCED, LABELS, 4)
    assert weights_K is not None
    assert weights_K[[0, 1, 3]] == pytest.approx(compute_class_weight("balanced", classes=np.unique(LABELS), y=LABELS))
    assert weights_K[2] == 0.0


def test_each_row_has_the_weight_of_its_class_and_one_in_the_mean() -> None:
    """So the loss keeps its size, and the learning rate its meaning; `none` gives no weights at all."""
    rows = LabelledInputs(np.zeros((100, 2), np.float32), LABELS)
    weights_K = class_weights(ClassWeight.BALANCED, LABELS, 4)
    weights_B = weigh(rows, weights_K).weights_B
    assert weights_K is not None
    assert weights_B is not None
    assert np.array_equal(weights_B, weights_K[LABELS])
    assert weights_B.mean() == pytest.approx(1.0)
    assert class_weights(ClassWeight.NONE, LABELS, 4) is None
    assert weigh(rows, None) is rows
