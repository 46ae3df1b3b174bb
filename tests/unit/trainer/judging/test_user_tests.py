"""Behaviour tests that a user declares: each fails a model that does what it forbids, and passes one that does not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fleet_contract.errors import ConfigError, ModelError
from trainer.judging.gate_settings import Change, Direction, DirectionalSection, InvarianceSection
from trainer.judging.user_tests import behaviour_results, change_inputs
from trainer.settings import ValidateSection

if TYPE_CHECKING:
    from pathlib import Path

    from trainer.judging.user_tests import BehaviourResult

IMAGES = np.random.default_rng(0).integers(0, 256, (40, 6, 6, 1)).astype(np.uint8)
TABLE = np.random.default_rng(1).normal(size=(50, 3)).astype(np.float32)


def by_left_half(images_B: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Class 1 when the left half is the brighter one."""
    means_B = images_B.reshape(len(images_B), 6, 6).astype(float)
    return two_scores(means_B[:, :, :3].mean((1, 2)) - means_B[:, :, 3:].mean((1, 2)))


def by_first_feature(table_B: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The score of class 1 grows with feature 0."""
    return two_scores(table_B[:, 0])


def two_scores(value_B: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """A sigmoid as two class scores."""
    one_B = 1 / (1 + np.exp(-value_B))
    return np.stack([1 - one_B, one_B], axis=1).astype(np.float32)


def result(test: Any, scorer: Any, raw_B: Any, folder: Path, **options: Any) -> BehaviourResult:
    """What the one test gives."""
    settings = ValidateSection(
        min_accuracy=0.0,
        invariance=(test,) if isinstance(test, InvarianceSection) else (),
        directional=(test,) if isinstance(test, DirectionalSection) else (),
    )
    (found,) = behaviour_results(settings, scorer, raw_B, ("no", "yes"), folder=folder, seed=1, **options)
    return found


def test_a_flip_breaks_a_model_that_looks_left_and_not_one_that_looks_up(tmp_path: Path) -> None:
    """The gate carries count, limit and examples."""
    sideways = InvarianceSection(name="mirror", transform=Change.FLIP_HORIZONTAL)
    broken = result(sideways, by_left_half, IMAGES, tmp_path).gate
    assert not broken.passed
    assert broken.gate == "invariance mirror"
    assert broken.measured == 1.0
    assert "40 of 40 test rows, for instance test rows 0, 1" in broken.detail
    upright = InvarianceSection(name="upside down", transform=Change.FLIP_VERTICAL, max_changed=0.0)
    assert result(upright, by_left_half, IMAGES, tmp_path).gate.passed


@pytest.mark.parametrize(("direction", "fails"), [(Direction.UP, 0), (Direction.DOWN, 50)])
def test_a_score_that_grows_may_go_up_and_not_down(tmp_path: Path, direction: Direction, fails: int) -> None:
    """A feature is named by its column or its number."""
    for feature in (0, "width"):
        test = DirectionalSection(name="w", feature=feature, change=2.0, label="yes", direction=direction)
        found = result(test, by_first_feature, TABLE, tmp_path, features=("width", "height", "depth"))
        assert found.failed_count == fails
        assert found.gate.passed == (fails == 0)


def test_scores_that_are_not_finite_fail_both_kinds(tmp_path: Path) -> None:
    """NaN never passes."""

    def nan(raw_B: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return np.full((len(raw_B), 2), np.nan, np.float32)

    offset = InvarianceSection(name="o", transform=Change.OFFSET, amount=0.0)
    directed = DirectionalSection(name="d", feature=0, change=0.0, label="yes", max_violations=0.9)
    assert result(offset, nan, TABLE, tmp_path).failed_count == 50
    assert not result(directed, nan, TABLE, tmp_path).gate.passed


def test_a_users_function_changes_inputs_and_noise_is_the_same_every_time(tmp_path: Path) -> None:
    """Functions get a copy and a seeded generator."""
    (tmp_path / "mine.py").write_text("def darker(inputs_B, rng):\n    inputs_B[:, :, :3] = 0\n    return inputs_B\n")
    before = IMAGES.copy()
    darker = InvarianceSection(name="d", function="mine.py:darker")
    assert result(darker, by_left_half, IMAGES, tmp_path).failed_count > 5
    assert (before == IMAGES).all()
    noise = InvarianceSection(name="n", transform=Change.NOISE, amount=0.5)
    first, second = (result(noise, by_left_half, IMAGES, tmp_path) for _ in range(2))
    assert first == second
    assert 0 < first.failed_count < 40


@pytest.mark.parametrize(
    ("test", "words"),
    [
        (InvarianceSection(name="x"), "neither"),
        (InvarianceSection(name="x", transform=Change.SHIFT, function="a.py:b"), "both"),
        (InvarianceSection(name="x", function="absent.py:b"), "no such file"),
        (InvarianceSection(name="x", function="mine.py:absent"), "no function 'absent'"),
        (InvarianceSection(name="x", transform=Change.FLIP_VERTICAL), "expected images"),
        (DirectionalSection(name="x", feature=3, change=1.0, label="yes"), "expected one of 0, 1, 2"),
        (DirectionalSection(name="x", feature=0, change=1.0, label="maybe"), "expected one of no, yes"),
    ],
)
def test_a_test_that_does_not_fit_is_refused_by_name(tmp_path: Path, test: Any, words: str) -> None:
    """A typo never turns a gate off."""
    (tmp_path / "mine.py").write_text("")
    with pytest.raises(ConfigError, match=words):
        result(test, by_first_feature, TABLE, tmp_path)


@pytest.mark.parametrize("body", ["return inputs_B[1:]", "raise ValueError('no')"])
def test_a_function_that_fails_or_loses_rows_is_told(tmp_path: Path, body: str) -> None:
    """The user's mistake is named as theirs."""
    (tmp_path / "mine.py").write_text(f"def f(inputs_B, rng):\n    {body}\n")
    with pytest.raises(ModelError, match=r"\[\[validate.invariance\]\] 'x'"):
        result(InvarianceSection(name="x", function="mine.py:f"), by_first_feature, TABLE, tmp_path)


def test_changes_keep_the_dtype_and_stay_in_its_range() -> None:
    """Brightness does not wrap around, a shift repeats the edge."""
    bright = change_inputs(Change.BRIGHTNESS, IMAGES, 3.0)
    assert bright.dtype == np.uint8
    assert bright.max() == 255
    assert (bright >= IMAGES).all()
    shifted = change_inputs(Change.SHIFT, IMAGES, 2)
    assert (shifted[:, 2:] == IMAGES[:, :-2]).all()
    assert (shifted[:, :2] == IMAGES[:, :1]).all()
    assert (change_inputs(Change.SHIFT, IMAGES, -1)[:, -1] == IMAGES[:, -1]).all()
