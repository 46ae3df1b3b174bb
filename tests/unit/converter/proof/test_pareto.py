"""The Pareto front on points that can be seen through."""

from __future__ import annotations

from math import nan

from converter.proof.pareto import Point, beats, standings

WHOLE = Point("tflite-f32", "tflite", {"loss": 0.05, "size": 40.0, "latency": 2.0})
SMALL = Point("tflite-int8", "tflite", {"loss": 0.06, "size": 12.0, "latency": 1.0})
CLUMSY = Point("tflite-dyn-int8", "tflite", {"loss": 0.06, "size": 14.0, "latency": 3.0})
FOREIGN = Point("onnx-int8", "onnx", {"loss": 0.06, "size": 14.0, "latency": 3.0})


def test_what_is_worse_in_everything_is_beaten() -> None:
    """The clumsy variant is beaten by the small one alone; the other two are the front."""
    found = standings([WHOLE, SMALL, CLUMSY])
    assert found["tflite-dyn-int8"].beaten_by == ("tflite-int8",)
    assert [name for name, standing in found.items() if standing.front] == ["tflite-f32", "tflite-int8"]


def test_each_variant_knows_where_nothing_is_better() -> None:
    """Float wins in accuracy, int8 in size and speed, the clumsy one in nothing."""
    found = standings([WHOLE, SMALL, CLUMSY])
    assert found["tflite-f32"].wins == ("loss",)
    assert found["tflite-int8"].wins == ("size", "latency")
    assert found["tflite-dyn-int8"].wins == ()


def test_a_variant_of_another_runtime_does_not_replace() -> None:
    """A device that has only onnxruntime needs the ONNX variant, beaten or not."""
    found = standings([SMALL, FOREIGN])
    assert found["onnx-int8"].beaten_by == ("tflite-int8",)
    assert found["onnx-int8"].replaced_by == ()


def test_a_variant_that_does_not_serve_a_target_does_not_replace_there() -> None:
    """What is refused for one target leaves the beaten variant its place."""
    here = Point("tflite-int8", "tflite", SMALL.costs, frozenset({"pi-4"}))
    both = Point("tflite-dyn-int8", "tflite", CLUMSY.costs, frozenset({"pi-4", "x86-64"}))
    assert standings([here, both])["tflite-dyn-int8"].replaced_by == ()
    alone = Point("tflite-dyn-int8", "tflite", CLUMSY.costs, frozenset({"pi-4"}))
    assert standings([here, alone])["tflite-dyn-int8"].replaced_by == ("tflite-int8",)


def test_nothing_is_replaced_where_the_figures_are_no_evidence() -> None:
    """What is slow here may be the quick one there."""
    elsewhere = Point("tflite-dyn-int8", "tflite", CLUMSY.costs, frozenset({"pi-4"}), proven_there=False)
    there = Point("tflite-int8", "tflite", SMALL.costs, frozenset({"pi-4"}))
    found = standings([elsewhere, there])["tflite-dyn-int8"]
    assert (found.beaten_by, found.replaced_by) == (("tflite-int8",), ())


def test_equals_do_not_beat_one_another() -> None:
    """Two of the same figures are both on the front."""
    twin = Point("twin", "tflite", SMALL.costs)
    assert all(standing.front for standing in standings([SMALL, twin]).values())


def test_what_was_not_measured_never_beats() -> None:
    """NaN is worse than any figure."""
    unmeasured = {"loss": 0.06, "size": 12.0, "latency": nan}
    assert not beats(unmeasured, SMALL.costs)
    assert beats(SMALL.costs, unmeasured)
