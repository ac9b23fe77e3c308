"""How the engine's list of containers is read."""

from __future__ import annotations

from typing import Any, cast

import docker
import pytest

from orchestrator.adapters.docker.containers import read_containers
from orchestrator.adapters.docker.engine import LABEL


class Lister:
    """An engine that lists one running container."""

    def __init__(self, **members: Any) -> None:
        labels = {f"{LABEL}.session": "s-1", f"{LABEL}.attempt": "1"}
        self._listed = {"Id": "c", "State": "running", "Created": 1, "Labels": labels, "Status": "Up 2 minutes"} | members

    def containers(self, **_: Any) -> list[dict[str, Any]]:
        return [self._listed]


@pytest.mark.parametrize(
    ("members", "healthy"),
    [
        ({"Status": "Up 2 minutes (healthy)"}, True),
        ({"Status": "Up 2 minutes (unhealthy)"}, False),
        ({"Status": "Up 2 minutes (health: starting)"}, None),
        ({}, None),
        ({"Health": {"Status": "unhealthy", "FailingStreak": 3}}, False),
        ({"Health": {"Status": "healthy", "FailingStreak": 0}, "Status": "Up 2 minutes (unhealthy)"}, True),
        ({"Health": {"Status": "none", "FailingStreak": 0}}, None),
    ],
)
def test_health_is_read_from_the_field_and_of_an_older_engine_from_its_sentence(
    members: dict[str, Any], healthy: bool | None
) -> None:
    (container,) = read_containers(cast(docker.APIClient, Lister(**members)), [], closely=False)
    assert container.healthy is healthy
