"""Playlist imports: what a provider's playlist becomes, as rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from orchestrator.core.catalogue.imported import ChannelPlan, KnownChannel


class Download(Protocol):
    async def __call__(self, url: str) -> bytes:
        """A playlist, by http or https, bounded in time and size. Raises InvalidInput('url')."""


class Imports(Protocol):
    """What imports know and write of channels and sources. All raise DatabaseUnavailable."""

    async def lineup(self) -> tuple[KnownChannel, ...]:
        """Every channel, as an import sees it; the oldest first."""

    async def apply(self, provider_id: str, planned: Sequence[ChannelPlan]) -> int:
        """Writes these planned channels in one transaction; new sources belong to the provider. A channel that has changed
        since it was planned stays as it is. Returns how many were written. Raises Stale where nothing was written, because the
        provider has been deleted or a slug has been taken meanwhile."""
