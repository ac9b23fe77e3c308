"""Route of the start page, `/`: links to everything else. It holds no data and is open to everybody."""

from __future__ import annotations

from litestar import Response, Router, get

from api.http.assets import PAGE_POLICY, built_page
from api.watch import pages


@get("/", summary="The start page", media_type="text/html", answer="<!doctype html>…", open_to_all=True)
async def read_home() -> Response[bytes]:
    """Links to watching, the console, the documentation, health."""
    headers = {"Content-Security-Policy": f"{PAGE_POLICY}; connect-src 'self'", "Cache-Control": "no-cache"}
    return Response(built_page("home.html"), media_type="text/html", headers=headers)


routes = Router(path="/", tags=[pages.TAG.name], route_handlers=[read_home])
