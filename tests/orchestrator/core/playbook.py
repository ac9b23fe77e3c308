"""A session's story, told to `decide` one look at a time: what is seen at which time goes in, what follows comes out.

    play = Playbook("a", "b").live()
    play.exits(1, Ending.SOURCE_REFUSED)
    play.then(start(2, "b"), stop(1), records=[ended(1, 11, "source refused"), blamed("a", "source refused")])

Times are seconds from when the session was requested. Each `then` is one decision; the state that it leads to is kept, and
what the tables would write on the sources is written.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from msgspec.structs import replace

from orchestrator.core.model import (
    Absent,
    Action,
    Attempt,
    AttemptEnded,
    AttemptLive,
    AttemptStarted,
    AttemptSteady,
    ChannelPolicy,
    Container,
    ContainerState,
    Decision,
    Desired,
    EndReason,
    EventType,
    Fields,
    FinishPlaylist,
    Happened,
    Live,
    Mail,
    Media,
    Observation,
    Phase,
    Playlist,
    ProbeSources,
    Record,
    Renewed,
    ReportRead,
    Session,
    Source,
    SourceFailed,
    StartAttempt,
    StopAttempt,
    SwapBackoff,
    Unavailable,
    Unknown,
)
from orchestrator.core.policy import Policy
from orchestrator.core.session.decide import decide
from orchestrator.core.source import health
from tests.words import happened, why
from transcoder.ending import Ending
from transcoder.report import Happening, Report, What

REQUESTED_AT = 1_000_000.0  # unix time of the request: stories count from here
MEDIA = Media(video="h264", audio="aac", channels=2, cadence_s=2.0)


def start(
    attempt: int, source: str, *, after: tuple[int, ...] = (), grace_s: float = 0.0, granted: tuple[str, ...] = ()
) -> Action:
    return StartAttempt(attempt, source, after, grace_s, granted)


def stop(attempt: int, grace_s: float = 1.0) -> Action:
    return StopAttempt(attempt, grace_s)


def probe(*sources: str) -> Action:
    return ProbeSources(sources)


FINISH = FinishPlaylist()


def started(attempt: int, source: str, reason: str) -> Record:
    return AttemptStarted(attempt, source, why(reason))


def went_live(attempt: int, source: str) -> Record:
    return AttemptLive(attempt, source)


def steady(attempt: int, source: str) -> Record:
    return AttemptSteady(attempt, source)


def ended(attempt: int, exit_code: int | None, reason: str) -> Record:
    return AttemptEnded(attempt, exit_code, why(reason, of_end=True))


def blamed(source: str, reason: str, *, stalled: bool = False, in_a_row: int = 1, at: float | None = None) -> Record:
    """`at`: the second of the story in which a report says that it was."""
    return SourceFailed(source, why(reason), stalled, in_a_row, None if at is None else REQUESTED_AT + at)


def read(attempt: int, n: int) -> Record:
    return ReportRead(attempt, n)


def opened(leg: int, input: str, *, age_s: float = 0.0) -> Happening:
    """An agent reports that it has opened this input."""
    return Happening(What.STARTED, age_s, leg, input)


def has_listed(leg: int, input: str, *, age_s: float = 0.0, gap_s: float = 0.0) -> Happening:
    return Happening(What.LISTED, age_s, leg, input, gap_s=gap_s)


def closed(leg: int, input: str, ending: Ending, *, age_s: float = 0.0) -> Happening:
    """An agent reports that this leg is over, and why."""
    return Happening(What.ENDED, age_s, leg, input, ending)


def at_work(leg: int, input: str) -> Happening:
    """An agent reports that it shows nothing, and is at work on it."""
    return Happening(What.WORKING, 0.0, leg, input)


def told(event: EventType, fields: Fields | None = None, **more: Any) -> Record:
    return happened(event, (fields or {}) | more)


def refused(to: str, reason: str) -> Record:
    """An operator's wish that is not granted."""
    return told(EventType.SWITCH_REFUSED, {"to": to, "reason": reason})


class Playbook:
    def __init__(self, *names: str, behind: str = "", policy: Policy | None = None) -> None:
        """`behind`: sources of failover channels, each named by its letter, of the channel of its capital letter."""
        self.policy = policy or Policy()
        self.session = Session(id="s", channel_id="c", viewer="v", created_at=REQUESTED_AT)
        self.sources = {
            name: Source(id=name, channel_id="c", url=f"http://{name}/", priority=priority)
            for priority, name in enumerate(names, start=1)
        } | {name: Source(id=name, channel_id=name.upper(), url=f"http://{name}/") for name in behind}
        self.containers: dict[int, Container] | Unknown = {}
        self.playlist: Playlist | Absent | Unknown = Absent()
        self.channel_enabled = True
        self.connections: dict[str, Any] = {}
        self.asked_at: float | None = None
        self.channel_policy = ChannelPolicy(slate=False)
        self.last_good: str | None = None
        self.renewed: Renewed | Unknown = Unknown()
        self.input_switches = False
        self.mail: list[Mail] = []
        self.distrusted: frozenset[int] = frozenset()
        self._now = REQUESTED_AT

    # --- what is seen -------------------------------------------------------------------------------------------------

    def at(self, seconds: float) -> Playbook:
        assert REQUESTED_AT + seconds >= self._now, "a story goes forward"
        self._now = REQUESTED_AT + seconds
        return self

    def after(self, seconds: float) -> Playbook:
        return self.at(self.elapsed + seconds)

    @property
    def elapsed(self) -> float:
        return self._now - REQUESTED_AT

    @property
    def now(self) -> float:
        return self._now

    def retries_in(self, seconds: float) -> Playbook:
        """The next retry is so far away."""
        state = self.session.state
        assert isinstance(state, Unavailable)
        return self.wants(state=replace(state, retry_at=self._now + seconds))

    def source(self, name: str, **changes: Any) -> Playbook:
        self.sources[name] = replace(self.sources[name], **changes)
        return self

    def answers(self, *names: str) -> Playbook:
        """The probe of each has found media, now."""
        for name in names:
            self._happens(name, health.ProbeSucceeded(MEDIA))
        return self

    def fails_probe(self, name: str, reason: str) -> Playbook:
        return self._happens(name, health.ProbeFailed(why(reason)))

    def runs(self, attempt: int, **changes: Any) -> Playbook:
        container = Container(id=f"id-{attempt}", session_id="s", attempt=attempt, state=ContainerState.RUNNING)
        return self._contain(replace(container, **changes))

    def exits(self, attempt: int, exit_code: int | None, **changes: Any) -> Playbook:
        return self.runs(attempt, state=ContainerState.EXITED, exit_code=exit_code, **changes)

    def pauses(self, attempt: int) -> Playbook:
        return self.runs(attempt, state=ContainerState.PAUSED)

    def refuses(self, attempt: int, detail: str = "") -> Playbook:
        return self.runs(attempt, state=ContainerState.REFUSED, detail=detail)

    def has_gone(self, *attempts: int) -> Playbook:
        for attempt in attempts:
            assert not isinstance(self.containers, Unknown)
            del self.containers[attempt]
        return self

    def engine_is_silent(self) -> Playbook:
        self.containers = Unknown("engine")
        return self

    def engine_answers(self, *running: int) -> Playbook:
        self.containers = {}
        for attempt in running:
            self.runs(attempt)
        return self

    def switches_inputs(self) -> Playbook:
        """Attempts that are started from now on get orders."""
        self.input_switches = True
        return self

    def reports(self, attempt: int, n: int, *happenings: Happening, posted_s_ago: float = 0.0) -> Playbook:
        """A report of this attempt is found."""
        self.mail.append(Mail(attempt, self._now - posted_s_ago, Report(n, happenings)))
        return self

    def lists(self, attempt: int, *, gap_s: float = 0.0, done: bool = False, leg: int = 1) -> Playbook:
        """A segment of this attempt was listed, now."""
        since = 0.0 if isinstance(self.playlist, Unknown) else self.playlist.since
        self.playlist = Playlist(attempt=attempt, changed_at=self._now, gap_s=gap_s, ended=done, since=since, leg=leg)
        return self

    def store_is_silent(self) -> Playbook:
        self.playlist = Unknown("store")
        return self

    def store_answers(self, playlist: Playlist | Absent) -> Playbook:
        """Again, since now; this is what it shows."""
        self.playlist = replace(playlist, since=self._now)
        return self

    def connects(self, **seen: Any) -> Playbook:
        """What is known of the providers' connections: `full`, `awaited`, `handed_on`, `limited`."""
        self.connections = seen
        return self

    def renews(self) -> Playbook:
        """Somebody watches, now."""
        since = 0.0 if isinstance(self.renewed, Unknown) else self.renewed.since
        self.renewed = Renewed(self._now, since)
        return self

    def nobody_can_renew(self) -> Playbook:
        self.renewed = Unknown("rows")
        return self

    def can_renew_again(self, last_at: float) -> Playbook:
        """Since now; the last renewal was in that second of the story."""
        self.renewed = Renewed(REQUESTED_AT + last_at, self._now)
        return self

    def is_looked_after(self) -> Playbook:
        """Since now: until then the request has waited."""
        self.asked_at = self._now
        return self

    def wants(self, **intent: Any) -> Playbook:
        """The API wrote this into the row."""
        self.session = replace(self.session, **intent)
        return self

    # --- what has become of it ----------------------------------------------------------------------------------------

    @property
    def previous(self) -> Attempt | None:
        """What publishes beside the newest attempt."""
        return self.session.attempts[1] if len(self.session.attempts) > 1 else None

    @property
    def retry_at(self) -> float | None:
        match self.session.state:
            case Unavailable(retry_at=at):
                return at
            case Live(backoff=SwapBackoff(until=until)):
                return until
            case _:
                return None

    @property
    def reason(self) -> str | None:
        return self.session.why.text if self.session.why else None

    # --- what follows -------------------------------------------------------------------------------------------------

    def look(self) -> Decision:
        """One decision; the story goes on from there."""
        containers = self.containers if isinstance(self.containers, Unknown) else tuple(self.containers.values())
        seen = Observation(
            channel_enabled=self.channel_enabled,
            channel_policy=self.channel_policy,
            last_good=self.last_good,
            sources=tuple(self.sources.values()),
            containers=containers,
            playlist=self.playlist,
            **self.connections,
            renewed=self.renewed,
            asked_at=self.asked_at,
            mail=tuple(self.mail),
            distrusted=self.distrusted,
            input_switches=self.input_switches,
        )
        decision = decide(self.session, seen, self._now, self.policy)
        assert decide(self.session, seen, self._now, self.policy) == decision, "the same inputs give the same decision"
        self.session = decision.session
        for record in decision.records:
            self._write(record)
        return decision

    def then(
        self,
        *actions: Action,
        records: Sequence[Record] | None = None,
        phase: Phase | None = None,
        on: tuple[int, str] | None = None,
        wake_in: float | None = None,
    ) -> Decision:
        """Look once: exactly these actions follow, and these records, phase, current attempt and next look where given."""
        decision = self.look()
        assert decision.actions == actions
        if records is not None:
            assert list(decision.records) == list(records)
        if phase is not None:
            assert self.session.phase is phase
        if on is not None:
            assert self.session.attempt is not None
            assert (self.session.attempt.number, self.session.attempt.source_id) == on
        if wake_in is not None:
            assert decision.wake_at is not None
            assert round(decision.wake_at - self._now, 6) == wake_in
        return decision

    def nothing(self) -> Decision:
        """Look once: nothing is concluded."""
        before = self.session
        decision = self.then(records=[])
        assert decision.session == before
        return decision

    # --- where stories begin ------------------------------------------------------------------------------------------

    def starting(self) -> Playbook:
        """Attempt 1 runs on the first source, nothing is listed yet; all sources were found healthy."""
        self.answers(*self.sources)
        self.look()
        return self.runs(1)

    def live(self, since_s: float = 60.0) -> Playbook:
        """Attempt 1 has been live on the first source for `since_s`."""
        self.starting().after(0.3).lists(1).look()
        self.after(since_s).lists(1)
        assert self.session.phase is Phase.LIVE
        return self

    def unavailable(self) -> Playbook:
        """Live on the first source, then one source after the other refused."""
        self.live()
        while self.session.attempt is not None:
            self.exits(self.session.attempt.number, 11).look()
            self._settle()
        assert self.session.phase is Phase.UNAVAILABLE
        return self

    def goes_live(self, *, gap_s: float = 0.0) -> Playbook:
        """The current attempt runs and lists; everything older has been removed."""
        assert self.session.attempt is not None
        number = self.session.attempt.number
        self.engine_answers(number).lists(number, gap_s=gap_s).look()
        assert self.session.phase is Phase.LIVE
        return self

    def of(self, event: EventType, decision: Decision) -> Fields:
        """The fields of the one event of this type."""
        (fields,) = (each.fields for each in decision.records if isinstance(each, Happened) and each.type is event)
        return fields

    # --- the world's part ---------------------------------------------------------------------------------------------

    def _contain(self, container: Container) -> Playbook:
        if isinstance(self.containers, Unknown):
            self.containers = {}
        self.containers[container.attempt] = container
        return self

    def _settle(self) -> None:
        """What was started runs, what was stopped has gone."""
        attempt = self.session.attempt
        self.engine_answers(*(() if attempt is None else (attempt.number,)))

    def _write(self, record: Record) -> None:
        match record:
            case AttemptLive(_, source):
                self._happens(source, health.Listed())
            case AttemptSteady(_, source):
                self._happens(source, health.PlayedSteadily())
            case SourceFailed(source, cause, stalled, in_a_row, at):
                self._happens(source, health.Failed(cause, stalled, in_a_row, at))
            case ReportRead(attempt, n):
                self.mail = [each for each in self.mail if each.attempt != attempt or each.report.n > n]
            case _:
                pass

    def _happens(self, name: str, what: health.Happening) -> Playbook:
        if name in self.sources:
            self.sources[name] = health.after(self.sources[name], what, self._now)
        return self


def desired_stop(reason: str = "stopped") -> dict[str, Any]:
    return {"desired": Desired.STOP, "end_reason": EndReason(reason)}


def blames(decisions: Iterable[Decision]) -> list[str]:
    """The sources that were marked."""
    return [record.source_id for each in decisions for record in each.records if isinstance(record, SourceFailed)]
