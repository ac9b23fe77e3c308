"""A prober in memory: every source works unless its URL is told otherwise."""

from __future__ import annotations

import asyncio

from orchestrator.core.model import Media, Source
from orchestrator.ports import ProbeResult

WORKS = ProbeResult(Media(video="h264", audio="aac", channels=2, width=640, height=360, bitrate_bps=400_000, cadence_s=2.0))


class FakeProber:
    """`results` by URL; a URL in `hung` answers when its event is set; `probed` is what was asked, in order."""

    def __init__(self) -> None:
        self.results: dict[str, ProbeResult] = {}
        self.hung: dict[str, asyncio.Event] = {}
        self.probed: list[str] = []

    async def probe(self, source: Source) -> ProbeResult:
        self.probed.append(source.url)
        if source.url in self.hung:
            await self.hung[source.url].wait()
        return self.results.get(source.url, WORKS)

    async def close(self) -> None:
        """Nothing to close."""
