"""The Pareto front: which variants are worth having. Pure.

One variant beats another that is no better in any figure and worse in at least one. The front are those that nothing
beats. A variant can stand in for another only on the same runtime and wherever the other serves, and only where the
figures are evidence for all of these places; one that is beaten by such a variant can be left out without any device
being worse off.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Point:
    """One variant: `costs` by name, less is better, the same names for all.

    `serves` are the targets that it suits; `proven_there` whether its costs are evidence for each of them.
    """

    name: str
    runtime: str
    costs: Mapping[str, float]
    serves: frozenset[str] = frozenset()
    proven_there: bool = True


@dataclass(frozen=True, slots=True)
class Standing:
    """Where one variant stands among the others.

    `beaten_by` are those that beat it, `replaced_by` those of them that can stand in for it; `wins` are the figures in
    which no other is better.
    """

    beaten_by: tuple[str, ...]
    replaced_by: tuple[str, ...]
    wins: tuple[str, ...]

    @property
    def front(self) -> bool:
        """Whether it is on the front of all variants."""
        return not self.beaten_by


def standings(points: Sequence[Point]) -> dict[str, Standing]:
    """The standing of each point among all of them, by name."""
    return {point.name: _standing(point, points) for point in points}


def beats(first: Mapping[str, float], second: Mapping[str, float]) -> bool:
    """Whether `first` is nowhere worse than `second` and somewhere better. What is no number beats nothing."""
    pairs = [(first[name], second[name]) for name in second]
    return all(_no_worse(one, other) for one, other in pairs) and any(_better(one, other) for one, other in pairs)


def _standing(point: Point, points: Iterable[Point]) -> Standing:
    others = [other for other in points if other.name != point.name]
    beating = [other for other in others if beats(other.costs, point.costs)]
    return Standing(
        beaten_by=tuple(other.name for other in beating),
        replaced_by=tuple(other.name for other in beating if _stands_in(other, point)),
        wins=tuple(
            name
            for name, cost in point.costs.items()
            if isfinite(cost) and not any(_better(other.costs[name], cost) for other in others)
        ),
    )


def _stands_in(other: Point, point: Point) -> bool:
    return point.proven_there and other.runtime == point.runtime and other.serves >= point.serves


def _no_worse(one: float, other: float) -> bool:
    return not _better(other, one)


def _better(one: float, other: float) -> bool:
    return isfinite(one) and (one < other or not isfinite(other))
