"""Simple models, importances, churn, the gap between slices, and the policy on data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest

from fleet_contract.errors import DataError
from tests.fakes.contract_documents import NOON
from trainer.judging.baseline import MAX_FEATURES, SimpleModel, flat, simple_models
from trainer.judging.evaluate import evaluate
from trainer.judging.gate_settings import PolicySection
from trainer.judging.policy import require_allowed_features, require_allowed_source
from trainer.judging.validate import Champion, Judged, PairedTest, compare, validate
from trainer.pages.evaluation import EVALUATION_HTML, EVALUATION_JSON, EvaluationRecord, evaluation_files
from trainer.pages.evaluation import evaluation_record as make_record
from trainer.settings import ValidateSection
from trainer.training.train import LabelledInputs
from trainer.tuning.importance import part_importances, parts_of

if TYPE_CHECKING:
    from typing import Any

    from fleet_contract.release import GateResult, Verdict

RNG = np.random.default_rng(3)
LENIENT = ValidateSection(min_accuracy=0.0, min_gain_over_baseline=0.0)
NAMES = ("a", "<b>")


def one_hot(top_B: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Scores that are sure of `top_B`."""
    scores_BK: np.ndarray[Any, Any] = np.eye(2, dtype=np.float32)[top_B]
    return scores_BK


def judged(top_B: np.ndarray[Any, Any], labels_B: np.ndarray[Any, Any], **options: Any) -> Judged:
    """A candidate that decides `top_B`."""
    scores_BK = np.eye(2, dtype=np.float32)[top_B] * np.float32(0.9) + np.float32(0.05)
    evaluation = evaluate(scores_BK, labels_B, NAMES, np.full(len(labels_B), ""))
    return Judged(scores_BK, labels_B, NAMES, train_labels_B=labels_B, evaluation=evaluation, **options)


def gate(verdict: Verdict, name: str) -> GateResult:
    """The gate of that name."""
    return next(each for each in verdict.gates if each.gate == name)


HALF = np.arange(100) % 2


def test_simple_models_learn_what_is_linear_and_come_best_first() -> None:
    """Blobs are learned; figures are those of scikit-learn's models, the same every time."""
    inputs_B = RNG.normal(size=(300, 4, 4)).astype(np.float32)
    labels_B = (inputs_B[:, 0, 0] > 0).astype(np.int64)
    train = LabelledInputs(inputs_B[:200], labels_B[:200])
    test = LabelledInputs(inputs_B[200:], labels_B[200:])
    models = simple_models(train, test)
    assert models == simple_models(train, test)
    assert {model.name for model in models} == {"ridge classifier", "nearest centroid"}
    assert models[0].accuracy >= max(0.85, models[1].accuracy)


def test_one_class_in_training_still_gives_figures() -> None:
    """A model that knows one class is right on its share."""
    inputs_B, labels_B = np.zeros((10, 3), np.float32), np.arange(10) % 2
    alone = LabelledInputs(inputs_B, np.zeros(10, np.int64))
    assert [model.accuracy for model in simple_models(alone, LabelledInputs(inputs_B, labels_B))] == [0.5, 0.5]


def test_long_rows_are_averaged_over_neighbours() -> None:
    """A row of one value keeps it; a short row is not touched."""
    assert flat(np.full((2, 50, 50), 7.0, np.float32)).shape == (2, MAX_FEATURES)
    assert flat(np.full((2, 50, 50), 7.0, np.float32)) == pytest.approx(7.0)
    assert flat(np.arange(6, dtype=np.float32).reshape(1, 2, 3)).tolist() == [[0, 1, 2, 3, 4, 5]]


def test_a_candidate_that_is_no_better_than_a_simple_model_fails_where_that_is_asked() -> None:
    """By default it is only measured."""
    candidate = judged(HALF, HALF, simple_models=(SimpleModel(name="ridge classifier", accuracy=1.0),))
    strict = msgspec.structs.replace(LENIENT, min_gain_over_simple_model=0.01)
    assert gate(validate(candidate, LENIENT, None), "min-gain-over-simple-model").passed
    assert not gate(validate(candidate, strict, None), "min-gain-over-simple-model").passed


def test_the_gap_between_slices_is_bounded() -> None:
    """Class a is all right, class b half."""
    top_B = np.where(np.arange(100) % 4 == 3, 0, HALF)
    candidate = judged(top_B, HALF)
    result = gate(validate(candidate, msgspec.structs.replace(LENIENT, max_slice_gap=0.4), None), "max-slice-gap")
    assert not result.passed
    assert result.measured == 0.5
    assert validate(candidate, LENIENT, None).passed


def test_churn_counts_rows_that_change_also_where_accuracy_does_not() -> None:
    """Two models that are each wrong on ten other rows change twenty decisions and lose ten right ones."""
    mine, theirs = HALF.copy(), HALF.copy()
    mine[:10], theirs[10:20] = 1 - mine[:10], 1 - theirs[10:20]
    champion = Champion(3, lambda raw_B: np.eye(2)[theirs[: len(raw_B)]])
    paired = compare(champion, np.zeros((100, 1)), judged(mine, HALF))
    assert paired == PairedTest(only_candidate=10, only_champion=10, row_count=100, changed=20)
    strict = msgspec.structs.replace(LENIENT, max_churn=0.15, max_lost=0.05)
    verdict = validate(judged(mine, HALF), strict, paired)
    assert [each.gate for each in verdict.gates if not each.passed] == ["max-churn", "max-lost"]
    assert gate(verdict, "max-churn").measured == 0.2


def test_shuffling_the_part_that_decides_costs_and_the_others_do_not() -> None:
    """Parts have the names of a table's columns."""
    table_B = RNG.normal(size=(200, 3)).astype(np.float32)

    def by_second(raw_B: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        decided_B: np.ndarray[Any, Any] = (raw_B[:, 1] > 0).astype(int)
        return one_hot(decided_B)

    labels_B = (table_B[:, 1] > 0).astype(np.int64)
    parts = part_importances(by_second, table_B, labels_B, np.random.default_rng(0), ("x", "y", "z"))
    assert parts[0].part == "y"
    assert parts[0].accuracy_drop > 0.3
    assert [part.accuracy_drop for part in parts[1:]] == [0.0, 0.0]


@pytest.mark.parametrize("shape", [(5,), (100,), (40, 3), (28, 28, 1), (3, 3, 3), (1, 1)])
def test_parts_cover_every_input_once(shape: tuple[int, ...]) -> None:
    """No value is in two parts or in none."""
    seen = np.zeros(shape, int)
    for _, where in parts_of(shape):
        seen[where] += 1
    assert (seen == 1).all()


def test_the_evaluation_page_holds_gates_and_pictures_and_needs_nothing_else() -> None:
    """Names are escaped, pictures inline, the JSON reads back."""
    candidate = judged(HALF, HALF)
    record = make_record("eye", candidate, validate(candidate, LENIENT, None), NOON)
    files = evaluation_files(record)
    assert msgspec.json.decode(files[EVALUATION_JSON], type=EvaluationRecord) == record
    html = files[EVALUATION_HTML].decode()
    assert html.count("<svg") == 3
    assert "min-accuracy" in html
    assert "<b>" not in html
    assert "http-equiv" not in html
    assert "<script" not in html
    assert 'src="http' not in html
    assert evaluation_files(record) == files


def test_the_policy_refuses_sources_and_features() -> None:
    """Patterns are without regard to case; no pattern allows all."""
    policy = PolicySection(sources=("npz:data/*",), forbidden_features=("*name*", "ssn"))
    require_allowed_source(policy, "npz:data/a.npz")
    require_allowed_source(PolicySection(), "csv:anything.csv")
    require_allowed_features(policy, ["age", "height"], "x")
    with pytest.raises(DataError, match="expected one of npz:data/"):
        require_allowed_source(policy, "csv:data/a.csv")
    with pytest.raises(DataError, match="Last Name, SSN"):
        require_allowed_features(policy, ["age", "Last Name", "SSN"], "csv:a.csv")
