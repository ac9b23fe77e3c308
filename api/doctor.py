"""What `failover doctor` finds, for a console: of everything but the engine, which the API does not touch (law 2)."""

from __future__ import annotations

from litestar import Router, get
from litestar.di import NamedDependency
from msgspec import Struct

from api import auth
from api.health import TAG
from api.world import World
from orchestrator.doctor.examination import examine
from orchestrator.doctor.findings import Finding, Level
from orchestrator.doctor.rules import findings, healthy


class Diagnosis(Struct, kw_only=True):
    healthy: bool  # nothing is wrong; notes may be there
    findings: list[Finding]  # what is wrong first


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
async def diagnose(world: NamedDependency[World]) -> Diagnosis:
    """Takes some seconds: the store is tried with objects, and what may only be passing is looked at twice.

    Of containers and their image only `failover doctor` on the engine's machine can tell.
    """
    found = findings(
        await examine(world.settings, tables=world, bus=world.bus, store=world.store, runtime=None, now=world.clock)
    )
    return Diagnosis(healthy=healthy(found), findings=list(found))


routes = Router(path="/", guards=[auth.admin], security=auth.ADMIN, tags=[TAG.name], route_handlers=[diagnose])
