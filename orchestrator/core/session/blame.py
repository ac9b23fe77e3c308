"""Failure diagnosis: from exit code, container and playlist to the cause, and whether that cause is the source's (blame).

Law: a source is blamed only for what the source did (law 7). The agent's exit code names its reason (`transcoder.ending`); a
container that was killed, refused, lost or hung says nothing about the source, and neither does a playlist that stopped while
the agent did not complain.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from orchestrator.core.model import (
    Absent,
    Attempt,
    Cause,
    Container,
    ContainerState,
    Playlist,
    Unknown,
    Why,
)
from orchestrator.core.session.situation import Situation
from transcoder.ending import Ending

_CAUSES: Final = {
    Ending.BY_REQUEST: Cause.CONTAINER_STOPPED,  # by somebody else: a container that we stop is not looked at any more
    Ending.SOURCE_UNREACHABLE: Cause.SOURCE_UNREACHABLE,
    Ending.SOURCE_REFUSED: Cause.SOURCE_REFUSED,
    Ending.SOURCE_ENDED: Cause.SOURCE_ENDED,
    Ending.SOURCE_STALLED: Cause.SOURCE_STALLED,
    Ending.SOURCE_UNDECODABLE: Cause.SOURCE_UNDECODABLE,
    Ending.STORE_UNREACHABLE: Cause.STORE_UNREACHABLE,
    Ending.FENCED: Cause.FENCED,
    Ending.FFMPEG_CRASHED: Cause.FFMPEG_CRASHED,
    Ending.BAD_JOB: Cause.BAD_JOB,
}
_BLAMING: Final = frozenset(cause for ending, cause in _CAUSES.items() if ending.blames_source)


class Failure(Struct, frozen=True):
    """Why an attempt is over."""

    why: Why
    exit_code: int | None = None

    @property
    def blames_source(self) -> bool:
        """The source did it."""
        return self.why.cause in _BLAMING

    @property
    def is_stall(self) -> bool:
        """The source did it by falling silent."""
        return self.why.cause is Cause.SOURCE_STALLED

    @property
    def is_refusal(self) -> bool:
        """The agent does not take the job, which is our fault, and will not take the same one again."""
        return self.why.cause is Cause.BAD_JOB


class Patience(Struct, frozen=True):
    """Silence until `until` is no failure; after it, it is one for this cause."""

    until: float
    cause: Cause


def of_exit(exit_code: int | None, *, oom_killed: bool = False, detail: str = "") -> Failure:
    """What an exit code says; `detail`: the field that the agent has named, where it refuses its job."""
    if oom_killed:
        return Failure(Why(Cause.CONTAINER_OUT_OF_MEMORY), exit_code)
    ending = next((each for each in Ending if each == exit_code), None)
    if ending is not None:
        return Failure(Why(_CAUSES[ending], detail if ending is Ending.BAD_JOB else ""), exit_code)
    if exit_code in (137, 143) or (exit_code is not None and exit_code < 0):
        return Failure(Why(Cause.CONTAINER_KILLED), exit_code)
    return Failure(Why(Cause.CONTAINER_FAILED, str(exit_code)), exit_code)


def of_container(container: Container) -> Failure | None:
    """None: it runs, or is about to."""
    match container.state:
        case ContainerState.EXITED:
            return of_exit(container.exit_code, oom_killed=container.oom_killed, detail=container.detail)
        case ContainerState.PAUSED:
            return Failure(Why(Cause.CONTAINER_PAUSED))
        case ContainerState.REFUSED:
            return Failure(Why(Cause.CONTAINER_REFUSED, container.detail))
        case ContainerState.CREATED | ContainerState.RUNNING:
            return None


def diagnose(attempt: Attempt, situation: Situation) -> Failure | None:
    """Why this attempt is over, or None: it is not, or nobody can say (law 3).

    While the engine does not answer nothing is concluded: only the engine could start a successor, and it may yet say why the
    attempt has ended.
    """
    seen = situation.seen
    if isinstance(seen.containers, Unknown):
        return None
    container = seen.container(attempt.number)
    if container is None:
        return Failure(Why(Cause.CONTAINER_GONE))
    failure = of_container(container)
    if failure is not None:
        return failure
    if attempt.number in seen.distrusted:
        return Failure(Why(Cause.AGENT_DISTRUSTED))
    if attempt.leg.ended is not None and _has_no_input_left(attempt):  # other sources may work, or the slate is due
        return Failure(Why(attempt.leg.ended.cause))
    patience = patience_with(attempt, situation)
    if patience is None or isinstance(seen.playlist, Unknown):
        return None
    looked_at = min(situation.now, seen.playlist.at)
    return Failure(Why(patience.cause)) if looked_at > patience.until else None


def failed_inputs(attempt: Attempt | None) -> tuple[str, ...]:
    """The sources that the attempt has left because they failed, since the last one that still plays."""
    failed: list[str] = []
    for leg in reversed(attempt.legs if attempt else ()):
        if leg.ended is None and leg.live_at is not None:
            break
        if leg.ended is not None and Failure(leg.ended).blames_source:
            failed.append(leg.input)
        if leg.live_at is not None:
            break
    return tuple(dict.fromkeys(reversed(failed)))


def _has_no_input_left(attempt: Attempt) -> bool:
    """Its leg is over, and it opens nothing now: it says so, or all that it was granted has failed."""
    if not attempt.granted or not attempt.has_ended_leg:
        return False
    return attempt.waits or set(attempt.granted) <= set(failed_inputs(attempt))


def publishes(attempt: Attempt, situation: Situation) -> bool:
    """Whether the engine says that this attempt's container runs."""
    container = situation.seen.container(attempt.number)
    return container is not None and of_container(container) is None


def _has_listed(attempt: Attempt, playlist: Playlist | Absent) -> bool:
    """Whether the attempt's newest leg plays, or something later."""
    leg = attempt.leg
    shown = (playlist.attempt, playlist.leg) if isinstance(playlist, Playlist) else (0, 0)
    if leg.ended_at is not None:
        return shown > (attempt.number, leg.number)
    return leg.live_at is not None or shown >= (attempt.number, leg.number)


def patience_with(attempt: Attempt, situation: Situation) -> Patience | None:
    """How long this attempt's leg may be silent. Only time in which the store answered counts (law 3). None: the store does
    not answer.

    A gap has one owner: an attempt that reports while it switches inputs is at work, and nothing is concluded from its silence.
    """
    playlist, policy = situation.seen.playlist, situation.policy
    if isinstance(playlist, Unknown):
        return None
    leg = attempt.leg
    since = max(leg.started_at if leg.ended_at is None else leg.ended_at, playlist.since)
    if leg.live_at is None or leg.ended_at is not None:
        since = max(since, attempt.heard_at or 0.0)
    if not _has_listed(attempt, playlist):
        return Patience(since + policy.start_budget_s, Cause.NO_SEGMENT)
    if not isinstance(playlist, Playlist):
        return Patience(since + policy.start_budget_s, Cause.PLAYLIST_GONE)
    since = max(since, playlist.changed_at)
    target_duration_s = situation.session.target_duration_s or 1
    container = situation.seen.container(attempt.number)
    if container is not None and container.healthy is False:
        return Patience(since + target_duration_s, Cause.CONTAINER_UNHEALTHY)
    source = situation.seen.source(attempt.leg.input)
    return Patience(since + policy.stall_limit_s(target_duration_s, source), Cause.PLAYLIST_STALLED)
