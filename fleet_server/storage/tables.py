"""Imports every module that defines tables, so that `metadata` is complete for migrations and tests."""

from __future__ import annotations

from fleet_server.storage import (
    alerts,
    audit,
    commands,
    credentials,
    desired,
    devices,
    idempotency,
    releases,
    retrain,
    rollouts,
    samples,
    users,
    windows,
)

MODULES = (
    alerts,
    audit,
    commands,
    credentials,
    desired,
    devices,
    idempotency,
    releases,
    retrain,
    rollouts,
    samples,
    users,
    windows,
)
