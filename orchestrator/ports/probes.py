"""Probes that somebody has asked for, and sources that nobody has probed yet, as rows."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final, Protocol

from msgspec import Struct

from orchestrator.core.model import Source

PROBES: Final = "probes"
"""What a nudge names where probes have been asked for. No session has this id (theirs begin with a letter and a hyphen)."""


class ProbeAnswer(Struct, frozen=True):
    """The source as it is since its probe; or `refused`, in words for an operator: there was no probe, it stays as it was."""

    source: Source
    refused: str | None = None


class Probes(Protocol):
    """Whoever wants a source probed asks here; the orchestrator alone probes, for it alone counts providers' connections. What
    answers is `Catalogue.record_probe`, whatever its probe was made for, or `refuse`. All raise DatabaseUnavailable."""

    async def ask(self, source_ids: Collection[str], now: float) -> None:
        """Intent: probe these. One that is being asked for already is asked for once; what is no source is passed over."""

    async def asked(self) -> tuple[Source, ...]:
        """Not answered yet; what was asked for last comes first, for whoever asked then is still waiting."""

    async def unseen(self, limit: int, *, but_of: Collection[str] = ()) -> tuple[Source, ...]:
        """Of enabled channels, what has never been probed or played at its address: the first choices first. Without the
        sources of the providers `but_of`."""

    async def refuse(self, source_id: str, why: str) -> None:
        """A no-op where nobody waits for an answer."""

    async def answers(self, source_ids: Collection[str]) -> Mapping[str, ProbeAnswer | None]:
        """Of those of the sources that are there: how each was answered since it was asked for; None: not yet."""
