"""Which orchestrator may act: the lease of the one, and the last one that was refused."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0010"


def upgrade() -> None:
    op.create_table(
        "leadership",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("holder", sa.Text, nullable=False),
        sa.Column("node", sa.Text, nullable=False),
        sa.Column("process", sa.Text, nullable=False),
        sa.Column("expires_at", sa.Double, nullable=False),
        sa.Column("refused", sa.Text),
        sa.Column("refused_node", sa.Text),
        sa.Column("refused_at", sa.Double),
        sa.PrimaryKeyConstraint("name", name="pk_leadership"),
    )
