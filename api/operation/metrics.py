"""Route of the Prometheus metrics; one scrape costs one query."""

from __future__ import annotations

from collections import Counter as Counts

from litestar import Response, Router, get
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, generate_latest

from api import auth
from api.injection import Injected
from api.operation.health import TAG
from orchestrator.core.model import Event, EventType, Phase
from orchestrator.ports import Sessions


class Metrics:
    """This process's counters, in a registry of their own: two apps in one process do not share them."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._sessions = Gauge(
            "hls_failover_sessions", "Sessions that have not ended, by phase.", ["phase"], registry=self._registry
        )
        self._delivered = Counter(
            "hls_failover_events_delivered",
            "Events sent to clients by this process, by type.",
            ["type"],
            registry=self._registry,
        )
        for event_type in EventType:
            self._delivered.labels(event_type.value)

    def delivered(self, event: Event) -> None:
        self._delivered.labels(event.type.value).inc()

    def render(self, phases: Counts[Phase]) -> bytes:
        for phase in Phase:
            if phase is not Phase.ENDED:
                self._sessions.labels(phase.value).set(phases[phase])
        return generate_latest(self._registry)


@get(
    "/metrics",
    summary="Metrics for Prometheus",
    media_type=CONTENT_TYPE_LATEST,
    answer='# TYPE hls_failover_sessions gauge\nhls_failover_sessions{phase="live"} 42.0\n',
)
async def read_metrics(sessions: Injected[Sessions], metrics: Injected[Metrics]) -> Response[bytes]:
    phases = Counts(session.phase for session in await sessions.unended())
    return Response(metrics.render(phases), media_type=CONTENT_TYPE_LATEST)


routes = Router(path="/", guards=[auth.admin], security=auth.ADMIN, tags=[TAG.name], route_handlers=[read_metrics])
