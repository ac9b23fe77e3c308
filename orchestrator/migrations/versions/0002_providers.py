"""Providers; and what imports last wrote, beside what stands there now."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    postgresql = op.get_bind().dialect.name == "postgresql"
    op.create_table(
        "providers",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("name", sa.Text(collation="C") if postgresql else sa.Text(), nullable=False),
        sa.Column("max_connections", sa.Integer),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_providers"),
        sa.UniqueConstraint("name", name="uq_providers_name"),
    )
    # In words, for Alembic adds a constraint after the column, which SQLite cannot
    op.execute(
        "ALTER TABLE sources ADD COLUMN provider_id TEXT "
        "CONSTRAINT fk_sources_provider_id REFERENCES providers (id) ON DELETE SET NULL"
    )
    op.create_index("ix_sources_provider_id", "sources", ["provider_id"])
    op.add_column("sources", sa.Column("imported", sa.Text))
    op.add_column("channels", sa.Column("imported", sa.Text))
