"""All ports of SQL, opened together."""

from __future__ import annotations

from typing import Protocol

from orchestrator.ports.catalogue import Catalogue
from orchestrator.ports.journal import Journal
from orchestrator.ports.operation import Operation
from orchestrator.ports.playlist_imports import Imports
from orchestrator.ports.probes import Probes
from orchestrator.ports.providers import Providers
from orchestrator.ports.sessions import Sessions


class Tables(Protocol):
    """All ports of SQL over one connection pool."""

    @property
    def catalogue(self) -> Catalogue: ...

    @property
    def providers(self) -> Providers: ...

    @property
    def imports(self) -> Imports: ...

    @property
    def probes(self) -> Probes: ...

    @property
    def sessions(self) -> Sessions: ...

    @property
    def operation(self) -> Operation: ...

    @property
    def journal(self) -> Journal: ...

    async def close(self) -> None: ...
