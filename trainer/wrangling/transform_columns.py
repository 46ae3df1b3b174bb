"""Which entries of the last axis a declared transform means, and what they are called before and after it. Pure.

Legend: B rows, N values of an entry, C chosen entries.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from msgspec import UNSET, UnsetType

from fleet_contract.errors import ConfigError, DataError
from fleet_contract.preprocessing import Difference, Grayscale, Impute, OneHot, Select, Spectrum, Transform
from fleet_contract.release import Feature

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trainer.wrangling.transform_settings import Places


@dataclass(frozen=True, slots=True)
class Entries:
    """The values of the chosen entries in all rows, (N, C); `names` for people, empty where there are none."""

    kind: str
    columns: tuple[int, ...] | UnsetType
    values_NC: NDArray[np.float32]
    names: tuple[str, ...]

    def name(self, place: int) -> str:
        """What people call the chosen entry at `place`."""
        number = place if self.columns is UNSET else self.columns[place]
        return f"entry {number} ({self.names[place]!r})" if self.names else f"entry {number}"

    def known(self) -> NDArray[np.float32]:
        """The values, of which every entry has some.

        Raises:
            DataError: an entry is missing everywhere.
        """
        empty_I = np.flatnonzero(np.isnan(self.values_NC).all(axis=0))
        if len(empty_I):
            raise DataError(
                f"[preprocessing] {self.kind}: {self.name(int(empty_I[0]))}: got no value in the training split, "
                "expected some",
                hint='leave it out with `select`, or fill it with impute and strategy = "constant"',
            )
        return self.values_NC


def entries_of(
    kind: str, places: Places | None, current_B: NDArray[np.float32], features: tuple[Feature, ...]
) -> Entries:
    """The values of the entries that `places` means.

    Raises:
        ConfigError: there is no such entry.
    """
    columns = find_columns(kind, places, current_B.shape[1:], features)
    chosen = list(range(current_B.shape[-1]) if columns is UNSET else columns)
    values_B = current_B if columns is UNSET else current_B[..., chosen]
    names = tuple(features[column].name for column in chosen) if features else ()
    return Entries(kind=kind, columns=columns, values_NC=values_B.reshape(-1, len(chosen)), names=names)


def find_columns(
    kind: str, places: Places | None, shape: tuple[int, ...], features: tuple[Feature, ...]
) -> tuple[int, ...] | UnsetType:
    """The numbers of these entries of samples of that shape; unset for all.

    Raises:
        ConfigError: a name or number is not there.
    """
    if places is None:
        return UNSET
    numbers = {feature.name: number for number, feature in enumerate(features)}
    found: list[int] = []
    for place in places:
        number = numbers.get(place, -1) if isinstance(place, str) else place
        if not 0 <= number < (shape[-1] if shape else 0):
            raise _no_entry(kind, place, shape, list(numbers))
        found.append(number)
    return tuple(found)


def entries_after(step: Transform, before: tuple[Feature, ...]) -> tuple[Feature, ...]:
    """What the entries are called after `step`; empty where nobody can say."""
    match step:
        case Select(columns=columns) if before:
            return tuple(before[column] for column in columns)
        case Impute(indicator=True, columns=columns) if before:
            chosen = before if columns is UNSET else tuple(before[column] for column in columns)
            return (*before, *(Feature(name=f"{feature.name} missing") for feature in chosen))
        case OneHot(columns=columns, counts=counts):
            widths = dict(zip(columns, counts, strict=True))
            return tuple(each for place, feature in enumerate(before) for each in _codes(feature, widths.get(place)))
        case Grayscale() | Difference() | Spectrum():
            return ()
        case _:
            return before


def _codes(feature: Feature, count: int | None) -> tuple[Feature, ...]:
    if count is None:
        return (feature,)
    words = [*feature.categories, *map(str, range(len(feature.categories), count))][:count]
    return tuple(Feature(name=f"{feature.name}={word}") for word in words)


def _no_entry(kind: str, place: int | str, shape: tuple[int, ...], names: list[str]) -> ConfigError:
    nearest = difflib.get_close_matches(str(place), names, n=1)
    known = f"one of {', '.join(names[:8])}{', ...' if len(names) > 8 else ''}" if names else "a number"
    return ConfigError(
        f"[preprocessing] {kind}: columns: got {place!r}, expected {known}, below {shape[-1] if shape else 0} "
        f"as the last axis of {list(shape)} has",
        hint=f"did you mean {nearest[0]!r}?" if nearest else "",
    )
