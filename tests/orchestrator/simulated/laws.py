"""The laws of the design, watched: every decision, every commit and every playlist that is written is judged here."""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping

from orchestrator.core.model import (
    SLATE,
    AttemptEnded,
    AttemptStarted,
    Cause,
    ContainerState,
    Corrupt,
    Decision,
    Desired,
    EndReason,
    EventType,
    FinishPlaylist,
    Happened,
    Leg,
    LegsChanged,
    Observation,
    Phase,
    ProbeSources,
    ReportRead,
    Session,
    SourceFailed,
    SourceStatus,
    Unknown,
)
from orchestrator.core.policy import Policy
from orchestrator.core.session.decide import decide
from orchestrator.core.source.hold_off import is_held_off
from transcoder import bucket
from transcoder.ending import Ending
from transcoder.publish.media_playlist import MediaPlaylist
from transcoder.publish.playlist_rules import violations

_RECENT_S = 11.0  # the policy's `probe_fresh_s` and a moment
_DECISIONS_PER_S = 60  # of one session: more is a busy loop


_SILENCE = (Cause.NO_SEGMENT, Cause.PLAYLIST_STALLED, Cause.PLAYLIST_GONE)
_SILENT_AT_LEAST_S = 5.0
_DELETION_SEEN_S = 10.0  # rows are read before every decision, beside a store that may not answer for as long as a client waits
_NOTICED_S = 20.0  # no renewal could be written for so long: that must have been noticed


class LawBroken(AssertionError):
    """Raised at the end of the step that broke it, where no part of the world can swallow it."""


class Laws:
    def __init__(self, now: Callable[[], float], addresses: Callable[[], Mapping[str, str]]) -> None:
        """`addresses`: of the sources that there are, by id."""
        self._now = now
        self.addresses = addresses
        self._broken: list[str] = []
        self._decisions: deque[tuple[float, str]] = deque()
        self._open: dict[str, set[int]] = {}
        self._ran: set[tuple[str, int]] = set()
        self._listed: dict[str, set[str]] = {}
        self._highest: dict[str, int] = {}  # by playlist: the latest attempt that has listed
        self.starts: list[tuple[float, str]] = []  # when each attempt on a source was started, and of which session
        self.slates: list[tuple[float, str]] = []  # the same of the slates
        self.exits: dict[tuple[str, int], tuple[Ending, str]] = {}  # how an agent ended, and on which source
        self._reported: dict[tuple[str, int], dict[int, list[tuple[str, str]]]] = {}  # by attempt and report: what has failed
        self._legs: dict[tuple[str, int], dict[int, Leg]] = {}  # by attempt: its history so far
        self._burnt: dict[str, dict[str, float]] = {}  # by session: when the sources of the incident under way have failed
        self._good: dict[str, tuple[float, float]] = {}  # by source: the first and the last probe that succeeded in a row
        self._seen: dict[str, Observation] = {}  # by session: what it was last decided by
        self._deleted: dict[str, float] = {}  # by source: when
        self.store_silent_at = 0.0  # when a request was last not answered
        self._unrenewable_since: float | None = None
        self._unrenewable_until = 0.0  # when a time ended in which nobody could renew
        self.bugs = BugsAreBroken(self)

    def break_(self, law: str) -> None:
        self._broken.append(law)

    def uphold(self) -> None:
        if self._broken:
            broken, self._broken = self._broken, []
            raise LawBroken("; ".join(broken))

    def most_starts_within(self, span_s: float, session_id: str) -> int:
        """The most attempts that a session started within any such span."""
        times = [at for at, own in self.starts if own == session_id]
        return max((sum(at <= each <= at + span_s for each in times) for at in times), default=0)

    def orchestrator_starts(self) -> None:
        self._decisions.clear()

    # --- who judges what ----------------------------------------------------------------------------------------------

    def decide(self, session: Session, seen: Observation, now: float, policy: Policy) -> Decision:
        """Law 3: nothing is concluded from `Unknown`. Who comes next is worth it. And no busy loop."""
        decision = decide(session, seen, now, policy)
        for broken in concluded_from_unknown(session, seen, decision):
            self.break_(f"law 3: {broken}, seen {seen}")
        for record in decision.records:
            if isinstance(record, AttemptStarted):
                self._broken += judged(session, seen, record, now, policy)
        self._seen[session.id] = seen
        self._decisions.append((now, session.id))
        while self._decisions[0][0] <= now - 1.0:
            self._decisions.popleft()
        lately = sum(session_id == session.id for _, session_id in self._decisions)
        if lately > _DECISIONS_PER_S:
            self.break_(f"a busy loop: {lately} decisions in a second, the last one {decision}")
        return decision

    def committed(self, before: Session, decision: Decision, blamed: Callable[[str], str | None]) -> None:
        """Laws 4 and 7, and an honest history. `blamed` gives the name of a source that still exists, by its id."""
        after = decision.session
        opened = self._open.setdefault(before.id, set())
        burnt = self._burnt.setdefault(before.id, {})
        self._wishes_are_answered(before, decision)
        played_at = 0.0
        for record in decision.records:
            match record:
                case AttemptStarted(number, source_id, why):
                    if self._now() - self._deleted.get(source_id, self._now()) > _DELETION_SEEN_S:
                        self.break_(f"{source_id} was started, which has been deleted")
                    if source_id in burnt and after.phase is not Phase.UNAVAILABLE and why.cause is not Cause.OPERATOR:
                        self.break_(f"{source_id} was burnt twice in one incident")
                    if number <= before.last_attempt:
                        self.break_(f"law 4: attempt {number} after {before.last_attempt}")
                    if why.cause is Cause.FAILBACK:
                        self._fails_back(self._seen[before.id], source_id)
                    opened.add(number)
                    (self.slates if source_id == SLATE else self.starts).append((self._now(), before.id))
                case AttemptEnded(number, _, why):
                    if why.cause in _SILENCE and self._now() - self.store_silent_at < _SILENT_AT_LEAST_S:
                        self.break_(f"law 3: {why.text!r}, but the store has been silent")
                    if number not in opened:
                        self.break_(f"attempt {number} ended twice, or was never started")
                    opened.discard(number)
                case Happened(kind, fields):
                    if SLATE in (fields.get("from"), fields.get("to"), fields.get("source")):
                        self.break_(f"viewers are told of the slate as of a source: {kind} {fields}")
                case SourceFailed(source_id, at=at):
                    burnt[source_id] = self._now() if at is None else at
                    self._good.pop(source_id, None)
                    if at is None:
                        self._blamed(before, source_id, blamed(source_id))
                case LegsChanged(number, legs):
                    played_at = max((leg.live_at for leg in legs if leg.live_at is not None), default=0.0)
                    self._history_grows(before, number, legs)
                case ReportRead(number, n):
                    self._reports_are_read(before, decision, number, n)
                case _:
                    pass
        # Several legs may be told at once: one that has played after a failure has ended that incident.
        for source_id in [each for each, failed_at in burnt.items() if failed_at < played_at]:
            del burnt[source_id]
        if after.phase in (Phase.LIVE, Phase.UNAVAILABLE, Phase.ENDED):
            burnt.clear()
        current = {each.number for each in after.attempts}
        if opened != current:
            self.break_(f"the history has the attempts {sorted(opened)} open, the session has {sorted(current)}")
        if any(each.source_id == SLATE for each in after.attempts) and after.phase is not Phase.UNAVAILABLE:
            self.break_(f"the slate plays in the phase {after.phase}")
        if before.phase is Phase.ENDED and decision.records:
            self.break_("an ended session goes on")

    def probed(self, source_id: str, *, works: bool) -> None:
        if works:
            self._good[source_id] = self._good.get(source_id, (self._now(),))[0], self._now()
        else:
            self._good.pop(source_id, None)

    def deleted(self, source_id: str) -> None:
        self._deleted[source_id] = self._now()

    def starts_anew(self, source_id: str) -> None:
        """The operator has moved it or switched it on: how it failed before says nothing about it any more."""
        self._good.pop(source_id, None)
        for burnt in self._burnt.values():
            burnt.pop(source_id, None)

    def could_renew(self, could: bool) -> None:
        """An API runs, and the tables answer: asked all the time."""
        if could:
            if self._unrenewable_since is not None and self._now() - self._unrenewable_since > _NOTICED_S:
                self._unrenewable_until = self._now()
            self._unrenewable_since = None
        elif self._unrenewable_since is None:
            self._unrenewable_since = self._now()

    def stopped(self, before: Session, after: Session, renewed_at: float) -> None:
        """Law 3: nobody is idle who could not renew."""
        if before.desired is Desired.STOP or after.desired is Desired.RUN or after.end_reason is not EndReason.IDLE:
            return
        idle_s = self._now() - max(renewed_at, self._unrenewable_until)
        if idle_s < Policy().idle_timeout_s:
            self.break_(f"law 3: {before.id} is idle after {idle_s:g} s")
        if self._unrenewable_since is not None and self._now() - self._unrenewable_since > _NOTICED_S:
            self.break_(f"law 3: {before.id} is idle while nobody can renew")

    def runs(self, session_id: str, attempt: int) -> None:
        if (session_id, attempt) in self._ran:
            self.break_(f"law 4: attempt {attempt} of {session_id} was run twice")
        self._ran.add((session_id, attempt))

    def written(self, key: str, before: MediaPlaylist | None, after: MediaPlaylist) -> None:
        """Law 5, and law 4 as viewers see it: who is fenced publishes nothing any more."""
        nothing = after._replace(segments=(), media_sequence=0, discontinuity_sequence=0, ended=False)
        before = before or nothing
        for broken in violations(before, after):
            self.break_(f"law 5: {broken}")
        listed = self._listed.setdefault(key, set())
        highest = self._highest.get(key, 0)
        for uri in _uris(after) - _uris(before):
            if uri in listed:
                self.break_(f"law 5: {uri} was listed before")
            if bucket.attempt_of(uri) < highest:
                self.break_(f"law 4: {uri} was listed after attempt {highest} had taken over")
            listed.add(uri)
            self._highest[key] = max(self._highest.get(key, 0), bucket.attempt_of(uri))

    def _wishes_are_answered(self, before: Session, decision: Decision) -> None:
        """What the operator has asked for is granted, or refused with a reason, by its attempt's failure at the latest."""
        after, records = decision.session, decision.records
        refused = [each for each in records if isinstance(each, Happened) and each.type is EventType.SWITCH_REFUSED]
        if not all(each.fields["reason"] for each in refused):
            self.break_(f"refused without a reason: {refused}")
        if Desired.STOP in (before.desired, after.desired):
            return
        answered = refused or any(isinstance(each, AttemptStarted) for each in records)
        if before.switch_to is not None and after.switch_to is None and not answered:
            self.break_(f"the wish {before.switch_to!r} was dropped without a word")
        attempt = before.attempt
        if (
            attempt is None
            or attempt.leg.ended is not None
            or attempt.live_at is not None
            or attempt.leg.why.cause not in (Cause.OPERATOR, Cause.ROLLED)
        ):
            return
        if any(isinstance(each, AttemptEnded) and each.attempt == attempt.number for each in records) and not refused:
            self.break_(f"nobody was told that {attempt.leg.why.text!r} failed on {attempt.source_id}")

    def _fails_back(self, seen: Observation, source_id: str) -> None:
        """Failback is to a source that every probe for long enough has found healthy, the last one just now.

        Asked of what is committed: what a session remembers may be older than the source's failure in another session. A
        decision by what is remembered has no other effect than that the rows are read and it is decided again (supervisor.py).
        """
        policy = seen.channel_policy
        first, last = self._good.get(source_id, (0.0, 0.0))
        if policy.failback == "never" or last - first < policy.failback_stable_s:
            self.break_(f"failback to {source_id}, whose probes have succeeded for {last - first:g} s")
        if self._now() - last > max(policy.failback_stable_s, _RECENT_S):
            self.break_(f"failback to {source_id}, whose last probe was {self._now() - last:g} s ago")

    def reported(self, session_id: str, attempt: int, n: int, failed: Iterable[tuple[str, str]]) -> None:
        """An agent has posted this report: these inputs, each with its address, have failed by their own fault."""
        self._reported.setdefault((session_id, attempt), {})[n] = list(failed)

    def _history_grows(self, before: Session, attempt: int, legs: tuple[Leg, ...]) -> None:
        """What is known of a leg stays; legs come in order, and the times of each are in order."""
        known = self._legs.get((before.id, attempt), {})
        numbers = [each.number for each in legs]
        if numbers != sorted(set(numbers)) or numbers[-1] < max(known, default=0):
            self.break_(f"the legs of attempt {attempt} are not in order: {numbers}")
        for leg in legs:
            times = [each for each in (leg.started_at, leg.live_at, leg.ended_at) if each is not None]
            if times != sorted(times) or times[-1] > self._now():
                self.break_(f"times of leg {attempt}.{leg.number}: {times}")
            was = known.get(leg.number)
            if was is not None and was.ended is not None and was.ended.cause is not Cause.UNKNOWN and was.ended != leg.ended:
                self.break_(f"leg {attempt}.{leg.number} had ended by {was.ended}, now by {leg.ended}")
        self._legs[before.id, attempt] = known | {each.number: each for each in legs}

    def _reports_are_read(self, before: Session, decision: Decision, attempt: int, n: int) -> None:
        """Law 7: each failure that an agent has seen is blamed once, by the decision that reads of it; unless the source was
        moved or deleted since, so that nothing at its address has failed."""
        reports = self._reported.get((before.id, attempt), {})
        told = Counter(each for number in [each for each in reports if each <= n] for each in reports.pop(number))
        blamed = Counter(each.source_id for each in decision.records if isinstance(each, SourceFailed) and each.at is not None)
        for (source_id, url), times in told.items():
            if self.addresses().get(source_id) == url and blamed[source_id] != times:
                self.break_(f"law 7: {source_id} failed {times} times by report {n} of {attempt}, blamed: {blamed}")
        if blamed.total() > told.total():
            self.break_(f"law 7: blamed {blamed} for {told}")

    def _blamed(self, before: Session, source_id: str, name: str | None) -> None:
        assert before.attempt is not None
        ending, guilty = self.exits.get((before.id, before.attempt.number), (None, ""))
        if ending is None or not ending.blames_source:
            self.break_(f"law 7: {source_id} was blamed for {ending}")
        elif name not in (None, guilty):
            self.break_(f"law 7: {name} was blamed for what {guilty} did")


def judged(session: Session, seen: Observation, started: AttemptStarted, now: float, policy: Policy) -> Iterator[str]:
    """What speaks against the source of a new attempt; the slate has none."""
    if started.source_id == SLATE:
        return
    enabled = {each.id: each for each in seen.sources if each.status is not SourceStatus.DISABLED}
    source, playing = enabled.get(started.source_id), session.attempt
    if source is None:
        yield f"{started.source_id} was started, which is disabled or not in the line-up"
        return
    if started.why.cause is Cause.OPERATOR or (playing is not None and playing.source_id == source.id):
        return
    over = {*session.tried, *([] if playing is None else [playing.source_id])}
    works = [
        each.id
        for each in enabled.values()
        if each.id not in over
        and each.id not in seen.full
        and each.status in (SourceStatus.HEALTHY, SourceStatus.RECOVERED)
        and not is_held_off(each, now, policy)
        and (session.phase is not Phase.REQUESTED or (each.last_checked_at or 0.0) > session.created_at)
    ]
    if is_held_off(source, now, policy) and works:
        yield f"{source.id} was started, which is held off, though {works} work"
    if started.why.cause is Cause.FAILBACK:
        order = list(enabled)
        if playing is None or order.index(source.id) >= order.index(playing.source_id):
            yield f"failback to {source.id}, which is no better than what plays"


def concluded_from_unknown(session: Session, seen: Observation, decision: Decision) -> Iterator[str]:
    """What a decision concludes that it cannot know."""
    acts = [action for action in decision.actions if not isinstance(action, ProbeSources)]
    refused = decision.session.end_reason is EndReason.NO_HEALTHY_SOURCE
    gave_up = decision.session.phase in (Phase.ENDED, Phase.UNAVAILABLE) and decision.session.phase is not session.phase
    blamed = any(isinstance(record, SourceFailed) and record.at is None for record in decision.records)  # else by a report
    wants_to_stop = session.desired is Desired.STOP
    if isinstance(seen.containers, Unknown):
        if acts:
            yield f"{acts} while the engine is silent"
        if (gave_up and not refused) or blamed:
            yield f"{decision.session.phase} while the engine is silent"
    elif isinstance(seen.playlist, Unknown):
        waits = not isinstance(seen.playlist, Corrupt)  # a store that has answered is waited for by nobody
        if (gave_up and wants_to_stop and waits) or any(isinstance(action, FinishPlaylist) for action in acts):
            yield "an end while the store is silent"
        over = gave_up or blamed or any(isinstance(record, AttemptEnded) for record in decision.records)
        if over and not wants_to_stop and _current_runs(session, seen):
            yield "a failure of an attempt that runs, while the store is silent"


def _current_runs(session: Session, seen: Observation) -> bool:
    containers = () if isinstance(seen.containers, Unknown) else seen.containers
    current = None if session.attempt is None else session.attempt.number
    return any(
        each.attempt == current and each.state in (ContainerState.RUNNING, ContainerState.CREATED) for each in containers
    )


def _uris(playlist: MediaPlaylist) -> set[str]:
    return {segment.uri for segment in playlist.segments}


class BugsAreBroken(logging.Handler):
    """The control loop survives its own bugs, and logs them: here, they break the test."""

    def __init__(self, laws: Laws) -> None:
        super().__init__(logging.ERROR)
        self._laws = laws

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info:
            self._laws.break_(f"a bug: {record.getMessage()}: {record.exc_info[1]!r}")
