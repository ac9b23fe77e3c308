"""Channels, sources, failovers between channels; sessions, attempts, events.

There is no way down: a database is taken back by its backup.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    postgresql = op.get_bind().dialect.name == "postgresql"
    by_code_points = sa.Text(collation="C") if postgresql else sa.Text()
    active_source = sa.ForeignKeyConstraint(
        ["active_source_id"], ["sources.id"], name="fk_channels_active_source_id", ondelete="SET NULL"
    )
    op.create_table(
        "channels",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("slug", sa.Text, nullable=False),
        sa.Column("name", by_code_points, nullable=False),
        sa.Column("number", sa.Integer),
        sa.Column("group", sa.Text),
        sa.Column("logo", sa.Text),
        sa.Column("tvg_id", sa.Text),
        sa.Column("tvg_name", sa.Text),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("policy", sa.Text, nullable=False),
        sa.Column("active_source_id", sa.Text),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("updated_at", sa.Double, nullable=False),
        sa.Column("sort_number", sa.Integer, nullable=False),
        sa.Column("search_text", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_channels"),
        sa.UniqueConstraint("slug", name="uq_channels_slug"),
        # The two tables name each other: PostgreSQL wants the other table first, SQLite cannot add a constraint later
        *([] if postgresql else [active_source]),
    )
    op.create_index("ix_channels_active_source_id", "channels", ["active_source_id"])
    op.create_index("ix_channels_listing", "channels", ["sort_number", "name", "id"])

    op.create_table(
        "sources",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("channel_id", sa.Text, nullable=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("user_agent", sa.Text),
        sa.Column("headers", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("failure_count", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("stall_count", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("last_checked_at", sa.Double),
        sa.Column("last_failed_at", sa.Double),
        sa.Column("last_failure_reason", sa.Text),
        sa.Column("media", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_sources"),
        sa.ForeignKeyConstraint(["channel_id"], ["channels.id"], name="fk_sources_channel_id", ondelete="CASCADE"),
    )
    op.create_index("ix_sources_channel_id", "sources", ["channel_id", "priority"])
    problematic = sa.text("status = 'problematic'")
    op.create_index("ix_sources_problematic", "sources", ["id"], sqlite_where=problematic, postgresql_where=problematic)
    if postgresql:
        op.create_foreign_key(
            "fk_channels_active_source_id", "channels", "sources", ["active_source_id"], ["id"], ondelete="SET NULL"
        )

    op.create_table(
        "channel_failovers",
        sa.Column("channel_id", sa.Text, nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("failover_channel_id", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("channel_id", "position", name="pk_channel_failovers"),
        sa.ForeignKeyConstraint(["channel_id"], ["channels.id"], name="fk_channel_failovers_channel_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["failover_channel_id"], ["channels.id"], name="fk_channel_failovers_failover_channel_id", ondelete="CASCADE"
        ),
        sa.UniqueConstraint("channel_id", "failover_channel_id", name="uq_channel_failovers_channel_id"),
    )
    op.create_index("ix_channel_failovers_failover_channel_id", "channel_failovers", ["failover_channel_id"])

    op.create_table(
        "sessions",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("channel_id", sa.Text, nullable=False),
        sa.Column("viewer", sa.Text, nullable=False),
        sa.Column("token_hash", sa.Text, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("renewed_at", sa.Double, nullable=False),
        sa.Column("desired", sa.Text, nullable=False),
        sa.Column("switch_to", sa.Text),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("phase", sa.Text, nullable=False),
        sa.Column("target_duration_s", sa.Integer),
        sa.Column("last_attempt", sa.Integer, nullable=False),
        sa.Column("attempt", sa.Integer),
        sa.Column("source_id", sa.Text),
        sa.Column("attempt_started_at", sa.Double),
        sa.Column("attempt_live_at", sa.Double),
        sa.Column("previous_attempt", sa.Integer),
        sa.Column("previous_source_id", sa.Text),
        sa.Column("previous_started_at", sa.Double),
        sa.Column("previous_live_at", sa.Double),
        sa.Column("reason", sa.Text),
        sa.Column("from_source_id", sa.Text),
        sa.Column("tried", sa.Text, nullable=False),
        sa.Column("fault_at", sa.Double),
        sa.Column("faults", sa.Integer, nullable=False),
        sa.Column("unavailable_since", sa.Double),
        sa.Column("retries", sa.Integer, nullable=False),
        sa.Column("retry_at", sa.Double),
        sa.Column("ended_at", sa.Double),
        sa.Column("end_reason", sa.Text),
        sa.Column("last_event", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.PrimaryKeyConstraint("id", name="pk_sessions"),
    )
    op.create_index("ix_sessions_created_at", "sessions", ["created_at", "id"])
    op.create_index("ix_sessions_phase", "sessions", ["phase", "created_at", "id"])
    running = sa.text("phase <> 'ended' AND desired = 'run'")
    op.create_index(
        "uq_sessions_running",
        "sessions",
        ["viewer", "channel_id"],
        unique=True,
        sqlite_where=running,
        postgresql_where=running,
    )

    op.create_table(
        "attempts",
        sa.Column("session_id", sa.Text, nullable=False),
        sa.Column("number", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("source_id", sa.Text),
        sa.Column("started_at", sa.Double, nullable=False),
        sa.Column("first_segment_at", sa.Double),
        sa.Column("ended_at", sa.Double),
        sa.Column("exit_code", sa.Integer),
        sa.Column("start_reason", sa.Text),
        sa.Column("end_reason", sa.Text),
        sa.PrimaryKeyConstraint("session_id", "number", name="pk_attempts"),
        sa.ForeignKeyConstraint(["session_id"], ["sessions.id"], name="fk_attempts_session_id", ondelete="CASCADE"),
    )
    op.create_index("ix_attempts_started_at", "attempts", ["started_at"])

    op.create_table(
        "events",
        sa.Column("session_id", sa.Text, nullable=False),
        sa.Column("id", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("fields", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("session_id", "id", name="pk_events"),
        sa.ForeignKeyConstraint(["session_id"], ["sessions.id"], name="fk_events_session_id", ondelete="CASCADE"),
    )
