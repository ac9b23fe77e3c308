"""The room of SQL, the truth (law 1): channels, sources, providers, sessions, attempts, events, on SQLite and on PostgreSQL.

Its own law: whatever the engine does to a statement, the caller sees one of the port's errors, and nothing is half written.
"""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.adapters.sql.catalogue import SqlCatalogue
from orchestrator.adapters.sql.database import Database
from orchestrator.adapters.sql.journal import SqlJournal
from orchestrator.adapters.sql.operation import SqlOperation
from orchestrator.adapters.sql.playlist_imports import SqlImports
from orchestrator.adapters.sql.probes import SqlProbes
from orchestrator.adapters.sql.providers import SqlProviders
from orchestrator.adapters.sql.sessions import SqlSessions

__all__ = [
    "SqlCatalogue",
    "SqlImports",
    "SqlJournal",
    "SqlOperation",
    "SqlProbes",
    "SqlProviders",
    "SqlSessions",
    "Tables",
    "open_tables",
]


@dataclass(frozen=True, slots=True)
class Tables:
    """The ports over one connection pool; `close` ends the pool."""

    catalogue: SqlCatalogue
    providers: SqlProviders
    imports: SqlImports
    probes: SqlProbes
    sessions: SqlSessions
    operation: SqlOperation
    journal: SqlJournal
    database: Database

    async def close(self) -> None:
        await self.sessions.close()


def open_tables(database_url: str) -> Tables:
    """The tables at a SQLAlchemy URL, already migrated (`orchestrator.migrations.upgrade`).

    Connects on first use, so it works while the database is down. Raises BadSetting for a URL of another engine.
    """
    database = Database(database_url)
    return Tables(
        catalogue=SqlCatalogue(database),
        providers=SqlProviders(database),
        imports=SqlImports(database),
        probes=SqlProbes(database),
        sessions=SqlSessions(database),
        operation=SqlOperation(database),
        journal=SqlJournal(database),
        database=database,
    )
