"""When a slate that failed may be started again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("sessions", sa.Column("slate_at", sa.Double))
    op.add_column("sessions", sa.Column("slate_faults", sa.Integer, nullable=False, server_default=sa.text("0")))
