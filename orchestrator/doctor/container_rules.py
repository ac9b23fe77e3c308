"""Rules about rows and containers: do they agree?

Rule: a state that may end by itself within seconds (a container that is just being removed) is a finding only if two snapshots,
some seconds apart, both show it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from msgspec.structs import replace

from orchestrator.app.settings import Settings
from orchestrator.core.model import Container, ContainerState, Desired, Phase, Session
from orchestrator.doctor.facts import Snapshot
from orchestrator.doctor.finding import Finding

STUCK_S: Final = 30.0  # longer than a phase may take
_LATE_S: Final = 60.0  # what is so much later than it should be does not happen by itself


def passing(snapshot: Snapshot, settings: Settings) -> tuple[Finding, ...]:
    """Findings of one snapshot, which may pass by themselves."""
    return tuple(_stuck(snapshot, settings)) + tuple(_containers(snapshot, settings))


def confirmed(before: tuple[Finding, ...], after: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """The findings of the later snapshot, with those subjects that the earlier one had, too."""
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
            what="sessions that are to stop and do not end"
            if phase == "stop"
            else f"sessions that have been {phase} for too long",
            remedy="check that orchestrator, store and engine answer; then read the orchestrator's log of these sessions",
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
            remedy="a running orchestrator starts one within seconds; if it does not, its log says why",
            subjects=tuple(without),
        )
    old = snapshot.at - settings.orphan_grace_s - _LATE_S
    without_session = sorted(
        {
            f"{each.session_id}-{each.attempt}"
            for each in snapshot.containers
            if each.session_id not in rows and (each.session_id in snapshot.known or each.created_at < old)
        }
    )
    if without_session:
        yield Finding(
            check="containers-without-row",
            what="containers of sessions that have ended or have no row",
            remedy="a running orchestrator removes them; without one, use `docker rm --force`",
            subjects=tuple(without_session),
        )
    unfenced = [session.id for session in snapshot.sessions if _beside(session, by_session[session.id])]
    if unfenced:
        yield Finding(
            check="two-attempts",
            what="sessions with an attempt that runs beside the current one, though no planned swap is under way",
            remedy="viewers notice nothing, because the later attempt fences the earlier one; a running orchestrator stops it",
            subjects=tuple(unfenced),
        )


def _beside(session: Session, containers: list[Container]) -> bool:
    meant = {each.number for each in session.attempts}
    running = {each.attempt for each in containers if each.state in (ContainerState.RUNNING, ContainerState.PAUSED)}
    return len(running) > 1 and bool(running - meant)
