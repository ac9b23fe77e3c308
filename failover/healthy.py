"""`failover healthy`: the health check of the image. An orchestrator is asked by its file, an API at its own port."""

from __future__ import annotations

import http.client
from pathlib import Path

from orchestrator.pulse import Pulse
from orchestrator.settings import Settings

_TIMEOUT_S = 3.0


async def healthy(settings: Settings) -> int:
    """0 or 1, as Docker wants it."""
    if settings.health_file is not None:
        return 0 if Pulse(Path(settings.health_file)).is_felt() else 1
    connection = http.client.HTTPConnection("127.0.0.1", settings.port, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", "/healthz")
        return 0 if connection.getresponse().status == 200 else 1
    except (OSError, http.client.HTTPException):
        return 1
    finally:
        connection.close()
