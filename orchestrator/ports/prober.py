"""Prober: asks a source what it sends."""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

from orchestrator.core.model import Media, Source, Why
from orchestrator.core.source import health


class ProbeResult(Struct, frozen=True):
    """`media` where the source works; else `why` it does not. Without a `verdict` it is unknown whether the source works: the
    probe cannot ask it, though sessions may be able to play it."""

    media: Media | None
    why: Why | None = None
    verdict: bool = True

    @classmethod
    def fails(cls, why: Why, *, verdict: bool = True) -> ProbeResult:
        return cls(None, why, verdict)

    @property
    def reason(self) -> str | None:
        """Why it does not work, in words for an operator."""
        return None if self.why is None else self.why.text

    @property
    def happening(self) -> health.Happening:
        """What it means for the source's health."""
        if not self.verdict:
            return health.ProbeInconclusive()
        if self.media is not None:
            return health.ProbeSucceeded(self.media)
        return health.ProbeFailed(self.why)


class Prober(Protocol):
    async def probe(self, source: Source) -> ProbeResult:
        """Bounded in time, and in how many run at once. Whatever the source does raises nothing; raises EngineUnavailable where
        the prober itself fails."""

    async def close(self) -> None: ...
