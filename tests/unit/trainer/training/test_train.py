"""Early stopping and the order of an epoch's rows: what decides an epoch besides its weights."""

from __future__ import annotations

import math

import numpy as np
import pytest

from trainer.training.early_stopping import Watch
from trainer.training.steps import epoch_order


def watched(losses: list[float], patience: int) -> list[Watch]:
    """The state after each loss, until the training ends."""
    states: list[Watch] = []
    watch = Watch()
    for epoch, loss in enumerate(losses, start=1):
        watch = watch.after(epoch, loss, patience=patience)
        states.append(watch)
        if watch.ended:
            break
    return states


CASES = {
    "it ends after as many worse epochs as the patience": ([3.0, 2.0, 2.5, 2.1, 1.0], 2, 4, 2),
    "an equal loss is no better one": ([2.0, 2.0, 2.0], 2, 3, 1),
    "a better loss begins the waiting anew": ([3.0, 4.0, 2.0, 5.0, 1.0], 2, 5, 5),
    "patience 0 never ends it": ([1.0, 2.0, 3.0, 4.0], 0, 4, 1),
    "a loss that is not a number ends it and is never the best": ([2.0, math.nan, 1.0], 9, 2, 1),
    "an infinite first loss leaves no best epoch": ([math.inf, 1.0], 9, 1, 0),
}


@pytest.mark.parametrize(("losses", "patience", "ends_after", "best"), CASES.values(), ids=CASES.keys())
def test_early_stopping(losses: list[float], patience: int, ends_after: int, best: int) -> None:
    """The training lasts as long as the case says, and remembers its best epoch."""
    states = watched(losses, patience)
    assert (len(states), states[-1].best_epoch) == (ends_after, best)


def test_the_order_of_an_epoch_depends_on_seed_and_number_alone() -> None:
    """Epoch 7 is the same whatever came before; another epoch or seed has another order of the same rows."""
    seventh = epoch_order(100, seed=3, epoch=7)
    epoch_order(100, seed=3, epoch=8)
    assert np.array_equal(seventh, epoch_order(100, seed=3, epoch=7))
    assert sorted(seventh.tolist()) == list(range(100))
    assert not np.array_equal(seventh, epoch_order(100, seed=3, epoch=8))
    assert not np.array_equal(seventh, epoch_order(100, seed=4, epoch=7))
