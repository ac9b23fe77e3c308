"""Drain: no new session starts in the whole deployment, until it is said otherwise. Running ones go on."""

from __future__ import annotations

from litestar import Router, get, put
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import Struct

from api import auth
from api.http.bodies import StrictBody
from api.operation.health import TAG
from api.session.views import optional_timestamp
from api.world import World


class DrainIntent(Struct, kw_only=True, forbid_unknown_fields=True):
    draining: bool


class DrainView(Struct, kw_only=True):
    draining_since: str | None  # null: new sessions start


_DRAINING = DrainView(draining_since="2025-06-01T21:04:09.870Z")


@get("/v1/drain", summary="Whether new sessions start", answer=_DRAINING)
async def read_drain(world: NamedDependency[World]) -> DrainView:
    return await _view(world)


@put("/v1/drain", summary="Drain, or end it", body=DrainIntent(draining=True), answer=_DRAINING)
async def write_drain(world: NamedDependency[World], data: JSONBody[DrainIntent]) -> DrainView:
    """Whoever asks for a new session meanwhile gets 503 with the `limit` `draining`. Said twice, it is since the first time."""
    await world.operation.drain(world.clock() if data.draining else None)
    return await _view(world)


async def _view(world: World) -> DrainView:
    return DrainView(draining_since=optional_timestamp(await world.operation.draining_since()))


routes = Router(
    path="/",
    guards=[auth.admin],
    security=auth.ADMIN,
    tags=[TAG.name],
    dto=StrictBody,
    route_handlers=[read_drain, write_drain],
)
