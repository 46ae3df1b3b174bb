"""When to stop, and whose weights to keep: the epoch of least validation loss.

Rules: pure. A loss that is not finite is never the best and ends the training at once: what comes after it is noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Watch:
    """What was seen so far; epochs count from 1, `best_epoch` 0 means none had a finite loss."""

    best_loss: float = math.inf
    best_epoch: int = 0
    waited: int = 0
    ended: bool = False

    def after(self, epoch: int, loss: float, *, patience: int) -> Watch:
        """The state after `epoch`; `patience` epochs without a better loss end the training, 0 never does."""
        if not math.isfinite(loss):
            return Watch(self.best_loss, self.best_epoch, self.waited + 1, ended=True)
        if loss < self.best_loss:
            return Watch(loss, epoch)
        waited = self.waited + 1
        return Watch(self.best_loss, self.best_epoch, waited, ended=0 < patience <= waited)
