"""Translates the engine's description of a container into the core's `Container`."""

from __future__ import annotations

import re
from typing import Any

import docker
from docker.errors import APIError, NotFound

from orchestrator.adapters.docker.engine import LABEL
from orchestrator.adapters.refused_job import refused_field
from orchestrator.core.model import Container, ContainerState
from transcoder.ending import Ending

# Before API 1.52 the engine's list has a container's health in the sentence `Status` only ("Up 2 minutes (healthy)"), and to
# inspect each container instead would be one more request per session and look. From 1.52 on it has a field (ContainerSummary).
_HEALTH = re.compile(r"\((healthy|unhealthy)\)$")
_REFUSAL_LINES = 5  # the last lines of the agent's log say why it refused its job
_NEVER = "0001-01-01T00:00:00Z"  # Go's zero time: the engine's word for "not yet"


def read_containers(client: docker.APIClient, labels: list[str], *, closely: bool) -> tuple[Container, ...]:
    listed = client.containers(all=True, filters={"label": labels})
    return tuple(found for each in listed if (found := _container(client, each, closely=closely)) is not None)


def _container(client: docker.APIClient, listed: dict[str, Any], *, closely: bool) -> Container | None:
    """One line of the engine's list. A container that does not run is inspected, because the list has no exit codes.

    `closely`: one that is listed as running is inspected, too. The engine sends the event of a death or a pause before it
    brings its list up to date, so a look that an event has caused would still see the state before it.
    """
    if not listed["Labels"].get(f"{LABEL}.attempt", "").isdecimal():
        return None  # not made by us, and no reason not to see ours
    state = {}
    match listed["State"]:
        case "removing":
            return None
        case "running" | "restarting" if not closely:
            status = ContainerState.RUNNING
        case "paused" if not closely:
            status = ContainerState.PAUSED
        case _:
            try:
                state = client.inspect_container(listed["Id"])["State"]
            except NotFound:
                return None
            status = _status(state)
    health = _health(listed, state)
    # Not the engine's own words, which quote what it was given; they are in the orchestrator's log.
    detail = "the engine cannot start it" if state.get("Error") else ""
    if status is ContainerState.EXITED and state["ExitCode"] == Ending.BAD_JOB:
        detail = _refused_field(client, listed["Id"])
    return Container(
        id=listed["Id"],
        session_id=listed["Labels"][f"{LABEL}.session"],
        attempt=int(listed["Labels"][f"{LABEL}.attempt"]),
        state=status,
        exit_code=state["ExitCode"] if status is ContainerState.EXITED else None,
        oom_killed=bool(state.get("OOMKilled")),
        healthy=health == "healthy" if health in ("healthy", "unhealthy") else None,
        created_at=float(listed["Created"]),
        detail=detail,
    )


def _health(listed: dict[str, Any], state: dict[str, Any]) -> str | None:
    """`healthy`, `unhealthy` or another of the engine's words; None: it tells nothing."""
    health = state.get("Health") or listed.get("Health")
    if health:
        return str(health["Status"])
    said = _HEALTH.search(listed["Status"])
    return said[1] if said else None


def _refused_field(client: docker.APIClient, container_id: str) -> str:
    """The field of its job that the agent has refused; "" where its log cannot be read."""
    try:
        log = client.logs(container_id, stdout=False, stderr=True, tail=_REFUSAL_LINES)
    except APIError:
        return ""
    return refused_field(log.decode(errors="replace"))


def _status(state: dict[str, Any]) -> ContainerState:
    if state["Running"]:
        return ContainerState.PAUSED if state["Paused"] else ContainerState.RUNNING
    if state["StartedAt"] != _NEVER:
        return ContainerState.EXITED
    return ContainerState.REFUSED if state.get("Error") else ContainerState.CREATED
