"""The engine's event stream, read by a thread of its own until it breaks or is closed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import requests
import urllib3
from docker.errors import DockerException

from orchestrator.adapters.docker.engine import LABEL, connect, innermost
from orchestrator.errors import EngineUnavailable
from orchestrator.ports import ContainerEvent

_EVENTS = ("start", "die", "oom", "pause", "unpause", "health_status", "destroy")


class EngineEventFeed(threading.Thread):
    """`emit` is called, in this thread, with each event of the deployment's containers since then (unix seconds), and with an
    EngineUnavailable once the stream has broken."""

    def __init__(self, deployment: str, since: float, emit: Callable[[ContainerEvent | EngineUnavailable], object]) -> None:
        super().__init__(name="docker-events", daemon=True)
        self._filters = {"type": "container", "label": f"{LABEL}.deployment={deployment}", "event": list(_EVENTS)}
        self._since = since
        self._emit = emit
        self._lock = threading.Lock()
        self._stream: Any = None
        self._closed = False

    def run(self) -> None:
        reason = "the event stream has ended"
        try:
            with connect() as client:
                client.ping()  # bounded in time, as the stream is not
                # The engine takes fractions of a second, though the SDK's types know whole ones only.
                since: Any = f"{self._since:.6f}"
                stream = client.events(since=since, filters=self._filters, decode=True)
                with self._lock:
                    self._stream = stream
                    if self._closed:
                        self._shut_down()
                        return
                for event in stream:
                    attributes = event["Actor"]["Attributes"]
                    if not attributes.get(f"{LABEL}.attempt", "").isdecimal():
                        continue
                    seen = ContainerEvent(attributes[f"{LABEL}.session"], int(attributes[f"{LABEL}.attempt"]))
                    self._tell(seen)
        except (DockerException, requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            reason = innermost(error)
        self._tell(EngineUnavailable(f"no engine events: {reason}"))

    def _tell(self, item: ContainerEvent | EngineUnavailable) -> None:
        with self._lock:
            if not self._closed:
                self._emit(item)

    def close(self) -> None:
        """Ends the connection, and with it the thread."""
        with self._lock:
            self._closed = True
            if self._stream is not None:
                self._shut_down()
        self.join(timeout=1.0)

    def _shut_down(self) -> None:
        try:
            self._stream.close()
        except (OSError, AttributeError):
            pass  # it had ended by itself
