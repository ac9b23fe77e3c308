"""Providers: the accounts that sources belong to, as rows."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol

from orchestrator.core.model import Provider


class Providers(Protocol):
    """The accounts that sources belong to. All raise DatabaseUnavailable."""

    async def add(self, name: str, max_connections: int | None) -> Provider:
        """Raises AlreadyExists for a taken name."""

    async def get(self, provider: str) -> Provider:
        """By id or name. Raises NotFound."""

    async def all(self) -> tuple[Provider, ...]:
        """By name."""

    async def update(self, provider: Provider) -> Provider:
        """Writes name and limit. Raises NotFound, AlreadyExists."""

    async def in_use(self) -> Mapping[str, int]:
        """Provider id → connections that the attempts of sessions hold, as far as the rows tell. Probes, and containers that
        are still being stopped, are known only to the orchestrator."""

    async def of_attempts(self, attempts: Collection[tuple[str, int]]) -> Mapping[tuple[str, int], str]:
        """(session id, number) → the provider of the attempt's source, where it has one."""

    async def delete(self, provider_id: str) -> None:
        """Deletes its sources, too, and the channels that its imports added where they have no source left. Raises NotFound."""
