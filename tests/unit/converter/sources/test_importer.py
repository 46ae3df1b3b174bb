"""What an imported model becomes before it is converted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from msgspec.structs import replace

from converter.cli_import import _label_names
from converter.process.jobs import ModelKind
from converter.sources import imported
from fleet_contract.errors import ConfigError, DataError
from tests.fakes.converter_candidates import candidate_document

if TYPE_CHECKING:
    from pathlib import Path

SCORES_BK = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.7, 0.3]], np.float32)
LABELS_B = np.array([0, 1, 1, 0])
SLICES_B = np.array(["day", "night", "night", ""])


def test_names_of_files_become_names_of_models() -> None:
    """What a name may not have becomes a dash; nothing at all is an error."""
    assert imported.name_from("ResNet_8 (v2).final") == "resnet-8-v2-final"
    assert len(imported.name_from("x" * 90)) == 63
    with pytest.raises(ConfigError, match="no letter"):
        imported.name_from("___")


def test_labels_that_are_asked_for_must_fit_the_outputs() -> None:
    """One name for each output, none twice."""
    assert imported.class_names(("a", "b"), None, 2) == ("a", "b")
    with pytest.raises(ConfigError, match="got 3 names, expected 2"):
        imported.class_names(("a", "b", "c"), None, 2)
    with pytest.raises(ConfigError, match="'a' more than once"):
        imported.class_names(("a", "a"), None, 2)


def test_labels_that_nobody_named() -> None:
    """Indices get numbers as names, names without an order are refused, no labels mean no classes."""
    assert imported.class_names((), np.array([0, 1]), 3) == ("0", "1", "2")
    assert imported.class_names((), None, 3) == ()
    with pytest.raises(DataError, match="to which output"):
        imported.class_names((), np.array(["a", "b"]), 2)


def test_labels_come_as_a_list_or_a_file(tmp_path: Path) -> None:
    """One name a line; blank lines and blanks around names do not count."""
    path = tmp_path / "labels.txt"
    path.write_text("cat\n dog \n\n", encoding="utf-8")
    assert _label_names(str(path)) == ("cat", "dog")
    assert _label_names("cat, dog") == ("cat", "dog")
    assert _label_names("") == ()
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="one name a line"):
        _label_names(str(path))


def test_the_evaluation_counts_rows_and_slices() -> None:
    """Accuracy with its interval, overall and where the data name a slice."""
    found = imported.evaluate(SCORES_BK, LABELS_B, SLICES_B)
    assert found.labelled
    assert (found.overall.accuracy, found.overall.sample_count) == (0.75, 4)
    assert found.overall.low < 0.75 < found.overall.high
    assert {each.name: each.accuracy for each in found.slices} == {"day": 1.0, "night": 0.5}
    assert found.log_loss == pytest.approx(-np.log([0.9, 0.8, 0.4, 0.7]).mean(), rel=1e-5)


def test_without_labels_the_evaluation_says_so() -> None:
    """No accuracy is made up: no rows were judged, and the interval is everything."""
    found = imported.evaluate(SCORES_BK, None, SLICES_B)
    assert not found.labelled
    assert (found.overall.sample_count, found.overall.low, found.overall.high) == (0, 0.0, 1.0)


def test_logits_are_told_from_probabilities() -> None:
    """Rows of 0 to 1 that sum to 1 are probabilities."""
    assert imported.are_probabilities(SCORES_BK)
    assert not imported.are_probabilities(SCORES_BK * 2)
    assert not imported.are_probabilities(SCORES_BK - np.float32(0.5))


def test_onnx_models_are_not_asked_for_tflite() -> None:
    """No converter does that without guessing."""
    assert imported.recipes_for_kind(ModelKind.ONNX) == ("onnx-f32", "onnx-int8")
    assert "tflite-int8" in imported.recipes_for_kind(ModelKind.TFLITE)


def test_the_card_names_only_what_was_measured() -> None:
    """An accuracy that nobody knows is not in the front matter, where machines read it."""
    origin = imported.lineage(
        model_sha256="a" * 64, model_file="m.onnx", samples_sha256="b" * 64, samples_file="s.npz", edges=(), seed=3
    )
    document = candidate_document({})
    known = replace(document, lineage=origin)
    unknown = replace(known, evaluation=imported.evaluate(SCORES_BK, None, SLICES_B), labels=())
    assert "model-index" in imported.card(known, ModelKind.ONNX).decode()
    card = imported.card(unknown, ModelKind.ONNX).decode()
    assert "model-index" not in card
    assert "Accuracy is not known" in card
    assert "a" * 64 in card
