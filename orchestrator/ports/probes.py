"""Requests for probes, and sources that have not been probed yet, as rows."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final, Protocol

from msgspec import Struct

from orchestrator.core.model import Source

PROBES: Final = "probes"
"""What a nudge names where probes have been requested. No session has this id: theirs begin with a letter and a hyphen."""


class ProbeAnswer(Struct, frozen=True):
    """The source after its probe. `refused`: why there was no probe, in words for an operator; the source is as it was."""

    source: Source
    refused: str | None = None


class Probes(Protocol):
    """Clients request probes here. Only the orchestrator probes, because only it counts the providers' connections. A request
    is answered by the source's next `Catalogue.record_probe`, whatever that probe was made for, or by `refuse`. All raise
    DatabaseUnavailable."""

    async def ask(self, source_ids: Collection[str], now: float) -> None:
        """Intent: probe these sources. A request that is not answered yet stays one request; unknown ids are ignored."""

    async def asked(self) -> tuple[Source, ...]:
        """The requests that are not answered yet. The newest comes first, because its client is most likely still waiting."""

    async def unseen(self, limit: int, *, but_of: Collection[str] = ()) -> tuple[Source, ...]:
        """Sources of enabled channels that have never been probed or played at their address, by priority. Sources of the
        providers `but_of` are left out."""

    async def refuse(self, source_id: str, why: str) -> None:
        """Answers a request without a probe; a no-op where there is none."""

    async def answers(self, source_ids: Collection[str]) -> Mapping[str, ProbeAnswer | None]:
        """Of each of these sources that exists: the answer since it was requested; None: there is none yet."""
