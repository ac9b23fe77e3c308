"""Sources that nobody has probed or played yet are found without a look at all the others."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0014"


def upgrade() -> None:
    unknown = sa.text("status = 'unknown'")
    op.create_index("ix_sources_unknown", "sources", ["priority", "id"], sqlite_where=unknown, postgresql_where=unknown)
