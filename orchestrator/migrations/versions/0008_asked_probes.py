"""Probes that somebody has asked for."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.add_column("sources", sa.Column("probe_asked_at", sa.Double))
    op.add_column("sources", sa.Column("probe_refused", sa.Text))
    asked = sa.text("probe_asked_at IS NOT NULL")
    op.create_index("ix_sources_probe_asked", "sources", ["id"], sqlite_where=asked, postgresql_where=asked)
