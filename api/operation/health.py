"""Routes of liveness and readiness. All parts are asked at the same time, each with a time limit.

The process is ready without Redis: it carries hints only (law 1), so without it everything works with a delay of about a
second. Its state is reported.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from litestar import Router, get
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Tag
from msgspec import Struct

from api.http.problem_document import MEDIA_TYPE, NotReady, Problem
from api.injection import Injected
from orchestrator.errors import FailoverError
from orchestrator.ports import EventBus, ObjectStore, Sessions

TAG = Tag("Operation", "Health, readiness, metrics.")

CHECK_S = 1.0
_HINTS = frozenset({"bus"})


class Health(Struct):
    status: str


class Readiness(Struct):
    status: str
    parts: dict[str, str]  # "bus" (Redis) may be other than "ok": everything works without it, only slower


@get("/healthz", summary="The process answers", answer=Health("ok"), open_to_all=True)
async def healthz() -> Health:
    return Health("ok")


@get(
    "/readyz",
    summary="Every part that is needed answers",
    answer=Readiness("ready", {"database": "ok", "store": "ok", "bus": "ok"}),
    responses={503: ResponseSpec(Problem, media_type=MEDIA_TYPE)},
    open_to_all=True,
)
async def readyz(sessions: Injected[Sessions], store: Injected[ObjectStore], bus: Injected[EventBus]) -> Readiness:
    """503 names the parts that do not. Redis (`bus`) is reported, and not needed."""
    checks = {"database": sessions.check(), "store": store.check(), "bus": bus.check()}
    faults = dict(zip(checks, await asyncio.gather(*map(_fault, checks.values())), strict=True))
    down = {part: fault for part, fault in faults.items() if fault is not None}
    if down.keys() - _HINTS:
        raise NotReady(down)
    return Readiness("ready", {part: "ok" if fault is None else fault for part, fault in faults.items()})


async def _fault(check: Awaitable[None]) -> str | None:
    """Why a part is not ready; None: it is."""
    try:
        async with asyncio.timeout(CHECK_S):
            await check
    except TimeoutError:
        return f"no answer within {CHECK_S:g} s"
    except FailoverError as error:
        return error.title  # the message may hold addresses, and this route is open
    return None


routes = Router(path="/", tags=[TAG.name], route_handlers=[healthz, readyz])
