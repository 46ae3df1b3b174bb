"""Labels worth a second look: flipped ones are on top, useless models are not listened to."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tests.fakes.trainer_projects import make_dataset
from tests.fakes.trainer_tables import make_table
from trainer.data.label_errors import confident_class, review_labels


def test_flipped_labels_come_first() -> None:
    """Of ten flipped labels most are listed, and few others."""
    data = make_dataset(600)
    flipped_I = np.random.default_rng(0).choice(600, 10, replace=False)
    labels_B = data.labels_B.copy()
    labels_B[flipped_I] = (labels_B[flipped_I] + 1) % 3
    review = review_labels(replace(data, labels_B=labels_B), seed=0)
    listed = [one.row for one in review.rows]
    assert len(set(listed[:10]) & set(flipped_I.tolist())) >= 8
    assert review.rows[0].suggested == data.label_names[data.labels_B[review.rows[0].row]]


def test_a_model_that_knows_nothing_is_not_listened_to() -> None:
    """Labels without a pattern cannot be doubted by a pattern."""
    review = review_labels(make_table(300), seed=0)
    assert review.rows == ()
    assert "not judged" in str(review)


def test_the_review_repeats_under_its_seed_and_looks_at_a_sample() -> None:
    """The same rows are looked at, no more than asked for."""
    data = make_dataset(600)
    first, second = (review_labels(data, seed=3, max_rows=150) for _ in range(2))
    assert first == second
    assert first.checked == 150


def test_a_class_of_one_row_is_left_out() -> None:
    """A model that has not seen a class cannot judge it."""
    data = make_dataset(300)
    labels_B = np.where(data.labels_B == 2, 0, data.labels_B)
    labels_B[5] = 2
    assert review_labels(replace(data, labels_B=labels_B), seed=0).checked == 299


def test_a_row_takes_the_class_whose_usual_confidence_it_reaches() -> None:
    """Equation 1 of the source, worked by hand: the usual confidences are 0.6 and 0.7."""
    scores_BK = np.asarray([[0.9, 0.1], [0.3, 0.7], [0.3, 0.7], [0.6, 0.4], [0.0, 1.0], [0.45, 0.55]])
    labels_B = np.asarray([0, 0, 1, 0, 1, 1])
    usual = (scores_BK[[0, 1, 3], 0].mean(), scores_BK[[2, 4, 5], 1].mean())
    assert np.allclose(usual, (0.6, 0.75))
    scores_BK[1] = (0.2, 0.8)
    assert confident_class(scores_BK, labels_B).tolist() == [0, 1, 1, 0, 1, 1]
