"""All sessions' events in one order; and a channel's sessions, newest first."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "journal",
        sa.Column("cursor", sa.BigInteger().with_variant(sa.Integer, "sqlite"), nullable=False),
        sa.Column("session_id", sa.Text, nullable=False),
        sa.Column("event_id", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("cursor", name="pk_journal"),
        sa.ForeignKeyConstraint(
            ["session_id", "event_id"], ["events.session_id", "events.id"], name="fk_journal_session_id", ondelete="CASCADE"
        ),
        sa.UniqueConstraint("session_id", "event_id", name="uq_journal_session_id"),
        sqlite_autoincrement=True,
    )
    op.execute("INSERT INTO journal (session_id, event_id) SELECT session_id, id FROM events ORDER BY at, session_id, id")
    op.create_index("ix_sessions_channel_id", "sessions", ["channel_id", "created_at"])
