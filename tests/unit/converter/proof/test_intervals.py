"""Intervals: against published and independent figures."""

from __future__ import annotations

import numpy as np
import pytest

from converter.proof.intervals import (
    Z_ONE_SIDED,
    Z_TWO_SIDED,
    drop_at_most,
    least_rows_to_show,
    score_statistic,
    share_at_least,
    share_interval,
    wilson,
)


@pytest.mark.parametrize(("successes", "count"), [(0, 10), (7, 10), (397, 400), (400, 400)])
def test_shares_agree_with_scipy(successes: int, count: int) -> None:
    """Two-sided and one-sided Wilson intervals are those of another implementation."""
    from scipy.stats import binomtest

    two_sided = binomtest(successes, count).proportion_ci(0.95, method="wilson")
    assert share_interval(successes, count) == pytest.approx((two_sided.low, two_sided.high), abs=1e-9)
    one_sided = binomtest(successes, count, alternative="greater").proportion_ci(0.95, method="wilson")
    assert share_at_least(successes, count) == pytest.approx(one_sided.low, abs=1e-9)


def likelihood_statistic(lost: int, gained: int, count: int, drop: float) -> float:
    """The score statistic with the nuisance share found by brute force over the likelihood, not by the formula."""
    share = np.linspace(max(0.0, -drop), (1 - drop) / 2, 400_001)[1:-1]
    log_likelihood = (
        lost * np.log(share + drop) + gained * np.log(share) + (count - lost - gained) * np.log1p(-2 * share - drop)
    )
    best = float(share[log_likelihood.argmax()])
    return (lost - gained - count * drop) / float(np.sqrt(count * (2 * best + drop * (1 - drop))))


@pytest.mark.parametrize(("lost", "gained", "count"), [(12, 2, 50), (3, 1, 400), (5, 5, 200), (1, 6, 90)])
@pytest.mark.parametrize("drop", [0.01, 0.08, 0.3])
def test_the_paired_statistic_is_at_the_greatest_likelihood(lost: int, gained: int, count: int, drop: float) -> None:
    """Tango's closed form is what a search over the likelihood finds."""
    found = score_statistic(lost, gained, count, drop)
    assert found == pytest.approx(likelihood_statistic(lost, gained, count, drop), abs=2e-3)


def test_the_bound_of_a_drop_is_where_the_statistic_is_significant() -> None:
    """At the bound the measured drop is 1.645 standard errors below."""
    bound = drop_at_most(12, 2, 50)
    assert score_statistic(12, 2, 50, bound) == pytest.approx(-Z_ONE_SIDED, abs=1e-6)


def test_without_a_row_that_differs_it_is_wilson() -> None:
    """Nothing among 400 rows bounds the drop at 0.67 points."""
    assert drop_at_most(0, 0, 400) == pytest.approx(wilson(0, 400, Z_ONE_SIDED)[1], abs=1e-9)
    assert drop_at_most(0, 0, 400) == pytest.approx(0.0067, abs=5e-5)


def test_no_rows_show_nothing() -> None:
    """Without rows every share and every drop is possible."""
    assert wilson(0, 0, Z_TWO_SIDED) == (0.0, 1.0)
    assert drop_at_most(0, 0, 0) == 1.0


@pytest.mark.parametrize("limit", [0.01, 0.1, 0.5])
def test_the_least_rows_just_suffice(limit: float) -> None:
    """With that many rows that do not differ the bound is at the limit; with one fewer it is not."""
    rows = least_rows_to_show(limit)
    assert drop_at_most(0, 0, rows) <= limit < drop_at_most(0, 0, rows - 1)


@pytest.mark.parametrize("limit", [0.0, 1.0, float("nan")])
def test_limits_that_no_number_of_rows_shows(limit: float) -> None:
    """A drop of nothing cannot be shown; one of everything need not be."""
    assert least_rows_to_show(limit) == 0
