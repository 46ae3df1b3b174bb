"""Errors as the server sees them."""

from __future__ import annotations

import pytest

from device_agent.faults import MAX_DETAIL, FetchError, RefusedError, describe, ending
from fleet_contract.deployment import DeploymentEvent, ErrorClass
from fleet_contract.errors import ContractError, ModelError, StorageError, UnreachableError

CASES = [
    (RefusedError("x", refused="blob", code="blob-hash"), ErrorClass.INTEGRITY, "blob-hash", False, "fail"),
    (RefusedError("x", refused="release", code="not-signed"), ErrorClass.TRUST, "not-signed", False, "reject"),
    (
        RefusedError("x", refused="metadata", code="metadata-expired"),
        ErrorClass.TRUST,
        "metadata-expired",
        True,
        "fail",
    ),
    (FetchError("x", code="http-404", retryable=False), ErrorClass.NETWORK, "http-404", False, "fail"),
    (UnreachableError("x"), ErrorClass.NETWORK, "unreachable", True, "fail"),
    (StorageError("x"), ErrorClass.STORAGE, "storage", False, "fail"),
    (ContractError("x"), ErrorClass.COMPAT, "contract", False, "reject"),
    (ModelError("x"), ErrorClass.RUNTIME, "model", False, "fail"),
    (ZeroDivisionError("x"), ErrorClass.INTERNAL, "internal", False, "fail"),
]


@pytest.mark.parametrize(("error", "kind", "code", "retryable", "end"), CASES, ids=lambda case: str(case)[:40])
def test_each_error_has_its_class_code_and_end(
    error: Exception, kind: ErrorClass, code: str, end: str, *, retryable: bool
) -> None:
    """What will never be taken is rejected; the rest fails, and says whether trying again may help."""
    described = describe(error)
    assert (described.kind, described.code, described.retryable) == (kind, code, retryable)
    assert ending(described) is DeploymentEvent(end)


def test_a_long_detail_is_cut() -> None:
    """The contract allows 512 characters."""
    assert len(describe(ModelError("x" * 5000)).detail) == MAX_DETAIL
