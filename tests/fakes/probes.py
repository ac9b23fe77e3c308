"""Probes that somebody has asked for, in memory, with the meaning of `orchestrator.adapters.sql.probes`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from orchestrator.core.model import Source, SourceStatus
from orchestrator.errors import DatabaseUnavailable
from orchestrator.ports import ProbeAnswer

if TYPE_CHECKING:
    from tests.fakes.tables import FakeCatalogue


class FakeProbes:
    """`ports.Probes` over the catalogue that is there when it is asked."""

    def __init__(self, catalogue: FakeCatalogue) -> None:
        self.refusing = False
        self._catalogue = catalogue

    async def ask(self, source_ids: Collection[str], now: float) -> None:
        self._answer()
        for source_id in source_ids:
            if source_id in self._catalogue._sources:
                self._catalogue.probe_asked_at.setdefault(source_id, now)
                self._catalogue.probe_refused.pop(source_id, None)

    async def asked(self) -> tuple[Source, ...]:
        self._answer()
        sources, asked = self._catalogue._sources, self._catalogue.probe_asked_at
        there = [each for each in sorted(asked, key=lambda each: (-asked[each], each)) if each in sources]
        return tuple(sources[each] for each in there)

    async def unseen(self, limit: int, *, but_of: Collection[str] = ()) -> tuple[Source, ...]:
        self._answer()
        unseen = [
            each
            for each in self._catalogue._sources.values()
            if each.status is SourceStatus.UNKNOWN
            and self._catalogue._channels[each.channel_id].enabled
            and (each.provider_id is None or each.provider_id not in but_of)
        ]
        return tuple(sorted(unseen, key=lambda each: (each.priority, each.id))[:limit])

    async def refuse(self, source_id: str, why: str) -> None:
        self._answer()
        if self._catalogue.probe_asked_at.pop(source_id, None) is not None:
            self._catalogue.probe_refused[source_id] = why

    async def answers(self, source_ids: Collection[str]) -> Mapping[str, ProbeAnswer | None]:
        self._answer()
        return {each: self.answer_of(each) for each in source_ids if each in self._catalogue._sources}

    def answer_of(self, source_id: str) -> ProbeAnswer | None:
        if source_id in self._catalogue.probe_asked_at:
            return None
        return ProbeAnswer(self._catalogue._sources[source_id], self._catalogue.probe_refused.get(source_id))

    def _answer(self) -> None:
        if self.refusing:
            raise DatabaseUnavailable("refusing")
