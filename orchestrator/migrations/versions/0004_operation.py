"""What an operator needs: which orchestrators are alive, what is wanted of the whole deployment, since when a source fails."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "orchestrators",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("node", sa.Text, nullable=False),
        sa.Column("started_at", sa.Double, nullable=False),
        sa.Column("seen_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_orchestrators"),
    )
    op.create_table(
        "intents",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_intents"),
    )
    op.add_column("sources", sa.Column("problematic_since", sa.Double))
    op.create_index("ix_sessions_ended_at", "sessions", ["ended_at"])
