"""SQL, which is the truth (law 1): channels, sources, providers, sessions, attempts, events, on SQLite and on PostgreSQL.

Rule: every failure of the database reaches the caller as one of the port's errors, and no transaction is written in part.
"""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.adapters.sql.channels.catalogue import SqlCatalogue
from orchestrator.adapters.sql.channels.playlist_imports import SqlImports
from orchestrator.adapters.sql.channels.probes import SqlProbes
from orchestrator.adapters.sql.channels.providers import SqlProviders
from orchestrator.adapters.sql.database import Database
from orchestrator.adapters.sql.operation import SqlOperation
from orchestrator.adapters.sql.sessions.journal import SqlJournal
from orchestrator.adapters.sql.sessions.sessions import SqlSessions

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
class SqlTables:
    """All ports of SQL over one connection pool, which `close` ends."""

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


def open_tables(database_url: str) -> SqlTables:
    """The tables at a SQLAlchemy URL, already migrated (`orchestrator.migrations.upgrade`).

    Connects on first use, so it works while the database is down. Raises BadSetting for a URL of another engine.
    """
    database = Database(database_url)
    return SqlTables(
        catalogue=SqlCatalogue(database),
        providers=SqlProviders(database),
        imports=SqlImports(database),
        probes=SqlProbes(database),
        sessions=SqlSessions(database),
        operation=SqlOperation(database),
        journal=SqlJournal(database),
        database=database,
    )
