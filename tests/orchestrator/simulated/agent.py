"""What runs in a container, as the agent's contract has it: it lists a segment every two seconds, and ends with its own code
for each reason."""

from __future__ import annotations

import itertools
import json
from enum import Enum
from typing import TYPE_CHECKING

from orchestrator.core.model import ContainerState, Media
from orchestrator.errors import StoreUnavailable
from orchestrator.ports import Launch
from tests.fakes.object_store import PreconditionFailed
from transcoder import bucket
from transcoder.ending import Ending
from transcoder.publish.media_playlist import ListedSegment, MediaPlaylist
from transcoder.report import MOST_HAPPENINGS, Happening, Report, What, render

if TYPE_CHECKING:
    from tests.orchestrator.simulated.world import World

TICK_S = 0.25
SEGMENT_S = 2.0
MEDIA = Media(video="h264", audio="aac", channels=2, cadence_s=SEGMENT_S)
_FLAPS_AFTER_S = 3.0
_INCIDENT_S = 10.0  # a leg that has listed for so long ends it
_WORKING_S = 5.0


class Fault(Enum):
    """What a source does instead of working."""

    REFUSES = Ending.SOURCE_REFUSED
    UNREACHABLE = Ending.SOURCE_UNREACHABLE
    ENDS = Ending.SOURCE_ENDED
    FROZEN = Ending.SOURCE_STALLED
    GARBAGE = Ending.SOURCE_UNDECODABLE
    CRASHES_FFMPEG = Ending.FFMPEG_CRASHED
    FLAPS = "plays for some seconds, ends, and answers again"


class SimulatedSource:
    def __init__(self, name: str) -> None:
        self.name = name
        self.url = f"http://{name}.test/live.m3u8"
        self.moves = 0
        self.fault: Fault | None = None
        self.probes = 0
        self.answers_after_s = 0.1

    def is_at(self, url: str) -> bool:
        """It works at all addresses that it ever had."""
        return url.partition("#")[0] == self.url

    def moved(self) -> str:
        """Another address."""
        self.moves += 1
        return f"{self.url}#{self.moves}"


class Agent:
    def __init__(self, world: World, launch: Launch) -> None:
        job = json.loads(launch.job)
        self.world = world
        self.session_id = launch.session_id
        self.attempt = launch.attempt
        orders = job.get("orders")
        self.inputs: list[tuple[str, str]] = (
            [(each["id"], each["source"]["url"]) for each in orders["inputs"]] if orders else []
        )
        self.url: str = self.inputs[0][1] if self.inputs else job["source"].get("url", "")
        self.source = world.source_at(self.url) if self.url else world.slate
        self.leg = 1
        self.mute = False  # it posts no reports
        self._outbox = Outbox(self)
        self._failed: set[str] = set()  # inputs that have failed in the incident under way
        self._crashed: set[str] = set()  # inputs on which FFmpeg has crashed once in it
        self._idle_until: float | None = None  # it has no input to open
        self._listed_since: float | None = None  # of the leg
        self.hung = False
        self.hidden = False  # the engine does not know of it any more, but it runs
        self.over = False
        self._target_duration_s: int = job["target_duration_s"]
        self._window_s: float = job["window_s"]
        self._start_limit_s: float = job["start_limit_s"]
        self._stall_limit_s: float = job["stall_limit_s"]
        self._store_limit_s: float = job["store_limit_s"]
        self._started_at = world.now
        self._media_at: float | None = None
        self._due_at = world.now + TICK_S
        self._unstored_since: float | None = None
        self._known: tuple[MediaPlaylist, str] | None = None
        self._numbers = itertools.count()

    @property
    def runs(self) -> bool:
        return not self.over and (self.hidden or self.container_state is ContainerState.RUNNING)

    @property
    def container_state(self) -> ContainerState | None:
        key = (self.world.runtime.deployment, self.session_id, self.attempt)
        container = self.world.runtime.engine.containers.get(key)
        return None if container is None else container.state

    def tick(self) -> None:
        if self.container_state in (None, ContainerState.EXITED) and not self.hidden:
            self.over = True
        if not self.runs or self.hung:
            return
        ending = self._goes_on() if self.inputs else self._ends_by_its_source() or self._publishes()
        if self.inputs and not self.mute:
            self._outbox.post()
        if ending is not None:
            self.over = True
            self.world.laws.exits[self.session_id, self.attempt] = (ending, self.source.name)
            if not self.hidden:
                self.world.runtime.die(self.session_id, self.attempt, ending)

    # --- input switches -----------------------------------------------------------------------------------------------

    @property
    def input(self) -> str:
        """The id of what plays, or played last."""
        return next(each for each, url in self.inputs if url == self.url)

    def _goes_on(self) -> Ending | None:
        """What the agent does that has orders."""
        now = self.world.now
        if self._idle_until is not None and now >= self._idle_until:
            self._failed.clear()
            self._crashed.clear()
            self._opens(self.inputs[0])
        if self._idle_until is not None:
            self._outbox.works()
            return None
        if self._listed_since is None:
            self._outbox.works()
        elif now - self._listed_since >= _INCIDENT_S:
            self._failed.clear()
            self._crashed.clear()
        ending = self._ends_by_its_source()
        if ending is None:
            return self._publishes()
        self._outbox.tells(What.ENDED, ending)
        again = ending is Ending.FFMPEG_CRASHED and self.input not in self._crashed
        (self._crashed if again else self._failed).add(self.input)
        following = next((each for each in self.inputs if each[0] not in self._failed), None)
        if again:
            following = self.input, self.url
        self._idle_until, self._listed_since = (now + 10.0, None) if following is None else (None, None)
        if following is not None:
            self.leg += 1
            self._opens(following)
        return None

    def _opens(self, one: tuple[str, str]) -> None:
        if self._idle_until is not None:
            self.leg += 1
        self._idle_until = self._media_at = self._listed_since = None
        self.url = one[1]
        self.source = self.world.source_at(self.url)
        self._started_at = self.world.now
        self._due_at = self.world.now + TICK_S
        self._outbox.tells(What.STARTED)
        self.world.accounts.switched(self)

    def _ends_by_its_source(self) -> Ending | None:
        now = self.world.now
        match self.source.fault:
            case None:
                pass
            case Fault.FLAPS:
                if self._media_at is not None and now - self._started_at > _FLAPS_AFTER_S:
                    return Ending.SOURCE_ENDED
            case Fault.FROZEN:
                limit_s = self._start_limit_s if self._media_at is None else self._stall_limit_s
                silent_since = self._started_at if self._media_at is None else self._media_at
                self._due_at = now + TICK_S  # nothing to list
                return Ending.SOURCE_STALLED if now - silent_since > limit_s else None
            case fault:
                return Ending(fault.value)
        self._media_at = now
        return None

    def _publishes(self) -> Ending | None:
        now = self.world.now
        if now < self._due_at:
            return None
        try:
            ending = self._list_one()
        except StoreUnavailable:
            self._unstored_since = self._unstored_since or now
            return Ending.STORE_UNREACHABLE if now - self._unstored_since > self._store_limit_s else None
        self._unstored_since = None
        self._due_at = max(now, self._due_at + SEGMENT_S)
        return ending

    def _list_one(self) -> Ending | None:
        key = bucket.media_playlist_key(self.session_id)
        while True:
            playlist, etag = self._known or self.world.store.read(key, self._target_duration_s)
            if playlist.last_attempt > self.attempt or playlist.ended:
                return Ending.FENCED
            starts_at = max(playlist.end_s or 0.0, self.world.now - SEGMENT_S)
            takes_over = bool(playlist.segments) and (playlist.last_attempt, playlist.leg) != (self.attempt, self.leg)
            uri = bucket.segment_uri(self.session_id, self.attempt, next(self._numbers))
            after = playlist.append(ListedSegment(uri, SEGMENT_S, starts_at, takes_over), self._window_s)._replace(leg=self.leg)
            try:
                self._known = after, self.world.store.put(key, after.render().encode(), if_match=etag)
            except PreconditionFailed:
                self._known = None
            else:
                if self._listed_since is None:
                    self._listed_since = self.world.now
                    self._outbox.tells(What.LISTED)
                return None


class Outbox:
    """The agent's reports: what has happened and was not posted yet, in order."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._n = 1
        self._waiting: list[tuple[float, str, Happening]] = []  # each with its time, and the address of its input
        self._posted: tuple[str, bytes] | None = None  # the last one
        self._told_at = agent.world.now
        self.tells(What.ORDERS, version=1)
        self.tells(What.STARTED)

    def tells(self, what: What, ending: Ending | None = None, version: int = 0) -> None:
        agent = self._agent
        if not agent.inputs:
            return
        self._told_at = agent.world.now
        self._waiting.append(
            (agent.world.now, agent.url, Happening(what, 0.0, agent.leg, agent.input, ending, version=version))
        )

    def works(self) -> None:
        """Nothing is listed at the moment."""
        if self._agent.world.now - self._told_at >= _WORKING_S:
            self.tells(What.WORKING)

    def post(self) -> None:
        agent, now = self._agent, self._agent.world.now
        if not self._waiting or now - self._waiting[0][0] < agent.world.mail_takes_s:
            return
        told = self._waiting[:MOST_HAPPENINGS]
        key = bucket.report_key(agent.session_id, agent.attempt, self._n)
        document = render(Report(self._n, tuple(each._replace(age_s=now - at) for at, _, each in told)))
        try:
            agent.world.store.put(key, document)
            if self._posted is not None and agent.world.mail_comes_twice:
                agent.world.store.put(*self._posted)
        except StoreUnavailable:
            return
        self._posted = key, document
        failed = [(each.input, url) for _, url, each in told if each.ending is not None and each.ending.blames_source]
        agent.world.laws.reported(agent.session_id, agent.attempt, self._n, failed)
        self._n += 1
        del self._waiting[:MOST_HAPPENINGS]
