"""What a project does about near duplicates across splits: tell, take them out of training, or refuse the data.

Rules: pure. Held-out rows are never changed. Where training rows are so many that only some held-out rows are compared
(`trainer.data.near_duplicates`), only what those show is taken out or refused; the report says how many were compared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from fleet_contract.errors import DataError
from trainer.data.leakage import require_rows
from trainer.data.near_duplicates import REACH, find_near_duplicates, neighbourhoods
from trainer.data.parts import Split

if TYPE_CHECKING:
    from trainer.data.dataset import Dataset, Indices

MAX_ROUNDS: Final = 5
"""Where the nearest rows are gone, others may prove near; what is left after so many rounds is told."""
MAX_NAMED: Final = 5


def act_on_near_duplicates(
    data: Dataset, parts: Split, act: Literal["tell", "remove", "refuse"], *, seed: int
) -> tuple[Split, int]:
    """The split after what `act` says, and how many training rows were taken out.

    Raises:
        DataError: `refuse`, and there are more than chance explains; or nothing is left to train on.
    """
    if act == "refuse":
        _require_none(data, parts, seed)
    if act != "remove":
        return parts, 0
    clean = parts
    for _ in range(MAX_ROUNDS):
        near_I = _near_training_rows(data, clean, seed)
        if len(near_I) == 0:
            break
        clean = Split(np.setdiff1d(clean.train_I, near_I), clean.validation_I, clean.test_I)
        require_rows(data, parts, clean)
    return clean, len(parts.train_I) - len(clean.train_I)


def _near_training_rows(data: Dataset, parts: Split, seed: int) -> Indices:
    if len(parts.train_I) <= REACH or len(parts.held_out()) == 0:
        return parts.train_I[:0]
    found = neighbourhoods(data, parts, rng=np.random.default_rng(seed))
    return np.unique(found.train_QN[found.near_QN])


def _require_none(data: Dataset, parts: Split, seed: int) -> None:
    found = find_near_duplicates(data, parts, rng=np.random.default_rng(seed))
    if found.count <= found.by_chance:
        return
    pairs = ", ".join(f"{pair.row} and {pair.train_row}" for pair in found.pairs[:MAX_NAMED])
    raise DataError(
        f"{data.source}: {found}, expected none; held-out and training rows {pairs}",
        hint='name what belongs together with [data] group, or set [data] near_duplicates = "remove"',
    )
