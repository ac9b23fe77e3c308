"""The start page, at `/`: where a person can go from here. It holds no data and is open to everybody."""

from __future__ import annotations

from litestar import Response, Router, get

from api import watch
from api.assets import PAGE_POLICY, page


@get("/", summary="The start page", media_type="text/html", answer="<!doctype html>…")
async def read_home() -> Response[bytes]:
    """Where a person can go from here: watch, the console, the documentation, health."""
    headers = {"Content-Security-Policy": f"{PAGE_POLICY}; connect-src 'self'", "Cache-Control": "no-cache"}
    return Response(page("home.html"), media_type="text/html", headers=headers)


routes = Router(path="/", tags=[watch.TAG.name], route_handlers=[read_home])
