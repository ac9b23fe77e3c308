"""Whether rows and containers agree. Law: what may be passing (a container that is just being removed) is found only where it
is seen twice, some seconds apart."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from msgspec.structs import replace

from orchestrator.app.settings import Settings
from orchestrator.core.model import Container, ContainerState, Desired, Phase, Session
from orchestrator.doctor.findings import Finding, Snapshot

STUCK_S: Final = 30.0  # in a phase, beyond what the phase may take
_LATE_S: Final = 60.0  # so long after its time something has been forgotten


def passing(snapshot: Snapshot, settings: Settings) -> tuple[Finding, ...]:
    """What is wrong if it lasts: to be looked at twice, some seconds apart."""
    return tuple(_stuck(snapshot, settings)) + tuple(_containers(snapshot, settings))


def confirmed(before: tuple[Finding, ...], after: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """What both looks have found, in the later one's words."""
    earlier = {finding.check: frozenset(finding.subjects) for finding in before}
    both = []
    for finding in after:
        subjects = tuple(each for each in finding.subjects if each in earlier.get(finding.check, ()))
        if subjects:
            both.append(replace(finding, subjects=subjects))
    return tuple(both)


def _stuck(snapshot: Snapshot, settings: Settings) -> Iterator[Finding]:
    stuck: dict[str, list[str]] = defaultdict(list)
    start_limit_s = settings.start_limit_s + STUCK_S
    for session in snapshot.sessions:
        attempt = session.attempt
        if session.desired is Desired.STOP:
            stuck["stop"].append(session.id)
        elif session.phase is Phase.REQUESTED and session.created_at < snapshot.at - settings.probe_timeout_s - STUCK_S:
            stuck["requested"].append(session.id)
        elif session.phase not in (Phase.STARTING, Phase.SWITCHING) or attempt is None:
            continue
        elif attempt.started_at < snapshot.at - start_limit_s:
            stuck[session.phase.value].append(session.id)
    for phase, ids in stuck.items():
        yield Finding(
            check=f"stuck-{phase}",
            what="sessions that want to stop and do not end"
            if phase == "stop"
            else f"sessions that have been {phase} for long",
            remedy="see that the orchestrator, the store and the engine answer; then the orchestrator's log, by session",
            subjects=tuple(ids),
        )


def _containers(snapshot: Snapshot, settings: Settings) -> Iterator[Finding]:
    if snapshot.containers is None:
        return
    by_session: dict[str, list[Container]] = defaultdict(list)
    for container in snapshot.containers:
        by_session[container.session_id].append(container)
    rows = {session.id: session for session in snapshot.sessions}
    without = [
        session.id
        for session in snapshot.sessions
        if session.attempt is not None
        and session.desired is Desired.RUN
        and not any(each.attempt == session.attempt.number for each in by_session[session.id])
    ]
    if without:
        yield Finding(
            check="rows-without-container",
            what="sessions whose current attempt has no container",
            remedy="a running orchestrator replaces it within seconds; where it does not, its log says why",
            subjects=tuple(without),
        )
    old = snapshot.at - settings.orphan_grace_s - _LATE_S
    nobodys = sorted(
        {
            f"{each.session_id}-{each.attempt}"
            for each in snapshot.containers
            if each.session_id not in rows and (each.session_id in snapshot.known or each.created_at < old)
        }
    )
    if nobodys:
        yield Finding(
            check="containers-without-row",
            what="containers of sessions that have ended, or have no row",
            remedy="a running orchestrator removes them; else `docker rm --force`",
            subjects=tuple(nobodys),
        )
    unfenced = [session.id for session in snapshot.sessions if _beside(session, by_session[session.id])]
    if unfenced:
        yield Finding(
            check="two-attempts",
            what="sessions in which an attempt runs beside the current one, and no planned swap is under way",
            remedy="the later one fences the earlier one, so the picture is right; a running orchestrator stops it",
            subjects=tuple(unfenced),
        )


def _beside(session: Session, containers: list[Container]) -> bool:
    meant = {each.number for each in session.attempts}
    running = {each.attempt for each in containers if each.state in (ContainerState.RUNNING, ContainerState.PAUSED)}
    return len(running) > 1 and bool(running - meant)
