# ruff: noqa
# mypy: ignore-errors
"""Blame where it belongs (law 7): a source is marked only for what the source did.

The agent's exit code names its reason (`transcoder.ending`); a container that was killed, refused, lost or hung says nothing
about the source, and neither does a playlist that stopped while the agent did not complain.
"""

from __future__ import annotations

import re

from msgspec import Struct

from tests.orchestrator.old_core.model import Container, ContainerState, Observation, Playlist, Session, Unknown
from tests.orchestrator.old_core.policy import Policy
from transcoder.ending import Ending


class Failure(Struct, frozen=True):
    """Why the current attempt is over. `source`: it was the source's doing; `stall`: by falling silent. `refused`: the agent
    does not take the job, which is our fault, and will not take the same one again."""

    reason: str
    source: bool = False
    stall: bool = False
    refused: bool = False
    exit_code: int | None = None


class Patience(Struct, frozen=True):
    """Silence `until` then is nothing; beyond, it is a failure for this reason."""

    until: float
    reason: str


def of_exit(exit_code: int | None, *, oom_killed: bool = False, detail: str = "") -> Failure:
    """What an exit code says; `detail`: the field that the agent has named, where it refuses its job."""
    if oom_killed:
        return Failure("container out of memory", exit_code=exit_code)
    ending = next((each for each in Ending if each == exit_code), None)
    if ending is None:
        killed = exit_code in (137, 143) or (exit_code is not None and exit_code < 0)
        return Failure("container killed" if killed else f"container failed with {exit_code}", exit_code=exit_code)
    if ending is Ending.BY_REQUEST:
        return Failure("container stopped", exit_code=exit_code)  # by somebody else: what we stop is not looked at any more
    if ending is Ending.BAD_JOB:
        return Failure(f"{ending.words}: {detail}" if detail else ending.words, refused=True, exit_code=exit_code)
    return Failure(ending.words, source=ending.blames_source, stall=ending is Ending.SOURCE_STALLED, exit_code=exit_code)


_REFUSAL = re.compile(rf"^bad job(?: \({int(Ending.BAD_JOB)}\))?: (.{{1,200}})", re.MULTILINE)


def refused_field(log: str) -> str:
    """What of its job the agent refuses, from the end of its log; "" where that does not say. No value is quoted in it."""
    found = _REFUSAL.search(log)
    return found[1] if found else ""


def of_container(container: Container) -> Failure | None:
    match container.state:
        case ContainerState.EXITED:
            return of_exit(container.exit_code, oom_killed=container.oom_killed, detail=container.detail)
        case ContainerState.PAUSED:
            return Failure("container paused")
        case ContainerState.REFUSED:
            return Failure(f"container refused: {container.detail}" if container.detail else "container refused")
        case ContainerState.CREATED | ContainerState.RUNNING:
            return None


def diagnose(session: Session, seen: Observation, now: float, policy: Policy) -> Failure | None:
    """Why the session's current attempt is over, or None: it is not, or nobody can say (law 3).

    Where the engine does not answer nobody can: what is silent may be started again only by it, and it may yet say why.
    """
    attempt = session.attempt
    if attempt is None or isinstance(seen.containers, Unknown):
        return None
    container = next((each for each in seen.containers if each.attempt == attempt.number), None)
    if container is None:
        return Failure("container is gone")
    failure = of_container(container)
    if failure is not None:
        return failure
    patience = patience_with(session, seen, policy)
    if patience is None or isinstance(seen.playlist, Unknown):
        return None
    looked_at = min(now, seen.playlist.at)
    return Failure(patience.reason) if looked_at > patience.until else None


def patience_with(session: Session, seen: Observation, policy: Policy) -> Patience | None:
    """How long the current attempt may be silent. Only time in which the store answered counts (law 3). None: no attempt
    runs, or the store does not answer."""
    attempt, playlist = session.attempt, seen.playlist
    if attempt is None or isinstance(playlist, Unknown):
        return None
    since = max(attempt.started_at, playlist.since)
    if attempt.live_at is None and not (isinstance(playlist, Playlist) and playlist.attempt >= attempt.number):
        return Patience(since + policy.start_budget_s, "no segment within the start budget")
    if not isinstance(playlist, Playlist):
        return Patience(since + policy.start_budget_s, "playlist is gone")
    since = max(since, playlist.changed_at)
    target_duration_s = session.target_duration_s or 1
    if _is_unhealthy(attempt.number, seen):
        return Patience(since + target_duration_s, "container unhealthy")
    source = next((each for each in seen.sources if each.id == attempt.source_id), None)
    return Patience(since + policy.stall_limit_s(target_duration_s, source), "playlist stalled")


def _is_unhealthy(number: int, seen: Observation) -> bool:
    containers = () if isinstance(seen.containers, Unknown) else seen.containers
    return any(each.attempt == number and each.healthy is False for each in containers)
