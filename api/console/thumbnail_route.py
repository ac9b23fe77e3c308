"""What a session sends, as a picture: seconds old, for a wall of many sessions."""

from __future__ import annotations

from litestar import Response, Router, get
from litestar.di import NamedDependency

from api import auth
from api.routes.sessions import TAG, AnyRequest
from api.world import World
from orchestrator.errors import NotFound
from orchestrator.ports import SessionRow


@get(
    "/v1/sessions/{session_id:str}/poster.jpg",
    summary="A picture of what the session sends",
    media_type="image/jpeg",
    answer="(a JPEG, 320 pixels wide)",
)
async def read_poster(world: NamedDependency[World], request: AnyRequest, row: NamedDependency[SessionRow]) -> Response[bytes]:
    """Of the newest listed segment, or of one shortly before. 404: it has listed no picture yet, or never will; or this API has
    no FFmpeg. 503: too many are wanted right now."""
    poster = await world.posters.get(row.session.id)
    if poster is None or poster.jpeg is None:
        raise NotFound(f"session {row.session.id} has no picture (yet): it is {row.session.phase.value}")
    headers = {"Cache-Control": "private, max-age=5", "ETag": poster.etag}
    if poster.etag in request.headers.get("if-none-match", ""):
        return Response(b"", status_code=304, media_type="image/jpeg", headers=headers)
    return Response(poster.jpeg, media_type="image/jpeg", headers=headers)


routes = Router(path="/", guards=[auth.session], security=auth.SESSION, tags=[TAG.name], route_handlers=[read_poster])
