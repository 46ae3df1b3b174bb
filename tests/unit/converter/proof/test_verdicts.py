"""Verdicts on all variants together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from converter.proof.verdicts import settle
from fleet_contract.candidate import Keep, VariantGates
from tests.fakes.converter_figures import accuracy, budget, parity, trial

if TYPE_CHECKING:
    from converter.proof.trial import Trial

WHOLE = trial("tflite-f32", size_bytes=4000)
SMALL = trial("tflite-int8", parity=parity(accuracy=accuracy(0.94, 0.005)))
CLUMSY = trial("tflite-dyn-int8", size_bytes=1200, parity=parity(accuracy=accuracy(0.93, 0.005)))
LATENCY_MS = {"tflite-f32": 1.0, "tflite-int8": 2.0, "tflite-dyn-int8": 3.0, "tflite-f16": 3.0, "onnx-int8": 3.0}


def settled(*trials: Trial, **changes: Any) -> dict[str, Trial]:
    """The trials with their verdicts, by name."""
    wish: dict[str, Any] = {"gates": VariantGates(), "budgets": (), "keep": Keep.ALL, **changes}
    found = settle(trials, LATENCY_MS, **wish)
    assert [each.name for each in found] == [each.name for each in trials]
    return {each.name: each for each in found}


def test_without_targets_nothing_is_refused_for_being_slow() -> None:
    """All pass, also the one that is beaten in everything, and every one has its place."""
    found = settled(SMALL, WHOLE, CLUMSY)
    assert all(each.passed for each in found.values())
    standing = found["tflite-dyn-int8"].standing
    assert standing is not None
    assert standing.beaten_by == ("tflite-int8",)


def test_only_the_front_is_kept_on_request() -> None:
    """The beaten one is refused, and the reason names what beats it."""
    found = settled(SMALL, WHOLE, CLUMSY, keep=Keep.FRONT)
    assert [name for name, each in found.items() if each.passed] == ["tflite-int8", "tflite-f32"]
    assert "tflite-int8 is nowhere worse" in found["tflite-dyn-int8"].reason


def test_a_beaten_variant_of_another_runtime_is_kept() -> None:
    """It is what a device with only that runtime takes."""
    foreign = trial("onnx-int8", size_bytes=1200, parity=parity(accuracy=accuracy(0.93, 0.005)))
    assert settled(SMALL, foreign, keep=Keep.FRONT)["onnx-int8"].passed


def test_nothing_is_left_out_for_its_latency_on_another_kind_of_machine() -> None:
    """For a target that this machine is not, all that pass are kept; for one that it is, the front is."""
    beaten = trial("tflite-f16", size_bytes=1200, parity=parity(accuracy=accuracy(0.93, 0.005)))
    there, here = budget("pi-4"), budget("x86-64", "x86_64", here=True)
    assert settled(SMALL, beaten, budgets=(there,), keep=Keep.FRONT)["tflite-f16"].passed
    assert not settled(SMALL, beaten, budgets=(here,), keep=Keep.FRONT)["tflite-f16"].passed


def test_a_difference_within_noise_beats_nothing() -> None:
    """Twins that differ by a hundredth in latency are both on the front."""
    twin = trial("tflite-int8-mixed", parity=SMALL.parity)
    found = settle(
        (SMALL, twin),
        {"tflite-int8": 1.0, "tflite-int8-mixed": 1.01},
        gates=VariantGates(),
        budgets=(),
        keep=Keep.FRONT,
    )
    assert all(each.passed for each in found)


def test_relative_gates_use_the_float_variant_of_the_same_runtime() -> None:
    """Whatever the order, int8 is compared with its own float and the gain is what was timed in turn."""
    gates = VariantGates(max_size_ratio=0.25, min_latency_gain=0.1)
    found = settled(SMALL, WHOLE, gates=gates)["tflite-int8"]
    assert {gate.gate for gate in found.gates if not gate.passed} == {"latency-gain"}
    lonely = settled(SMALL, trial("onnx-f32", size_bytes=4000), gates=gates)["tflite-int8"]
    assert {gate.gate for gate in lonely.gates if not gate.passed} == {"size-ratio", "latency-gain"}


def test_slow_int8_is_refused_for_the_target_that_this_machine_is() -> None:
    """It stays for the other target, its architecture goes into the manifest, and the figures are told."""
    budgets = (budget("x86-64", "x86_64", here=True), budget("pi-4"))
    found = settled(SMALL, WHOLE, budgets=budgets)["tflite-int8"]
    assert found.passed
    assert [verdict.suits for verdict in found.targets] == [False, True]
    assert found.archs == ("aarch64",)
    assert "x86-64: latency-over-float: got 2, expected 1.05 (2 ms, tflite-f32 takes 1 ms" in found.gates[-1].detail


def test_a_variant_for_none_of_the_targets_is_refused() -> None:
    """The reason says why for each of them."""
    budgets = (budget("x86-64", "x86_64", here=True), budget("pi-4", ram_mb=8.0))
    found = settled(SMALL, WHOLE, budgets=budgets)["tflite-int8"]
    assert not found.passed
    assert found.reason.startswith("suits-a-target: x86-64: latency-over-float")
    assert "pi-4: target-ram-mb" in found.reason


def test_slow_int8_is_for_a_target_that_float_is_too_large_for() -> None:
    """There is no faster float to take there."""
    tiny = budget("x86-64", "x86_64", here=True, gates=VariantGates(max_size_bytes=2000))
    found = settled(SMALL, WHOLE, budgets=(tiny,))
    assert (found["tflite-int8"].passed, found["tflite-f32"].passed) == (True, False)


def test_a_float_variant_that_is_broken_is_no_measure() -> None:
    """int8 is not refused in favour of a float variant that is itself refused."""
    stuck = trial("tflite-f32", size_bytes=4000, holds=False)
    found = settled(SMALL, stuck, budgets=(budget("x86-64", "x86_64", here=True),))
    assert found["tflite-int8"].passed
    assert not found["tflite-f32"].passed


def test_a_target_may_ask_less_than_the_project() -> None:
    """What the project's gates refuse passes where the target's own are wider."""
    lossy = trial("tflite-int8", parity=parity(accuracy=accuracy(0.9, 0.02)))
    assert not settled(lossy)["tflite-int8"].passed
    wide = budget(gates=VariantGates(max_accuracy_drop=0.05))
    assert settled(lossy, budgets=(wide,))["tflite-int8"].passed


def test_what_never_ran_stays_refused() -> None:
    """No target and no front can bring it back."""
    dead = trial("tflite-int8", proof=None, parity=None, holds=False)
    found = settled(dead, WHOLE, budgets=(budget(),), keep=Keep.FRONT)["tflite-int8"]
    assert not found.passed
    assert found.standing is None
