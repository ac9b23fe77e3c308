"""Blame where it belongs (law 7): a source is marked only for what the source did.

The agent's exit code names its reason (`transcoder.ending`); a container that was killed, refused, lost or hung says nothing
about the source, and neither does a playlist that stopped while the agent did not complain.
"""

from __future__ import annotations

from msgspec import Struct

from orchestrator.core.model import Absent, Container, ContainerState, Observation, Playlist, Session, Unknown
from orchestrator.core.policy import Policy
from transcoder.ending import Ending


class Failure(Struct, frozen=True):
    """Why the current attempt is over. `source`: it was the source's doing; `stall`: by falling silent."""

    reason: str
    source: bool = False
    stall: bool = False
    exit_code: int | None = None


def of_exit(exit_code: int | None, *, oom_killed: bool = False) -> Failure:
    """What an exit code says."""
    if oom_killed:
        return Failure("container out of memory", exit_code=exit_code)
    try:
        ending = Ending(exit_code)
    except ValueError:
        killed = exit_code in (137, 143) or (exit_code is not None and exit_code < 0)
        return Failure("container killed" if killed else f"container failed with {exit_code}", exit_code=exit_code)
    # The agent does as it is told; told by somebody else than us, its end is a container's.
    words = "container stopped" if ending is Ending.BY_REQUEST else ending.words
    return Failure(words, source=ending.blames_source, stall=ending is Ending.SOURCE_STALLED, exit_code=exit_code)


def of_container(container: Container) -> Failure | None:
    match container.state:
        case ContainerState.EXITED:
            return of_exit(container.exit_code, oom_killed=container.oom_killed)
        case ContainerState.PAUSED:
            return Failure("container paused")
        case ContainerState.REFUSED:
            return Failure(f"container refused: {container.detail}" if container.detail else "container refused")
        case ContainerState.CREATED | ContainerState.RUNNING:
            return None


def diagnose(session: Session, seen: Observation, now: float, policy: Policy) -> Failure | None:
    """Why the session's current attempt is over, or None: it is not, or nobody can say (law 3)."""
    attempt = session.attempt
    if attempt is None:
        return None
    container = None
    if not isinstance(seen.containers, Unknown):
        container = next((each for each in seen.containers if each.attempt == attempt.number), None)
        if container is None:
            return Failure("container is gone")
        failure = of_container(container)
        if failure is not None:
            return failure
    match seen.playlist:
        case Unknown():
            return None
        case Absent():
            listed = False
            silent_s = now - attempt.started_at
        case Playlist() as playlist:
            listed = playlist.attempt >= attempt.number
            silent_s = now - max(playlist.changed_at, attempt.started_at)
    if not listed:
        return Failure("no segment within the start budget") if silent_s > policy.start_budget_s else None
    target_duration_s = session.target_duration_s or 1
    if container is not None and container.healthy is False and silent_s > target_duration_s:
        return Failure("container unhealthy")
    return Failure("playlist stalled") if silent_s > policy.stall_limit_s(target_duration_s) else None
