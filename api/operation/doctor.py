"""Route of the diagnosis: the findings of `failover doctor`, except those about the container engine, which the API never
touches."""

from __future__ import annotations

from litestar import Router, get
from msgspec import Struct

from api import auth
from api.injection import Clock, Injected
from api.operation.health import TAG
from orchestrator.app.settings import Settings
from orchestrator.doctor.finding import Finding, Level
from orchestrator.doctor.gathering import examine
from orchestrator.doctor.rules import findings, healthy
from orchestrator.ports import EventBus, ObjectStore, Tables


class Diagnosis(Struct, kw_only=True):
    healthy: bool  # nothing is wrong; notes may be there
    findings: list[Finding]  # those that are wrong first


EXAMPLE = Diagnosis(
    healthy=True,
    findings=[
        Finding(
            check="draining",
            level=Level.NOTE,
            what="no new session starts since 12 min",
            remedy="`failover drain off` where that is over",
        )
    ],
)


@get("/v1/doctor", summary="What is wrong, and what to do about it", answer=EXAMPLE)
async def diagnose(
    settings: Injected[Settings],
    tables: Injected[Tables],
    bus: Injected[EventBus],
    store: Injected[ObjectStore],
    clock: Injected[Clock],
) -> Diagnosis:
    """Takes some seconds: objects are written to the store and read back, and what may be temporary is examined twice.

    About containers and their image only `failover doctor` on the engine's machine can tell.
    """
    found = findings(await examine(settings, tables=tables, bus=bus, store=store, runtime=None, now=clock))
    return Diagnosis(healthy=healthy(found), findings=list(found))


routes = Router(path="/", guards=[auth.admin], security=auth.ADMIN, tags=[TAG.name], route_handlers=[diagnose])
