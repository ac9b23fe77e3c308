"""The state machine of a session. One pure function (law 2):

    decide(session, observation, now, policy) -> Decision(session, records, actions, wake_at)

It first checks whether the session is to end. Then it calls the rules of the session's state in order; the first one that
returns a decision wins. After that everything is observed again, so each rule makes one change, and further changes follow in
the next steps.

Nothing is concluded from `Unknown` (law 3). While the engine does not answer, only the rules in `_WITHOUT_ENGINE` are called:
they read the playlist and the attempts' reports alone, and start nothing.

    a swap without a failure                  planned_swap, operator_switch
    an attempt fails                          failure (marks the source), blame (tells whether it was the source)
    an attempt lists its first segment        first_segment
    an attempt has switched inputs            input_switch, mail (what its reports say), grants (what it may play)
    nothing works                             retry, slate
    the session starts, or ends               requested, ends
"""

from __future__ import annotations

from typing import assert_never

from msgspec.structs import replace

from orchestrator.core.model import (
    Action,
    Attempt,
    AttemptSteady,
    Decision,
    Desired,
    Ended,
    Live,
    Observation,
    Playlist,
    Requested,
    Session,
    StartAttempt,
    Starting,
    StopAttempt,
    Switching,
    Unavailable,
    Unknown,
)
from orchestrator.core.policy import Policy
from orchestrator.core.session import ends, lease, operator_switch, slate
from orchestrator.core.session.failure import attempt_failed, swap_failed
from orchestrator.core.session.first_segment import goes_live
from orchestrator.core.session.input_switch import leg_has_listed, leg_is_unexplained, mail_is_read
from orchestrator.core.session.mail import shown_leg
from orchestrator.core.session.next_look import failing_source, next_look, steady_at
from orchestrator.core.session.planned_swap import (
    attempt_is_old,
    better_source_is_stable,
    source_has_moved,
    source_is_gone,
)
from orchestrator.core.session.requested import wants_a_source
from orchestrator.core.session.retry import may_retry, next_try
from orchestrator.core.session.situation import Rule, S, Situation


def decide(session: Session, seen: Observation, now: float, policy: Policy) -> Decision:
    """One step. The same inputs always give the same decision."""
    situation = Situation(session, seen, now, policy)
    if isinstance(session.state, Ended):
        decision = situation.stays(None)
    else:
        decision = _last_reports(situation) or ends.end_if_unwanted(situation) or _by_state(situation)
    return lease.until_idle(_with_leftovers_stopped(decision, seen), seen, policy)


def _last_reports(situation: Situation) -> Decision | None:
    """Where the session is to end: what its attempts have reported is recorded before."""
    session = situation.session
    return mail_is_read(session.state, situation) if session.desired is Desired.STOP else None


def _by_state(situation: Situation) -> Decision:
    match situation.session.state:
        case Requested() as state:
            return wants_a_source(state, situation)
        case Starting() as state:
            decision = _first(STARTING, state, situation)
        case Live(successor=Attempt()) as state:
            decision = _first(SWAPPING, state, situation)
        case Live(attempt=playing) as state if playing.is_switching:
            decision = _first(SWITCHING_INPUTS, state, situation)
        case Live() as state:
            decision = _first(LIVE, state, situation)
        case Switching() as state:
            decision = _first(SWITCHING, state, situation)
        case Unavailable(trying=Attempt()) as state:
            decision = _first(TRYING, state, situation)
        case Unavailable(renewing=Attempt()) as state:
            decision = _first(RENEWING_SLATE, state, situation)
        case Unavailable() as state:
            decision = _first(WAITING, state, situation) or situation.stays(next_try(state, situation))
        case Ended():
            decision = None
        case state:
            assert_never(state)
    return decision or situation.stays(next_look(situation))


def _first(rules: tuple[Rule[S], ...], state: S, situation: Situation) -> Decision | None:
    engine_answers = not isinstance(situation.seen.containers, Unknown)
    asked = (rule for rule in rules if engine_answers or rule in _WITHOUT_ENGINE)
    return next((decision for rule in asked if (decision := rule(state, situation)) is not None), None)


def source_has_proved_itself(state: Live, situation: Situation) -> Decision | None:
    """A rule: the leg has listed for long enough since its source last failed. The failures in a row are over."""
    attempt, playlist = state.attempt, situation.seen.playlist
    source = failing_source(attempt.leg, situation)
    if source is None or not isinstance(playlist, Playlist) or not attempt.leg.plays:
        return None
    if shown_leg(attempt, playlist) != attempt.leg.number:
        return None
    if playlist.changed_at < steady_at(attempt.leg, source, situation.policy):
        return None
    steady = AttemptSteady(attempt.number, source.id)
    return Decision(session=situation.session, records=(steady,), wake_at=situation.now)


# --- the rules of each state, in order -----------------------------------------------------------------------------------

# The first listed segment is looked for first: an attempt that has listed and then failed was live.
STARTING: tuple[Rule[Starting], ...] = (goes_live, mail_is_read, leg_is_unexplained, attempt_failed)
SWITCHING: tuple[Rule[Switching], ...] = (goes_live, mail_is_read, leg_is_unexplained, attempt_failed)

# As long as the old attempt publishes, a successor that fails is no failure of the session. What has listed comes before what
# is reported, so that a source which listed and then failed was healthy first; reports come before any other failure.
SWAPPING: tuple[Rule[Live], ...] = (
    goes_live,
    leg_has_listed,
    mail_is_read,
    leg_is_unexplained,
    swap_failed,
    attempt_failed,
)

# The attempt switches inputs by itself. Planned swaps wait, as they do while a session switches attempts: what the next leg
# plays is not known to work yet. Only a source that is gone is left at once, because the grant is older than that, and an
# operator who asks for another source gets it.
SWITCHING_INPUTS: tuple[Rule[Live], ...] = (
    leg_has_listed,
    mail_is_read,
    leg_is_unexplained,
    attempt_failed,
    source_is_gone,
    operator_switch.other_source_is_asked_for,
)

# A failure comes first: an attempt that is over cannot be swapped. Then what its success says of the source, so that a swap
# compares sources by what is known now. A source that is gone may not be played, so it is left before an operator's switch is
# looked at; that comes before everything that we would do by ourselves. Failback is last: it is the only swap that can wait.
LIVE: tuple[Rule[Live], ...] = (
    leg_has_listed,
    mail_is_read,
    leg_is_unexplained,
    attempt_failed,
    source_has_proved_itself,
    source_is_gone,
    operator_switch.switch_is_asked_for,
    source_has_moved,
    attempt_is_old,
    better_source_is_stable,
)

# Unavailable, and a source is tried: it goes on whatever becomes of the slate, which is looked at when it has failed or listed.
TRYING: tuple[Rule[Unavailable], ...] = (
    slate.slate_has_listed,
    goes_live,
    mail_is_read,
    leg_is_unexplained,
    attempt_failed,
)

# Unavailable, and a fresh slate is to take over: a moment, in which nothing else is begun.
RENEWING_SLATE: tuple[Rule[Unavailable], ...] = (slate.slate_has_listed, slate.slate_failed)

# Unavailable, and nothing is tried. What is shown comes before what is tried: a retry may take long. The operator's switch
# comes before a retry, or it would wait for one.
WAITING: tuple[Rule[Unavailable], ...] = (
    slate.slate_has_listed,
    slate.slate_failed,
    slate.slate_is_unwanted,
    slate.slate_is_missing,
    operator_switch.switch_is_asked_for,
    slate.slate_is_old,
    may_retry,
)

_WITHOUT_ENGINE: frozenset[object] = frozenset(
    {goes_live, leg_has_listed, mail_is_read, leg_is_unexplained, slate.slate_has_listed, source_has_proved_itself}
)


# --- after every rule ----------------------------------------------------------------------------------------------------


def _with_leftovers_stopped(decision: Decision, seen: Observation) -> Decision:
    """Stop every container of an attempt that is not to run; with a moment to upload its log."""
    kept = {each.number for each in decision.session.attempts}
    being_stopped = {action.attempt for action in decision.actions if isinstance(action, StopAttempt)}
    being_stopped.update(*(action.after for action in decision.actions if isinstance(action, StartAttempt)))
    leftovers: tuple[Action, ...] = tuple(
        StopAttempt(each.attempt)
        for each in seen.known_containers
        if each.attempt not in kept and each.attempt not in being_stopped
    )
    return replace(decision, actions=(*decision.actions, *leftovers)) if leftovers else decision
