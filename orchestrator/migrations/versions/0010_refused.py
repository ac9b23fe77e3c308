"""The sources of a session whose job the agent refuses."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.add_column("sessions", sa.Column("refused", sa.Text, nullable=False, server_default=sa.text("'[]'")))
