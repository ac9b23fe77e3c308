"""Leases: each viewer of a session has its own, so that a channel's viewers can share one session."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "leases",
        sa.Column("session_id", sa.Text, nullable=False),
        sa.Column("viewer", sa.Text, nullable=False),
        sa.Column("token_hash", sa.Text, nullable=False),
        sa.Column("renewed_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("session_id", "viewer", name="pk_leases"),
        sa.ForeignKeyConstraint(["session_id"], ["sessions.id"], name="fk_leases_session_id", ondelete="CASCADE"),
    )
    op.create_index("ix_leases_viewer", "leases", ["viewer"])
    op.execute(
        "INSERT INTO leases (session_id, viewer, token_hash, renewed_at) "
        "SELECT id, viewer, token_hash, renewed_at FROM sessions"
    )
    op.drop_column("sessions", "token_hash")
    op.drop_column("sessions", "renewed_at")
    op.create_table(
        "marks",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_marks"),
    )
