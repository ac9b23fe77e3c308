"""Supervisor: for each session the loop wake, observe, decide, commit, apply. Sessions are worked on concurrently, and each one
serially.

Rule: an event only wakes a session. Whatever wakes it (a Docker event, a nudge, a row, a timer, a playlist), the session is
then observed, and the decision follows from the observation alone. A timer costs no I/O while nothing is wrong: `decide` is
pure, so it is first called with what is already known, and only if it would act is the session observed anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from math import inf

from msgspec.structs import replace
from structlog.contextvars import bind_contextvars

from orchestrator.app.task_group import TaskGroup
from orchestrator.control.connection_ledger import ConnectionLedger
from orchestrator.control.inbox import Inbox
from orchestrator.control.interpreter import Interpreter
from orchestrator.control.observer import Observer
from orchestrator.control.playlist_poller import PlaylistPoller
from orchestrator.control.session_work import SessionWork
from orchestrator.control.wake_ups import WakeUps
from orchestrator.core.model import (
    Absent,
    Decision,
    Phase,
    Playlist,
    Session,
    Source,
    SourceFailed,
    Unknown,
)
from orchestrator.core.policy import Policy
from orchestrator.core.session import choice
from orchestrator.core.session.decide import decide
from orchestrator.errors import NotFound, Stale, Temporary
from orchestrator.ports import Tables

log = logging.getLogger(__name__)

_NEW_AT_ONCE = 32  # sessions that are decided for the first time: when many start, those that have begun are finished first
_MAX_STEPS = 20  # without a pause; a session that needs more is looked at again after a moment
_RETRY_S = 1.0


class Supervisor:
    def __init__(
        self,
        *,
        tables: Tables,
        poller: PlaylistPoller,
        observer: Observer,
        interpreter: Interpreter,
        ledger: ConnectionLedger,
        inbox: Inbox,
        wake_ups: WakeUps,
        tasks: TaskGroup,
        policy: Policy,
        may_act: Callable[[], Awaitable[None]],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._tables = tables
        self._poller = poller
        self._observer = observer
        self._interpreter = interpreter
        self._ledger = ledger
        self._inbox = inbox
        self._wake_ups = wake_ups
        self._tasks = tasks
        self._policy = policy
        self._may_act = may_act
        self._now = now
        self._works: dict[str, SessionWork] = {}
        self._new_sessions = asyncio.Semaphore(_NEW_AT_ONCE)

    # --- waking -------------------------------------------------------------------------------------------------------

    def wake(self, session_id: str) -> None:
        """Looks at this session now, rows included; if it is being worked on, once more afterwards."""
        self._wake(session_id, outdated=True)

    def glance(self, session_id: str) -> None:
        """The same where only its container or playlist has changed: rows are read only if something would follow from that."""
        self._wake(session_id, outdated=False)

    def _wake(self, session_id: str, *, outdated: bool) -> None:
        if self._tasks.closed:
            return
        work = self._works.setdefault(session_id, SessionWork())
        work.pending = True
        work.outdated = work.outdated or outdated
        if not work.is_under_way:
            work.task = self._tasks.start(self._work(session_id, work), f"session-{session_id}")

    async def follow_wake_ups(self) -> None:
        """Looks at whatever the other parts of the control loop have woken, for ever."""
        while True:
            woken = await self._wake_ups.take()
            for session_id, outdated in woken.sessions.items():
                self._wake(session_id, outdated=outdated)
            for session_id in woken.ended:
                work = self._works.get(session_id)
                if work is not None and not work.is_under_way:
                    self._forget(session_id, work)

    def tell(self, source: Source) -> None:
        """The result of a probe: sessions that may use this source are decided anew with it, and woken where something
        follows."""
        for session_id, work in tuple(self._works.items()):
            seen = work.observation
            if seen is not None and any(each.id == source.id for each in seen.sources):
                known = tuple(source if each.id == source.id else each for each in seen.sources)
                work.observation = replace(seen, sources=known)
                self._consider(session_id, work)

    def awaited(self) -> Mapping[str, tuple[Source, float]]:
        """The sources that live sessions would fail back to once they are known to be stable: by id, each with the shortest
        time in seconds for which one of these sessions wants it to have been stable."""
        waited: dict[str, tuple[Source, float]] = {}
        for work in self._works.values():
            if work.session is None or work.observation is None:
                continue
            stable_s = work.observation.channel_policy.failback_stable_s
            for source in choice.failback_candidates(work.session, work.observation):
                _, least_s = waited.get(source.id, (source, stable_s))
                waited[source.id] = source, min(stable_s, least_s)
        return waited

    def close(self) -> None:
        """Cancels the timers; the task group ends the tasks."""
        for work in self._works.values():
            work.cancel_timer()

    @property
    def works(self) -> Mapping[str, SessionWork]:
        """The sessions that this process works on, by id."""
        return self._works

    @property
    def phases(self) -> dict[Phase, int]:
        """How many known sessions are in which phase."""
        counts = dict.fromkeys(Phase, 0)
        for work in self._works.values():
            if work.session is not None:
                counts[work.session.phase] += 1
        return counts

    # --- working ------------------------------------------------------------------------------------------------------

    async def _work(self, session_id: str, work: SessionWork) -> None:
        bind_contextvars(session=session_id)  # in every log line of this task
        steps = 0
        while work.pending and steps < _MAX_STEPS:
            work.pending = False
            steps += 1
            try:
                async with self._new_sessions if work.asked_at is None else contextlib.nullcontext():
                    again = await self._step(session_id, work)
            except Stale:
                again = work.outdated = True
            except NotFound:
                return self._forget(session_id, work)
            except Temporary as error:
                log.warning("%s: %s", session_id, error)
                return self._try_again(session_id, work)
            except Exception:  # a bug must not end the session's supervision
                log.exception("%s", session_id)
                return self._try_again(session_id, work)
            work.pending = work.pending or again
        if work.pending:
            self._try_again(session_id, work)
        return None

    def _try_again(self, session_id: str, work: SessionWork) -> None:
        work.observation, work.outdated = None, True  # so that the next look observes everything anew
        self._wake_at(session_id, work, self._now() + _RETRY_S)

    async def _step(self, session_id: str, work: SessionWork) -> bool:
        """Observes, decides, commits and applies once. True: something was done, so the session is to be looked at again."""
        if not work.outdated and await self._stays_idle(session_id, work):
            return False
        work.outdated = False
        row = await self._tables.sessions.get(session_id)
        session = work.session = row.session
        seen = await self._observer.observe(row)
        now = self._now()
        work.asked_at = work.asked_at or now
        seen = work.observation = replace(seen, asked_at=work.asked_at)
        decision = decide(session, seen, now, self._policy)
        self._ledger.decided(decision, seen)  # before anything is awaited, so that no other session takes the same connections
        changed = decision.session != session or bool(decision.records)
        if changed:
            try:
                await self._may_act()
                events = await self._tables.sessions.commit(session, decision, now)
            except BaseException:
                self._ledger.undone(decision)
                raise
            work.session = replace(decision.session, version=session.version + 1)
            self._inbox.recorded(session_id, decision.records)
            self._inbox.follow(work.session)
            _log_step(session, decision)
        else:
            events = ()
        # A failed source's row has changed in a way that only SQL computes
        work.outdated = work.outdated or any(isinstance(record, SourceFailed) for record in decision.records)
        news = await self._interpreter.apply(decision, seen, events)
        self._follow(decision.session)
        self._wake_at(session_id, work, decision.wake_at)
        return changed or news

    async def _stays_idle(self, session_id: str, work: SessionWork) -> bool:
        """Whether nothing follows from container and playlist as they are now, with the rows as they were last read."""
        if work.session is None or work.observation is None:
            return False
        doubtful, work.doubtful = work.doubtful, False
        seen = await self._observer.glance(work.session, work.observation, doubtful=doubtful)
        decision = decide(work.session, seen, self._now(), self._policy)
        if not _is_idle(work.session, decision):
            return False
        work.observation = seen
        self._follow(work.session)
        self._wake_at(session_id, work, decision.wake_at)
        return True

    def _follow(self, session: Session) -> None:
        """Tells the playlist poller whether the session waits for a leg's first segment, and whether legs may come by
        themselves."""
        attempt = session.attempt
        self._poller.may_switch(session.id, any(each.granted for each in session.attempts))
        if attempt is None or (attempt.live_at is not None and not attempt.has_ended_leg):
            self._poller.no_longer_wait_for(session.id)
            return
        leg_since = attempt.leg.ended_at or attempt.leg.started_at
        awaited = (attempt.number, attempt.leg.number + 1 if attempt.has_ended_leg else attempt.leg.number)
        match self._poller.playlist(session.id):
            case Playlist(attempt=listed, leg=leg) if (listed, leg) >= awaited:
                self._poller.no_longer_wait_for(session.id)
            case Playlist() | Absent() | Unknown():
                until = leg_since + self._policy.start_budget_s if attempt.granted else inf
                self._poller.wait_for(session.id, *awaited, until=until)

    def _wake_at(self, session_id: str, work: SessionWork, at: float | None) -> None:
        work.cancel_timer()
        if at is None or self._tasks.closed:
            return
        delay_s = max(0.0, at - self._now())
        work.timer = asyncio.get_running_loop().call_later(delay_s, self._timer_fired, session_id, work)

    def _timer_fired(self, session_id: str, work: SessionWork) -> None:
        work.timer = None
        self._consider(session_id, work)

    def _consider(self, session_id: str, work: SessionWork) -> None:
        """Looks at the session only where something would follow from what is known."""
        if work.session is not None and work.observation is not None and not work.is_under_way:
            try:
                known = self._observer.remembered(session_id, work.observation)
                decision = decide(work.session, known, self._now(), self._policy)
            except Exception:  # called by a timer, or for many sessions at once: the session's own work meets the error again
                log.exception("%s", session_id)
                self.wake(session_id)
                return
            if _is_idle(work.session, decision) and decision.wake_at is not None and decision.wake_at > self._now():
                self._wake_at(session_id, work, decision.wake_at)
                return
            work.doubtful = True
            self.glance(session_id)
            return
        self.wake(session_id)

    def _forget(self, session_id: str, work: SessionWork) -> None:
        work.cancel_timer()
        self._works.pop(session_id, None)
        self._poller.forget(session_id)
        self._inbox.forget(session_id)
        self._interpreter.forget(session_id)
        self._ledger.no_longer_waits(session_id)  # its containers hold their connections until they are seen to have ended


def _is_idle(session: Session, decision: Decision) -> bool:
    return decision.session == session and not decision.records and not decision.actions


def _log_step(before: Session, decision: Decision) -> None:
    after = decision.session
    if before.phase is not after.phase or before.attempt != after.attempt:
        attempt = after.attempt
        log.info(
            "%s: %s -> %s, attempt %s on %s (%s)",
            after.id, before.phase, after.phase, attempt.number if attempt else "-",
            attempt.source_id if attempt else "-", after.end_reason or (after.why.text if after.why else None),
        )  # fmt: skip
