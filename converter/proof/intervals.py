"""Confidence intervals of what a share of held-out rows shows. Pure.

Legend of a paired comparison on the same rows: `lost` rows that only the float model has right, `gained` rows that only
the variant has right, `count` all rows. The drop of accuracy is (lost - gained) / count. The rows that both have right
or wrong say nothing about the difference, which is why the paired interval is so much narrower than two single ones.
"""

from __future__ import annotations

from math import sqrt
from typing import Final

Z_ONE_SIDED: Final = 1.6448536269514722
"""Standard normal quantile of 95 %: what is beyond a one-sided 95 % bound has probability 5 %."""
Z_TWO_SIDED: Final = 1.959963984540054
_HALVINGS: Final = 60


def wilson(successes: int, count: int, z: float) -> tuple[float, float]:
    """The score interval of a share, `z` standard errors to either side; (0, 1) where there are no rows.

    Source: Wilson 1927; Brown, Cai and DasGupta 2001, equation 4.
    """
    if count == 0:
        return (0.0, 1.0)
    share = successes / count
    centre = share + z**2 / (2 * count)
    half = z * sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    scale = 1 + z**2 / count
    low, high = (centre - half) / scale, (centre + half) / scale
    return max(0.0, min(share, low)), min(1.0, max(share, high))  # rounding must not put the share outside


def share_interval(successes: int, count: int) -> tuple[float, float]:
    """The two-sided 95 % interval of a share."""
    return wilson(successes, count, Z_TWO_SIDED)


def share_at_least(successes: int, count: int) -> float:
    """The one-sided 95 % lower bound of a share."""
    return wilson(successes, count, Z_ONE_SIDED)[0]


def drop_at_most(lost: int, gained: int, count: int) -> float:
    """The one-sided 95 % upper bound of (lost - gained) / count; 1 where there are no rows.

    The drop at which the score statistic of the paired difference is one-sided significant, found by halving. Where no
    row differs it is Wilson's bound of nothing among `count`.
    Source: Tango 1998, Statistics in Medicine 17:891, equations 6 to 8.
    """
    if count == 0:
        return 1.0
    low, high = (lost - gained) / count, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if score_statistic(lost, gained, count, middle) > -Z_ONE_SIDED:
            low = middle
        else:
            high = middle
    return high


def score_statistic(lost: int, gained: int, count: int, drop: float) -> float:
    """How many standard errors the measured drop is above `drop`, the errors being those that `drop` would have."""
    shift = drop * (1 - drop)
    b = (2 * count - lost + gained) * drop - lost - gained
    gained_share = (sqrt(max(0.0, b * b + 8 * count * gained * shift)) - b) / (4 * count)
    variance = count * (2 * gained_share + shift)
    distance = lost - gained - count * drop
    if variance <= 0.0:
        return 0.0 if distance == 0 else float("inf") * distance
    return distance / sqrt(variance)


def least_rows_to_show(limit: float) -> int:
    """How many rows, none of which differs, bring the bound of a drop down to `limit`; 0 where none can."""
    if not 0.0 < limit < 1.0:
        return 0
    rows = Z_ONE_SIDED**2 * (1 - limit) / limit
    return int(rows) + 1
