"""Which variants fit a device, and why the others do not."""

from __future__ import annotations

import pytest

from fleet_contract.device_profile import Runtime, RuntimeInfo, fitting_variants, version_tuple
from fleet_contract.release import Requirements
from tests.fakes.contract_documents import blob, profile, variant


def test_variants_that_fit_come_smallest_first() -> None:
    """The order is that in which a device tries them."""
    large, small = variant("a", blob=blob("a", size_bytes=20)), variant("b", blob=blob("b", size_bytes=10))
    fitting, unfit = fitting_variants([large, small], profile())
    assert [each.id for each in fitting] == ["b", "a"]
    assert unfit == []


OBSTACLES = {
    "runtime onnx is not installed": variant(runtime=Runtime.ONNX),
    "runtime tflite is 2.14.1, needs 2.15": variant(min_runtime_version="2.15"),
    "architecture aarch64 is not among x86_64": variant(requirements=Requirements(archs=("x86_64",))),
    "needs 80 MB of RAM, the budget is 64 MB": variant(requirements=Requirements(ram_mb=80)),
}


@pytest.mark.parametrize(("reason", "unfit"), OBSTACLES.items(), ids=OBSTACLES.keys())
def test_what_does_not_fit_says_why(reason: str, unfit: object) -> None:
    """Each obstacle is told in words that name both sides."""
    assert not isinstance(unfit, str)
    fitting, refused = fitting_variants([unfit], profile(memory_budget_mb=64))  # type: ignore[list-item]
    assert fitting == []
    assert [each.reason for each in refused] == [reason]


def test_any_of_several_runtimes_of_a_family_will_do() -> None:
    """A newer implementation beside an old one is enough."""
    runtimes = tuple(
        RuntimeInfo(runtime=Runtime.TFLITE, implementation=name, version=version)
        for name, version in (("tflite-runtime", "2.5.0"), ("ai-edge-litert", "2.14.0"))
    )
    fitting, _ = fitting_variants([variant()], profile(runtimes=runtimes))
    assert len(fitting) == 1


@pytest.mark.parametrize(
    ("text", "numbers"), [("2.14.0", (2, 14, 0)), ("2.14.0rc1", (2, 14, 0)), ("1.32", (1, 32)), ("", ()), ("x.1", ())]
)
def test_versions_compare_by_their_leading_numbers(text: str, numbers: tuple[int, ...]) -> None:
    """Suffixes do not confuse the comparison."""
    assert version_tuple(text) == numbers
