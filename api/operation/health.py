"""Is the process alive, and do the parts that it needs answer? All parts are asked at once, each for a bounded time.

Redis is no part that is needed: it carries hints (law 1), so without it everything works, a second later. It is told of.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from litestar import Router, get
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Tag
from msgspec import Struct

from api.problems import MEDIA_TYPE, NotReady, Problem
from api.world import World
from orchestrator.errors import FailoverError

TAG = Tag("Operation", "Health, readiness, metrics.")

CHECK_S = 1.0
_HINTS = frozenset({"bus"})


class Health(Struct):
    status: str


class Readiness(Struct):
    status: str
    parts: dict[str, str]  # "bus" (Redis) may be other than "ok": everything works without, only slower


@get("/healthz", summary="The process answers", answer=Health("ok"))
async def healthz() -> Health:
    return Health("ok")


@get(
    "/readyz",
    summary="Every part that is needed answers",
    answer=Readiness("ready", {"database": "ok", "store": "ok", "bus": "ok"}),
    responses={503: ResponseSpec(Problem, media_type=MEDIA_TYPE)},
)
async def readyz(world: NamedDependency[World]) -> Readiness:
    """503 names the parts that do not. Redis (`bus`) is told of, and not needed."""
    checks = {"database": world.sessions.check(), "store": world.store.check(), "bus": world.bus.check()}
    parts = dict(zip(checks, await asyncio.gather(*map(_verdict, checks.values())), strict=True))
    down = {part: verdict for part, verdict in parts.items() if verdict != "ok"}
    if down.keys() - _HINTS:
        raise NotReady(down)
    return Readiness("ready", parts)


async def _verdict(check: Awaitable[None]) -> str:
    try:
        async with asyncio.timeout(CHECK_S):
            await check
    except TimeoutError:
        return f"no answer within {CHECK_S:g} s"
    except FailoverError as error:
        return error.title  # the message may hold addresses, and this route is open
    return "ok"


routes = Router(path="/", tags=[TAG.name], route_handlers=[healthz, readyz])
