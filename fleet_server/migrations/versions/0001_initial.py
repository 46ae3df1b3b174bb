"""The first schema: every table as it was then, frozen here whatever becomes of the code."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

metadata = sa.MetaData()

sa.Table(
    "alerts",
    metadata,
    sa.Column("id", sa.Integer(), nullable=False),
    sa.Column("key", sa.String(length=300), nullable=False),
    sa.Column("at", sa.DateTime(), nullable=False),
    sa.Column("kind", sa.String(length=63), nullable=False),
    sa.Column("severity", sa.String(length=16), nullable=False),
    sa.Column("model", sa.String(length=63), nullable=False),
    sa.Column("version", sa.BigInteger(), nullable=False),
    sa.Column("device_ids", sa.LargeBinary(), nullable=False),
    sa.Column("summary", sa.Text(), nullable=False),
    sa.Column("resolved_at", sa.DateTime(), nullable=True),
    sa.PrimaryKeyConstraint("id", name="pk_alerts"),
)
sa.Index("ix_alerts_key", metadata.tables["alerts"].c.key)
sa.Table(
    "audit",
    metadata,
    sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
    sa.Column("at", sa.DateTime(), nullable=False),
    sa.Column("actor", sa.String(length=200), nullable=False),
    sa.Column("action", sa.String(length=100), nullable=False),
    sa.Column("subject", sa.String(length=300), nullable=False),
    sa.Column("detail", sa.Text(), nullable=False),
    sa.Column("hash", sa.String(length=64), nullable=False),
    sa.PrimaryKeyConstraint("id", name="pk_audit"),
)
sa.Table(
    "baselines",
    metadata,
    sa.Column("device_id", sa.String(length=63), nullable=False),
    sa.Column("slot", sa.String(length=16), nullable=False),
    sa.Column("release", sa.String(length=32), nullable=False),
    sa.Column("signal_count", sa.Integer(), nullable=False),
    sa.Column("class_count", sa.Integer(), nullable=False),
    sa.Column("window_count", sa.Integer(), nullable=False),
    sa.Column("counts", sa.LargeBinary(), nullable=False),
    sa.Column("means", sa.LargeBinary(), nullable=False),
    sa.Column("complete", sa.Boolean(), nullable=False),
    sa.PrimaryKeyConstraint("device_id", "slot", "release", name="pk_baselines"),
)
sa.Index("ix_baselines_complete", metadata.tables["baselines"].c.complete)
sa.Table(
    "claims",
    metadata,
    sa.Column("secret_sha256", sa.String(length=64), nullable=False),
    sa.Column("device_id", sa.String(length=63), nullable=False),
    sa.Column("labels", sa.LargeBinary(), nullable=False),
    sa.Column("created_at", sa.DateTime(), nullable=False),
    sa.Column("expires_at", sa.DateTime(), nullable=False),
    sa.Column("used_at", sa.DateTime(), nullable=True),
    sa.Column("used_key_sha256", sa.String(length=64), nullable=False),
    sa.PrimaryKeyConstraint("secret_sha256", name="pk_claims"),
)
sa.Index("ix_claims_device_id", metadata.tables["claims"].c.device_id)
sa.Table(
    "devices",
    metadata,
    sa.Column("device_id", sa.String(length=63), nullable=False),
    sa.Column("created_at", sa.DateTime(), nullable=False),
    sa.Column("removed_at", sa.DateTime(), nullable=True),
    sa.Column("labels", sa.LargeBinary(), nullable=False),
    sa.Column("profile", sa.LargeBinary(), nullable=True),
    sa.Column("online", sa.Boolean(), nullable=False),
    sa.Column("session_id", sa.String(length=200), nullable=False),
    sa.Column("previous_session_id", sa.String(length=200), nullable=False),
    sa.Column("last_seen_at", sa.DateTime(), nullable=True),
    sa.Column("reported_seq", sa.BigInteger(), nullable=False),
    sa.Column("reported", sa.LargeBinary(), nullable=True),
    sa.Column("drift_score", sa.Float(), nullable=False),
    sa.Column("drifted", sa.Boolean(), nullable=False),
    sa.PrimaryKeyConstraint("device_id", name="pk_devices"),
)
sa.Table(
    "drift_states",
    metadata,
    sa.Column("device_id", sa.String(length=63), nullable=False),
    sa.Column("slot", sa.String(length=16), nullable=False),
    sa.Column("release", sa.String(length=32), nullable=False),
    sa.Column("model", sa.String(length=63), nullable=False),
    sa.Column("model_version", sa.BigInteger(), nullable=False),
    sa.Column("at", sa.DateTime(), nullable=False),
    sa.Column("input_p", sa.LargeBinary(), nullable=False),
    sa.Column("model_p", sa.LargeBinary(), nullable=False),
    sa.Column("score", sa.Float(), nullable=False),
    sa.Column("input_drifted", sa.Boolean(), nullable=False),
    sa.Column("model_drifted", sa.Boolean(), nullable=False),
    sa.PrimaryKeyConstraint("device_id", "slot", name="pk_drift_states"),
)
sa.Index("ix_drift_states_release", metadata.tables["drift_states"].c.release)
sa.Table(
    "idempotent_answers",
    metadata,
    sa.Column("key_sha256", sa.String(length=64), nullable=False),
    sa.Column("status", sa.Integer(), nullable=False),
    sa.Column("media_type", sa.String(length=100), nullable=False),
    sa.Column("body", sa.LargeBinary(), nullable=False),
    sa.Column("expires_at", sa.DateTime(), nullable=False),
    sa.PrimaryKeyConstraint("key_sha256", name="pk_idempotent_answers"),
)
sa.Index("ix_idempotent_answers_expires_at", metadata.tables["idempotent_answers"].c.expires_at)
sa.Table(
    "releases",
    metadata,
    sa.Column("id", sa.Integer(), nullable=False),
    sa.Column("model", sa.String(length=63), nullable=False),
    sa.Column("version", sa.BigInteger(), nullable=False),
    sa.Column("release_sha256", sa.String(length=64), nullable=False),
    sa.Column("published_at", sa.DateTime(), nullable=False),
    sa.Column("published_by", sa.String(length=200), nullable=False),
    sa.Column("manifest", sa.LargeBinary(), nullable=False),
    sa.PrimaryKeyConstraint("id", name="pk_releases"),
    sa.UniqueConstraint("model", "version", name="uq_releases_model_version"),
)
sa.Table(
    "retrain_requests",
    metadata,
    sa.Column("number", sa.Integer(), nullable=False),
    sa.Column("id", sa.String(length=63), nullable=False),
    sa.Column("model", sa.String(length=63), nullable=False),
    sa.Column("reason", sa.Text(), nullable=False),
    sa.Column("state", sa.String(length=16), nullable=False),
    sa.Column("created_at", sa.DateTime(), nullable=False),
    sa.Column("created_by", sa.String(length=200), nullable=False),
    sa.Column("ended_at", sa.DateTime(), nullable=True),
    sa.Column("alert_id", sa.Integer(), nullable=False),
    sa.Column("base_version", sa.BigInteger(), nullable=False),
    sa.Column("device_ids", sa.LargeBinary(), nullable=False),
    sa.Column("lease_owner", sa.String(length=200), nullable=False),
    sa.Column("lease_expires_at", sa.DateTime(), nullable=True),
    sa.Column("lease_failures", sa.Integer(), nullable=False),
    sa.Column("result_version", sa.BigInteger(), nullable=False),
    sa.Column("rollout_id", sa.String(length=63), nullable=False),
    sa.Column("detail", sa.Text(), nullable=False),
    sa.PrimaryKeyConstraint("number", name="pk_retrain_requests"),
    sa.UniqueConstraint("id", name="uq_retrain_requests_id"),
)
sa.Index("ix_retrain_requests_model", metadata.tables["retrain_requests"].c.model)
sa.Index("ix_retrain_requests_state", metadata.tables["retrain_requests"].c.state)
sa.Table(
    "rollouts",
    metadata,
    sa.Column("number", sa.Integer(), nullable=False),
    sa.Column("id", sa.String(length=63), nullable=False),
    sa.Column("model", sa.String(length=63), nullable=False),
    sa.Column("version", sa.BigInteger(), nullable=False),
    sa.Column("release_sha256", sa.String(length=64), nullable=False),
    sa.Column("slot", sa.String(length=63), nullable=False),
    sa.Column("state", sa.String(length=32), nullable=False),
    sa.Column("reason", sa.Text(), nullable=False),
    sa.Column("created_at", sa.DateTime(), nullable=False),
    sa.Column("created_by", sa.String(length=200), nullable=False),
    sa.Column("ended_at", sa.DateTime(), nullable=True),
    sa.Column("champion_before", sa.BigInteger(), nullable=False),
    sa.Column("request", sa.LargeBinary(), nullable=False),
    sa.PrimaryKeyConstraint("number", name="pk_rollouts"),
    sa.UniqueConstraint("id", name="uq_rollouts_id"),
)
sa.Index("ix_rollouts_state", metadata.tables["rollouts"].c.state)
sa.Table(
    "users",
    metadata,
    sa.Column("name", sa.String(length=63), nullable=False),
    sa.Column("role", sa.String(length=20), nullable=False),
    sa.Column("token_sha256", sa.String(length=64), nullable=False),
    sa.Column("created_at", sa.DateTime(), nullable=False),
    sa.PrimaryKeyConstraint("name", name="pk_users"),
    sa.UniqueConstraint("token_sha256", name="uq_users_token_sha256"),
)
sa.Table(
    "windows",
    metadata,
    sa.Column("id", sa.Integer(), nullable=False),
    sa.Column("device_id", sa.String(length=63), nullable=False),
    sa.Column("slot", sa.String(length=16), nullable=False),
    sa.Column("seq", sa.BigInteger(), nullable=False),
    sa.Column("at", sa.DateTime(), nullable=False),
    sa.Column("release", sa.String(length=32), nullable=False),
    sa.Column("model", sa.String(length=63), nullable=False),
    sa.Column("model_version", sa.BigInteger(), nullable=False),
    sa.Column("frames", sa.BigInteger(), nullable=False),
    sa.Column("errors", sa.BigInteger(), nullable=False),
    sa.Column("invalid", sa.BigInteger(), nullable=False),
    sa.Column("probation", sa.Boolean(), nullable=False),
    sa.Column("latency_p50_ms", sa.Float(), nullable=False),
    sa.Column("latency_p95_ms", sa.Float(), nullable=False),
    sa.Column("mean_confidence", sa.Float(), nullable=False),
    sa.Column("rss_mb", sa.Float(), nullable=False),
    sa.Column("signal_count", sa.Integer(), nullable=False),
    sa.Column("class_count", sa.Integer(), nullable=False),
    sa.Column("record", sa.LargeBinary(), nullable=False),
    sa.Column("examined", sa.Boolean(), nullable=False),
    sa.Column("drift_score", sa.Float(), nullable=False),
    sa.Column("drifted", sa.Boolean(), nullable=False),
    sa.PrimaryKeyConstraint("id", name="pk_windows"),
    sa.UniqueConstraint("device_id", "slot", "seq", name="uq_windows_device_id_slot_seq"),
)
sa.Index("ix_windows_device_id_at", metadata.tables["windows"].c.device_id, metadata.tables["windows"].c.at)
sa.Index("ix_windows_examined_id", metadata.tables["windows"].c.examined, metadata.tables["windows"].c.id)
sa.Table(
    "aliases",
    metadata,
    sa.Column("model", sa.String(length=63), nullable=False),
    sa.Column("alias", sa.String(length=63), nullable=False),
    sa.Column("version", sa.BigInteger(), nullable=False),
    sa.Column("moved_at", sa.DateTime(), nullable=False),
    sa.ForeignKeyConstraint(
        ["model", "version"], ["releases.model", "releases.version"], name="fk_aliases_model_version"
    ),
    sa.PrimaryKeyConstraint("model", "alias", name="pk_aliases"),
)
sa.Table(
    "commands",
    metadata,
    sa.Column("id", sa.String(length=63), nullable=False),
    sa.Column("device_id", sa.String(length=63), nullable=False),
    sa.Column("name", sa.String(length=32), nullable=False),
    sa.Column("issued_at", sa.DateTime(), nullable=False),
    sa.Column("expires_at", sa.DateTime(), nullable=False),
    sa.Column("signed", sa.LargeBinary(), nullable=False),
    sa.Column("accepted", sa.Boolean(), nullable=True),
    sa.Column("code", sa.String(length=200), nullable=False),
    sa.Column("detail", sa.Text(), nullable=False),
    sa.ForeignKeyConstraint(["device_id"], ["devices.device_id"], name="fk_commands_device_id"),
    sa.PrimaryKeyConstraint("id", name="pk_commands"),
)
sa.Index("ix_commands_device_id", metadata.tables["commands"].c.device_id)
sa.Index("ix_commands_expires_at", metadata.tables["commands"].c.expires_at)
sa.Table(
    "desired",
    metadata,
    sa.Column("device_id", sa.String(length=63), nullable=False),
    sa.Column("rev", sa.BigInteger(), nullable=False),
    sa.Column("expires_at", sa.DateTime(), nullable=False),
    sa.Column("slots", sa.LargeBinary(), nullable=False),
    sa.Column("signed", sa.LargeBinary(), nullable=True),
    sa.ForeignKeyConstraint(["device_id"], ["devices.device_id"], name="fk_desired_device_id"),
    sa.PrimaryKeyConstraint("device_id", name="pk_desired"),
)
sa.Table(
    "device_events",
    metadata,
    sa.Column("device_id", sa.String(length=63), nullable=False),
    sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column("at", sa.DateTime(), nullable=False),
    sa.Column("deployment_id", sa.String(length=200), nullable=False),
    sa.Column("event", sa.LargeBinary(), nullable=False),
    sa.ForeignKeyConstraint(["device_id"], ["devices.device_id"], name="fk_device_events_device_id"),
    sa.PrimaryKeyConstraint("device_id", "seq", name="pk_device_events"),
)
sa.Index("ix_device_events_deployment_id", metadata.tables["device_events"].c.deployment_id)
sa.Table(
    "device_tokens",
    metadata,
    sa.Column("device_id", sa.String(length=63), nullable=False),
    sa.Column("token_sha256", sa.String(length=64), nullable=False),
    sa.Column("certificate_serial", sa.String(length=64), nullable=False),
    sa.Column("certificate_expires_at", sa.DateTime(), nullable=False),
    sa.ForeignKeyConstraint(["device_id"], ["devices.device_id"], name="fk_device_tokens_device_id"),
    sa.PrimaryKeyConstraint("device_id", name="pk_device_tokens"),
    sa.UniqueConstraint("token_sha256", name="uq_device_tokens_token_sha256"),
)
sa.Table(
    "rollout_devices",
    metadata,
    sa.Column("rollout_id", sa.String(length=63), nullable=False),
    sa.Column("device_id", sa.String(length=63), nullable=False),
    sa.Column("position", sa.Integer(), nullable=False),
    sa.Column("stage", sa.Integer(), nullable=False),
    sa.Column("hardware", sa.String(length=200), nullable=False),
    sa.Column("state", sa.String(length=32), nullable=False),
    sa.Column("attempt", sa.Integer(), nullable=False),
    sa.Column("given", sa.Boolean(), nullable=False),
    sa.Column("previous", sa.LargeBinary(), nullable=True),
    sa.Column("previous_known", sa.Boolean(), nullable=False),
    sa.Column("variant", sa.String(length=63), nullable=False),
    sa.Column("error", sa.LargeBinary(), nullable=True),
    sa.Column("back", sa.String(length=16), nullable=False),
    sa.Column("return_rev", sa.BigInteger(), nullable=False),
    sa.Column("progressed_at", sa.DateTime(), nullable=False),
    sa.ForeignKeyConstraint(["device_id"], ["devices.device_id"], name="fk_rollout_devices_device_id"),
    sa.ForeignKeyConstraint(["rollout_id"], ["rollouts.id"], name="fk_rollout_devices_rollout_id"),
    sa.PrimaryKeyConstraint("rollout_id", "device_id", name="pk_rollout_devices"),
)
sa.Index("ix_rollout_devices_device_id", metadata.tables["rollout_devices"].c.device_id)
sa.Table(
    "rollout_stages",
    metadata,
    sa.Column("rollout_id", sa.String(length=63), nullable=False),
    sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
    sa.Column("plan", sa.LargeBinary(), nullable=False),
    sa.Column("state", sa.String(length=32), nullable=False),
    sa.Column("started_at", sa.DateTime(), nullable=True),
    sa.Column("soaking_at", sa.DateTime(), nullable=True),
    sa.Column("ended_at", sa.DateTime(), nullable=True),
    sa.Column("reason", sa.Text(), nullable=False),
    sa.Column("accepted_failures", sa.Integer(), nullable=False),
    sa.ForeignKeyConstraint(["rollout_id"], ["rollouts.id"], name="fk_rollout_stages_rollout_id"),
    sa.PrimaryKeyConstraint("rollout_id", "position", name="pk_rollout_stages"),
)
sa.Table(
    "samples",
    metadata,
    sa.Column("number", sa.Integer(), nullable=False),
    sa.Column("id", sa.String(length=63), nullable=False),
    sa.Column("device_id", sa.String(length=63), nullable=False),
    sa.Column("model", sa.String(length=63), nullable=False),
    sa.Column("version", sa.BigInteger(), nullable=False),
    sa.Column("request_id", sa.String(length=63), nullable=False),
    sa.Column("captured_at", sa.DateTime(), nullable=False),
    sa.Column("received_at", sa.DateTime(), nullable=False),
    sa.Column("predicted", sa.String(length=300), nullable=False),
    sa.Column("confidence", sa.Float(), nullable=False),
    sa.Column("chosen", sa.String(length=63), nullable=False),
    sa.Column("sha256", sa.String(length=64), nullable=False),
    sa.Column("size_bytes", sa.BigInteger(), nullable=False),
    sa.Column("dtype", sa.String(length=16), nullable=False),
    sa.Column("shape", sa.LargeBinary(), nullable=False),
    sa.Column("label", sa.String(length=300), nullable=False),
    sa.Column("labelled_by", sa.String(length=200), nullable=False),
    sa.Column("labelled_at", sa.DateTime(), nullable=True),
    sa.ForeignKeyConstraint(["device_id"], ["devices.device_id"], name="fk_samples_device_id"),
    sa.PrimaryKeyConstraint("number", name="pk_samples"),
    sa.UniqueConstraint("id", name="uq_samples_id"),
    sa.UniqueConstraint("request_id", "sha256", name="uq_samples_request_id_sha256"),
)
sa.Index("ix_samples_model", metadata.tables["samples"].c.model)
sa.Table(
    "security_reports",
    metadata,
    sa.Column("device_id", sa.String(length=63), nullable=False),
    sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column("at", sa.DateTime(), nullable=False),
    sa.ForeignKeyConstraint(["device_id"], ["devices.device_id"], name="fk_security_reports_device_id"),
    sa.PrimaryKeyConstraint("device_id", "seq", name="pk_security_reports"),
)


def upgrade() -> None:
    """Makes every table."""
    metadata.create_all(op.get_bind())


def downgrade() -> None:
    """Drops every table."""
    metadata.drop_all(op.get_bind())
