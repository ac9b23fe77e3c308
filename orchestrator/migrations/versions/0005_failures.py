"""How sources have failed and recovered; and which address of its source an attempt was started on."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("sources", sa.Column("failures_in_a_row", sa.Integer, nullable=False, server_default=sa.text("0")))
    op.add_column("sources", sa.Column("healthy_since", sa.Double))
    op.add_column("sources", sa.Column("healthy_at", sa.Double))
    op.add_column("sessions", sa.Column("attempt_address", sa.Text))
    op.add_column("sessions", sa.Column("previous_address", sa.Text))
