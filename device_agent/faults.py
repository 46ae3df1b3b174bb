"""What goes wrong on a device, as errors with a stable code, and as the contract's `DeploymentError`.

Rules: a refusal that is a security matter is a `RefusedError` and is reported once; a fault is retryable only
when trying again may help; an error that nobody named is `internal`, never silent.
"""

from __future__ import annotations

from typing import Final

from fleet_contract.deployment import DeploymentError, DeploymentEvent, ErrorClass
from fleet_contract.errors import (
    ConflictError,
    ContractError,
    EdgeferryError,
    ModelError,
    StorageError,
    TrustError,
    UnreachableError,
)

MAX_DETAIL: Final = 512


class RefusedError(TrustError):
    """Something that came from outside does not hold and is not used.

    Args:
        message: what was refused and why.
        refused: `desired`, `command`, `release`, `blob` or `metadata`.
        code: stable word for programs.
        hint: what an operator can do.
    """

    def __init__(self, message: str, *, refused: str, code: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.refused = refused
        self.code = code


class FetchError(UnreachableError):
    """A download did not succeed; `retryable` says whether trying again may help."""

    def __init__(self, message: str, *, code: str, retryable: bool, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code
        self.retryable = retryable


_KINDS: Final[tuple[tuple[type[EdgeferryError], ErrorClass, str, bool], ...]] = (
    (UnreachableError, ErrorClass.NETWORK, "unreachable", True),
    (StorageError, ErrorClass.STORAGE, "storage", False),
    (TrustError, ErrorClass.TRUST, "trust", False),
    (ContractError, ErrorClass.COMPAT, "contract", False),
    (ModelError, ErrorClass.RUNTIME, "model", False),
    (ConflictError, ErrorClass.POLICY, "conflict", False),
)


def describe(error: Exception) -> DeploymentError:
    """The contract's form of an error that ended a step of a deployment."""
    detail = (error.message if isinstance(error, EdgeferryError) else f"{type(error).__name__}: {error}")[:MAX_DETAIL]
    if isinstance(error, RefusedError):
        kind = ErrorClass.INTEGRITY if error.refused == "blob" else ErrorClass.TRUST
        return DeploymentError(kind=kind, code=error.code, retryable=error.code == "metadata-expired", detail=detail)
    if isinstance(error, FetchError):
        return DeploymentError(kind=ErrorClass.NETWORK, code=error.code, retryable=error.retryable, detail=detail)
    for family, kind, code, retryable in _KINDS:
        if isinstance(error, family):
            return DeploymentError(kind=kind, code=code, retryable=retryable, detail=detail)
    return DeploymentError(kind=ErrorClass.INTERNAL, code="internal", detail=detail)


def ending(error: DeploymentError) -> DeploymentEvent:
    """The event by which a step that failed for good ends: what will never be taken is rejected, the rest failed."""
    never = {ErrorClass.TRUST, ErrorClass.COMPAT, ErrorClass.POLICY}
    return DeploymentEvent.REJECT if error.kind in never and not error.retryable else DeploymentEvent.FAIL
