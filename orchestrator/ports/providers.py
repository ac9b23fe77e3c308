"""Accounts that sources come from, as rows."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol

from orchestrator.core.model import Provider


class Providers(Protocol):
    """Accounts that sources come from. All raise DatabaseUnavailable."""

    async def add(self, name: str, max_connections: int | None) -> Provider:
        """Raises AlreadyExists for a taken name."""

    async def get(self, provider: str) -> Provider:
        """By id or name. Raises NotFound."""

    async def all(self) -> tuple[Provider, ...]:
        """By name."""

    async def update(self, provider: Provider) -> Provider:
        """Writes name and limit. Raises NotFound, AlreadyExists."""

    async def in_use(self) -> Mapping[str, int]:
        """Provider id → connections that the attempts of sessions hold, as far as rows tell: probes, and containers that are
        still being stopped, are known to the orchestrator alone."""

    async def of_attempts(self, attempts: Collection[tuple[str, int]]) -> Mapping[tuple[str, int], str]:
        """(session id, number) → the provider of the attempt's source, where it has one."""

    async def delete(self, provider_id: str) -> None:
        """Its sources go with it, and the channels that its imports brought where they have no source left. Raises NotFound."""
