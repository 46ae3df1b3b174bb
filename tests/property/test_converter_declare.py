"""Whatever was tried where: nothing is declared that was not seen, and nothing older than a failure."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from converter.proof.compatibility import PACKAGES, OldRuntime, declare
from fleet_contract.device_profile import Runtime, version_tuple

VERSIONS = st.tuples(st.integers(0, 3), st.integers(0, 20), st.integers(0, 2)).map(
    lambda parts: ".".join(map(str, parts))
)
PROOFS = st.lists(
    st.builds(
        OldRuntime,
        package=st.sampled_from([package for packages in PACKAGES.values() for package in packages]),
        version=VERSIONS,
        ok=st.booleans(),
    ),
    max_size=12,
)


@given(st.sampled_from(Runtime), PROOFS)
def test_every_known_runtime_that_is_declared_ran_it(runtime: Runtime, proofs: list[OldRuntime]) -> None:
    """No device with a known runtime that failed is admitted, and every least version is one that ran."""
    declared = declare(runtime, proofs)
    if declared is None:
        return
    floors = declared.implementations or dict.fromkeys(PACKAGES[runtime], declared.min_runtime_version)
    for package, floor in floors.items():
        own = [proof for proof in proofs if proof.package == package]
        assert floor in {proof.version for proof in own if proof.ok}
        assert all(proof.ok for proof in own if version_tuple(proof.version) >= version_tuple(floor))


@given(st.sampled_from(Runtime), PROOFS)
def test_the_order_of_proofs_does_not_matter(runtime: Runtime, proofs: list[OldRuntime]) -> None:
    """It is a set of observations."""
    assert declare(runtime, proofs) == declare(runtime, proofs[::-1])


@given(st.sampled_from(Runtime), PROOFS)
def test_nothing_is_declared_only_where_every_package_fails_in_its_newest(
    runtime: Runtime, proofs: list[OldRuntime]
) -> None:
    """A refusal is as well founded as a claim."""
    newest_ran = []
    for package in PACKAGES[runtime]:
        own = [proof for proof in proofs if proof.package == package]
        newest = max((version_tuple(proof.version) for proof in own), default=())
        newest_ran.append(bool(own) and all(proof.ok for proof in own if version_tuple(proof.version) == newest))
    assert (declare(runtime, proofs) is not None) == any(newest_ran)
