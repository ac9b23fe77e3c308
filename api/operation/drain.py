"""Routes of the drain: while it is on, no new session starts in the whole deployment. Running sessions go on."""

from __future__ import annotations

from litestar import Router, get, put
from litestar.params import JSONBody
from msgspec import Struct

from api import auth
from api.http.bodies import StrictBody
from api.injection import Clock, Injected
from api.operation.health import TAG
from api.session.views import optional_timestamp
from orchestrator.ports import Operation


class DrainIntent(Struct, kw_only=True, forbid_unknown_fields=True):
    draining: bool


class DrainView(Struct, kw_only=True):
    draining_since: str | None  # null: new sessions start


_DRAINING = DrainView(draining_since="2025-06-01T21:04:09.870Z")


@get("/v1/drain", summary="Whether new sessions start", answer=_DRAINING)
async def read_drain(operation: Injected[Operation]) -> DrainView:
    return await _view(operation)


@put("/v1/drain", summary="Drain, or end it", body=DrainIntent(draining=True), answer=_DRAINING)
async def write_drain(operation: Injected[Operation], clock: Injected[Clock], data: JSONBody[DrainIntent]) -> DrainView:
    """Meanwhile requests for a new session get 503 with the `limit` `draining`. A repeated request changes nothing: it drains
    since the first one."""
    await operation.drain(clock() if data.draining else None)
    return await _view(operation)


async def _view(operation: Operation) -> DrainView:
    return DrainView(draining_since=optional_timestamp(await operation.draining_since()))


routes = Router(
    path="/",
    guards=[auth.admin],
    security=auth.ADMIN,
    tags=[TAG.name],
    dto=StrictBody,
    route_handlers=[read_drain, write_drain],
)
