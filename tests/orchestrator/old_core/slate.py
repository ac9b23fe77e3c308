# ruff: noqa
# mypy: ignore-errors
"""The slate: while no source works, a generated picture goes on in the same playlist, and gives way by itself.

Laws: it is nobody's source, so nothing that happens to it blames one, ends a session or makes a retry wait; viewers are told
that the stream is unavailable, and of the slate by nothing else. While it plays the session's phase is `unavailable`: alone it
is the session's attempt; while a source is tried it is the previous one, which publishes until the source's has listed a
segment.
"""

from __future__ import annotations

from zlib import crc32

from msgspec.structs import replace

<<<<<<<< HEAD:tests/orchestrator/old_core/slate.py
from tests.orchestrator.old_core import steps
from tests.orchestrator.old_core.blame import Failure, diagnose, of_container, of_exit
from tests.orchestrator.old_core.model import (
========
from orchestrator.core.model import (
>>>>>>>> main:orchestrator/core/session/slate.py
    SLATE,
    Absent,
    Attempt,
    AttemptEnded,
    AttemptLive,
    Decision,
    Observation,
    Phase,
    Playlist,
    Record,
    Session,
    Unknown,
)
<<<<<<<< HEAD:tests/orchestrator/old_core/slate.py
from tests.orchestrator.old_core.policy import Policy
========
from orchestrator.core.policy import Policy
from orchestrator.core.session import steps
from orchestrator.core.session.blame import Failure, diagnose, of_container, of_exit
>>>>>>>> main:orchestrator/core/session/slate.py

# --- what is asked about it -------------------------------------------------------------------------------------------


def is_slate(attempt: Attempt | None) -> bool:
    return attempt is not None and attempt.source_id == SLATE


def is_to_be_told(session: Session, seen: Observation) -> bool:
    """Whether a slate will go on where this session becomes unavailable: a session that was never live has shown nothing that
    could go on."""
    return seen.slate and session.phase in (Phase.LIVE, Phase.SWITCHING) and not isinstance(seen.playlist, Absent)


def nothing_is_tried(session: Session) -> bool:
    """Unavailable, and no source is being tried: nothing runs, or the slate alone."""
    if session.phase is not Phase.UNAVAILABLE:
        return False
    return session.attempt is None or (is_slate(session.attempt) and session.previous is None)


def left_by(session: Session, seen: Observation, now: float, policy: Policy) -> tuple[Session, tuple[Record, ...]]:
    """A source was tried and failed: the same session with the slate still as the previous attempt where that goes on; else
    without it."""
    slate = session.previous
    assert slate is not None
    if _publishes(slate, seen):
        return session, ()
    return _without(session, slate, _why_it_ended(slate, seen), now, policy)


# --- rules ------------------------------------------------------------------------------------------------------------


def slate_has_listed(session: Session, seen: Observation, now: float, policy: Policy) -> Decision | None:
    """Its first segment: it has proved that it runs. Nobody is told, the phase stays."""
    slate = next((each for each in session.attempts if is_slate(each) and each.live_at is None), None)
    if slate is None or not isinstance(seen.playlist, Playlist) or seen.playlist.attempt != slate.number:
        return None
    live = replace(slate, live_at=now)
    records: list[Record] = [AttemptLive(slate.number, SLATE)]
    if session.previous == slate:
        shown = replace(session, previous=live)
    else:
        shown = replace(session, attempt=live, previous=None)
        if session.previous is not None:
            records.append(AttemptEnded(session.previous.number, None, f"replaced: {steps.RENEWAL}"))
    return Decision(session=shown, records=tuple(records), wake_at=now + policy.look_again_s)


def slate_failed(session: Session, seen: Observation, now: float, policy: Policy) -> Decision | None:
    """Whatever it failed by, it is started again (`slate_is_missing`): at once if it had proved itself, else with growing
    delays."""
    slate = session.attempt
    failure = diagnose(session, seen, now, policy)
    if slate is None or not is_slate(slate) or failure is None:
        return None
    without, records = _without(session, slate, failure, now, policy)
    older = session.previous  # it was to be renewed
    if older is not None and not _publishes(older, seen):
        without, more = _without(without, older, _why_it_ended(older, seen), now, policy)
        records, older = (*more, *records), None
    without = replace(without, attempt=older, previous=None)
    return Decision(session=without, records=records, wake_at=_due(without, now, policy))


def slate_is_unwanted(session: Session, seen: Observation, now: float, policy: Policy) -> Decision | None:
    """The operator has switched it off: as if there had never been one."""
    if seen.slate or not nothing_is_tried(session) or session.attempt is None or isinstance(seen.containers, Unknown):
        return None
    if isinstance(seen.playlist, Unknown):
        return None
    ended = AttemptEnded(session.attempt.number, None, "slate switched off")
    return Decision(session=replace(session, attempt=None), records=(ended,), wake_at=session.retry_at)


def slate_is_missing(session: Session, seen: Observation, now: float, policy: Policy) -> Decision | None:
    """Nothing works, and nothing is shown. Only a playlist that is there can go on: a session that was never live has none."""
    if not seen.slate or not nothing_is_tried(session) or session.attempt is not None:
        return None
    if not isinstance(seen.playlist, Playlist) or seen.playlist.ended or isinstance(seen.containers, Unknown):
        return None
    if now < _wanted_at(session, policy):
        return None
    return steps.run(session, seen, SLATE, session.reason or "slate", Phase.UNAVAILABLE, now, policy)


def slate_is_old(session: Session, seen: Observation, now: float, policy: Policy) -> Decision | None:
    """Its signed addresses will run out: a fresh one, without a gap."""
    slate = session.attempt
    if slate is None or not is_slate(slate) or not nothing_is_tried(session) or isinstance(seen.containers, Unknown):
        return None
    if now < max(slate.started_at + policy.attempt_life_s, session.slate_at or 0.0):
        return None
    reason = session.reason  # of the outage, not of this attempt: the sources' retries go on with it
    renewed = steps.run(session, seen, SLATE, steps.RENEWAL, Phase.UNAVAILABLE, now, policy, previous=slate)
    return replace(renewed, session=replace(renewed.session, reason=reason))


def next_look(session: Session, seen: Observation, now: float, policy: Policy) -> float | None:
    """When a slate that is missing is due; soon where the store has yet to say whether there is a playlist."""
    if not seen.slate or not nothing_is_tried(session) or session.attempt is not None or isinstance(seen.playlist, Absent):
        return None
    return _due(session, now, policy)


# --- how --------------------------------------------------------------------------------------------------------------


def _wanted_at(session: Session, policy: Policy) -> float:
    """Sessions that lose their sources together do not all start an encoder at once: players have buffer enough for a moment,
    by a chance that is the same whenever it is asked."""
    chance = crc32(session.id.encode()) / 2**32
    return max(session.slate_at or 0.0, (session.unavailable_since or 0.0) + policy.slate_spread_s * chance)


def _due(session: Session, now: float, policy: Policy) -> float:
    return max(_wanted_at(session, policy), now + policy.look_again_s)


def _publishes(slate: Attempt, seen: Observation) -> bool:
    containers = () if isinstance(seen.containers, Unknown) else seen.containers
    return any(each.attempt == slate.number and of_container(each) is None for each in containers)


def _why_it_ended(slate: Attempt, seen: Observation) -> Failure:
    containers = () if isinstance(seen.containers, Unknown) else seen.containers
    own = next((each for each in containers if each.attempt == slate.number), None)
    return Failure("container is gone") if own is None else of_container(own) or of_exit(None)


def _without(
    session: Session, slate: Attempt, failure: Failure, now: float, policy: Policy
) -> tuple[Session, tuple[Record, ...]]:
    """The session after this slate has ended, whichever of its two attempts it was."""
    steady = slate.live_at is not None and now - slate.live_at >= policy.steady_s
    faults = 0 if steady else session.slate_faults + 1
    without = replace(
        session,
        attempt=None if session.attempt == slate else session.attempt,
        previous=None if session.previous == slate else session.previous,
        slate_faults=faults,
        slate_at=now if faults == 0 else now + policy.retry_delay_s(faults - 1),
    )
    return without, (AttemptEnded(slate.number, failure.exit_code, failure.reason),)
