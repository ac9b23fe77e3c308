"""The source that an operator has switched a session to."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.add_column("sessions", sa.Column("chosen", sa.Text))
    op.execute("UPDATE sessions SET chosen = source_id WHERE phase = 'live' AND reason LIKE 'operator%'")
