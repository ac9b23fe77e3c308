"""A simulated world around the real control loop: sources that fail, an engine whose agents really list segments in a store
with conditional writes, an operator, outages, crashes. Time is simulated, so minutes take milliseconds.

The laws of the design are watched in all of it (laws.py): whoever uses this world proves them on the way.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar
from unittest.mock import patch

from msgspec.structs import replace

from orchestrator.app.service import orchestrate
from orchestrator.app.settings import Settings
from orchestrator.control import supervisor as supervisor_module
from orchestrator.control.supervisor import Supervisor
from orchestrator.core.model import SLATE, Channel, ChannelPolicy, Event, EventType, Phase, Session, Source
from orchestrator.errors import NotFound, Temporary
from orchestrator.ports import PROBES, NewSource, ProbeAnswer
from tests.fakes.event_bus import FakeEventBus
from tests.fakes.object_store import parsed
from tests.fakes.tables import FakeTables
from tests.orchestrator.simulated.accounts import Accounts
from tests.orchestrator.simulated.agent import SEGMENT_S, TICK_S, Agent, SimulatedSource
from tests.orchestrator.simulated.laws import Laws
from tests.orchestrator.simulated.parts import (
    SimulatedPeriodicJobs,
    SimulatedProber,
    SimulatedRuntime,
    SimulatedStore,
    WatchedCatalogue,
    WatchedSessions,
)
from tests.orchestrator.simulated.time import SimulatedLoop
from transcoder import bucket
from transcoder.publish.media_playlist import MediaPlaylist

T = TypeVar("T")

RENEWS_EVERY_S = 2.0
EPOCH = 1_700_000_000.0


class World:
    """A channel of sources by name; the first is tried first. `slates`: one goes on where none works. `switches`:
    attempts switch inputs by themselves. `behind`: its failover
    channels, by slug, with their sources. Use as a context manager; `pass_s` and `until` let time pass."""

    def __init__(
        self, *names: str, slates: bool = False, switches: bool = False, behind: Mapping[str, tuple[str, ...]] | None = None
    ) -> None:
        self.loop = SimulatedLoop()
        self.laws = Laws(lambda: self.now, lambda: {each.id: each.url for each in self.tables.catalogue._sources.values()})
        self.mail_takes_s = 0.0  # so long after it happened an agent posts its report
        self.mail_comes_twice = False  # each report is posted again, after the one that follows it
        self.settings = Settings(origin_url="http://cdn.test/hls", input_switches="on" if switches else "off")
        self.sources = {name: SimulatedSource(name) for name in names}
        self.slate = SimulatedSource(SLATE)  # what a generator in a container does: it works, unless it is told not to
        self._slates = slates
        self.runtime = SimulatedRuntime(self)
        self.store = SimulatedStore(self)
        self.bus = FakeEventBus()
        self.tables = FakeTables(WatchedCatalogue(self))
        self.tables.sessions = WatchedSessions(self.tables.catalogue, self)
        self.agents: list[Agent] = []
        self.accounts = Accounts(self)
        self._behind = behind or {}
        self.api_runs = False  # without one nobody can renew, and no lease runs out
        self.watched: set[str] = set()  # sessions that somebody renews, while it can be done
        self.watchers: set[tuple[str, str]] = set()  # session and viewer: of those that share one, who renews
        self.supervisor: Supervisor | None = None
        self._running: contextlib.AsyncExitStack | None = None
        self._crashing: asyncio.Task[None] | None = None
        self._patches = contextlib.ExitStack()

    def __enter__(self) -> World:
        self._patches.enter_context(patch.object(supervisor_module, "decide", self.laws.decide))
        self._patches.enter_context(patch("orchestrator.app.service.PeriodicJobs", SimulatedPeriodicJobs))
        logging.getLogger("orchestrator").addHandler(self.laws.bugs)
        self._patches.callback(logging.getLogger("orchestrator").removeHandler, self.laws.bugs)
        self.channel = self.add_channel("news", *self.sources)
        self.behind = {slug: self.add_channel(slug, *names) for slug, names in self._behind.items()}
        if self.behind:
            self.set_failovers(*self.behind)
        self._ticking = self.loop.create_task(self._tick(), name="world")
        self._renewing = self.loop.create_task(self._renew(), name="api")
        self.start_orchestrator()
        return self

    def __exit__(self, failed: type[BaseException] | None, *_: object) -> None:
        try:
            self.loop.run_until_complete(self._stop())
            self._ticking.cancel()
            self._renewing.cancel()
            self.loop.run_until_complete(asyncio.sleep(0.0))  # what was cancelled ends now
            left = asyncio.all_tasks(self.loop) - {self._ticking, self._renewing}
            for task in left:
                task.cancel()
            self.loop.run_until_complete(asyncio.wait({self._ticking, self._renewing, *left}))
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        finally:
            self.loop.close()
            self._patches.close()
        if failed is None:
            assert not left, f"tasks outlived the control loop: {left}"
            self.laws.uphold()

    # --- time ---------------------------------------------------------------------------------------------------------

    @property
    def now(self) -> float:
        return EPOCH + self.loop.time()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        result = self.loop.run_until_complete(work)
        self.laws.uphold()
        return result

    def pass_s(self, seconds: float) -> None:
        self.run(asyncio.sleep(seconds))

    def until(self, condition: Callable[[], T], within_s: float) -> T:
        """Let time pass until this is true; returns what it was. How long it took is the clock's to say."""

        async def wait() -> T:
            deadline = self.loop.time() + within_s
            while not (value := condition()):
                assert self.loop.time() < deadline, f"not within {within_s:g} s: {self.story()}"
                await asyncio.sleep(0.01)
            return value

        return self.run(wait())

    # --- the orchestrator ---------------------------------------------------------------------------------------------

    def start_orchestrator(self) -> None:
        self.run(self._start())

    def stop_orchestrator(self) -> None:
        """All that it had in memory is lost; what it was doing is not finished."""
        self.run(self._stop())

    def crash_orchestrator(self) -> None:
        """It dies where it stands, and a second later somebody starts it again."""

        async def crash() -> None:
            await self._stop()
            await asyncio.sleep(1.0)
            await self._start()

        if self._crashing is None or self._crashing.done():
            self._crashing = self.loop.create_task(crash())

    async def _start(self) -> None:
        if self._running is not None:
            return
        self.laws.orchestrator_starts()
        self._running = contextlib.AsyncExitStack()
        self.supervisor = await self._running.enter_async_context(
            orchestrate(
                self.settings,
                tables=self.tables,
                runtime=self.runtime,
                store=self.store,
                bus=self.bus,
                prober=SimulatedProber(self),
                now=lambda: self.now,
            )
        )

    async def _stop(self) -> None:
        if self._crashing is not None and self._crashing is not asyncio.current_task():
            await self._crashing
        if self._running is not None:
            running, self._running, self.supervisor = self._running, None, None
            await running.aclose()

    # --- the operator and the API -------------------------------------------------------------------------------------

    def add_channel(self, slug: str, *names: str) -> Channel:
        """A name with a provider ("a@acme") is of an account that `accounts` knows."""
        new = []
        for name, _, provider in (each.partition("@") for each in names):
            url = self.sources.setdefault(name, SimulatedSource(name)).url
            new.append(NewSource(url=url, provider_id=self.accounts.ids[provider] if provider else None))
        channel = Channel(id="", slug=slug, name=slug, policy=ChannelPolicy(slate=self._slates))
        return self.run(self.tables.catalogue.add_channel(channel, new))

    def set_failovers(self, *slugs: str) -> None:
        self.run(self.tables.catalogue.set_failovers(self.channel.id, [self.behind[slug].id for slug in slugs]))

    def set_policy(self, **changes: Any) -> None:
        channel = self.run(self.tables.catalogue.channel(self.channel.id))
        changed = replace(channel, policy=replace(channel.policy, **changes))
        self.run(self.tables.catalogue.update_channel(changed))

    def request(
        self, viewer: str = "viewer", channel: Channel | None = None, *, nudge: bool = True, shared: bool = False
    ) -> str:
        """A session's id. Raises LimitReached."""
        channel_id = (channel or self.channel).id
        row, _ = self.run(self.tables.sessions.request(channel_id, viewer, "hash", self.now, shared=shared))
        if nudge:
            self.nudge(row.session.id)
        return row.session.id

    def nudge(self, session_id: str) -> None:
        with contextlib.suppress(Temporary):
            self.run(self.bus.nudge(session_id))

    def ask_probe(self, *names: str, nudge: bool = True) -> None:
        """As "probe now" does."""
        self.run(self.tables.probes.ask([self.row(name).id for name in names], self.now))
        if nudge:
            self.nudge(PROBES)

    def probe_answer(self, name: str) -> ProbeAnswer | None:
        """None: not yet."""
        return self.tables.probes.answer_of(self.row(name).id)

    def live(self, viewer: str = "viewer") -> str:
        """A session that plays."""
        session_id = self.request(viewer)
        self.until(lambda: self.session(session_id).phase is Phase.LIVE, 30.0)
        return session_id

    # --- looking ------------------------------------------------------------------------------------------------------

    def session(self, session_id: str) -> Session:
        return self.tables.sessions._get(session_id).session

    def row(self, name: str) -> Source:
        """A source as the tables have it."""
        (found,) = (each for each in self.tables.catalogue._sources.values() if self.sources[name].is_at(each.url))
        return found

    def has(self, name: str) -> bool:
        """Whether the source has a row."""
        return any(self.sources[name].is_at(each.url) for each in self.tables.catalogue._sources.values())

    def name_of(self, source_id: str) -> str | None:
        found = self.tables.catalogue._sources.get(source_id)
        return None if found is None else self.source_at(found.url).name

    def source_at(self, url: str) -> SimulatedSource:
        return next(each for each in self.sources.values() if each.is_at(url))

    def events(self, session_id: str) -> list[Event]:
        return list(self.tables.sessions._events[session_id])

    def told(self, session_id: str) -> list[EventType]:
        return [event.type for event in self.events(session_id)]

    def attempts(self, session_id: str) -> list[int]:
        """Every attempt that the session has had."""
        return sorted(number for own, number in self.tables.sessions._attempts if own == session_id)

    def playlist(self, session_id: str) -> MediaPlaylist | None:
        kept = self.store.objects_by_key.get(bucket.media_playlist_key(session_id))
        return None if kept is None else parsed(kept.data)

    def listed(self, session_id: str) -> int:
        """The attempt that listed last; 0: none."""
        playlist = self.playlist(session_id)
        return 0 if playlist is None else playlist.last_attempt

    def playing(self, session_id: str) -> str | None:
        """The name of the source whose segment was listed last, if that was just now."""
        playlist = self.playlist(session_id)
        if playlist is None or self.now - (playlist.end_s or 0.0) > SEGMENT_S + 2 * TICK_S:
            return None
        own = (each for each in self.agents if each.session_id == session_id and each.attempt == playlist.last_attempt)
        return next((each.source.name for each in own), None)

    def agent(self, session_id: str) -> Agent | None:
        """The one of the session's current attempt, if it was ever started."""
        attempt = self.session(session_id).attempt
        own = (each for each in self.agents if each.session_id == session_id)
        return None if attempt is None else next((each for each in own if each.attempt == attempt.number), None)

    def story(self) -> str:
        attempts = list(self.tables.sessions._attempts.values())
        return f"{[row.session for row in self.tables.sessions._rows.values()]}, {attempts[-6:]}"

    # --- what happens -------------------------------------------------------------------------------------------------

    def kill(self, session_id: str, exit_code: int = 137) -> None:
        agent = self.agent(session_id)
        assert agent is not None
        self.runtime.die(agent.session_id, agent.attempt, exit_code)

    async def _renew(self) -> None:
        while True:
            self.laws.could_renew(self.api_runs and not self.tables.refusing)
            if self.api_runs:
                with contextlib.suppress(Temporary):
                    await self.tables.sessions.can_renew(self.now)
                    for session_id in self.watched:
                        await self.tables.sessions.renew(session_id, self.now)
                    for session_id, viewer in self.watchers:
                        with contextlib.suppress(NotFound):  # its lease was given up
                            await self.tables.sessions.renew(session_id, self.now, viewer)
            await asyncio.sleep(RENEWS_EVERY_S)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            for agent in self.agents:
                agent.tick()
            self.accounts.look()
