"""Serves the files that the pages need: exactly those that the build has written to dist/.

The player is a module that any site may import, so every file is readable from every origin.

This module exists because Litestar's static files ignore `If-None-Match` and read the directory at each request.
"""

from __future__ import annotations

import hashlib
import mimetypes
from pathlib import Path
from typing import Any, Final, NamedTuple

from litestar import Request, Response, Router, get
from litestar.params import FromPath

from api.http.conditional import conditional
from orchestrator.errors import NotFound

PAGE_POLICY: Final = (  # of every page: scripts, styles and pictures from this server, and from no third party
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "script-src 'self'; style-src 'self'; img-src 'self'"
)
DIST: Final = Path(__file__).parents[1] / "web" / "dist"
_MEDIA_TYPES: Final = {".js": "text/javascript", ".ts": "text/plain", ".css": "text/css", ".svg": "image/svg+xml"}


class Asset(NamedTuple):
    content: bytes
    media_type: str
    etag: str


def built_page(name: str) -> bytes:
    """Raises NotFound where the pages have not been built."""
    try:
        return (DIST / name).read_bytes()
    except FileNotFoundError:
        raise NotFound("the page has not been built (`make setup` builds it)") from None


def _read(path: Path) -> Asset:
    content = path.read_bytes()
    media_type = _MEDIA_TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return Asset(content, media_type, f'"{hashlib.sha256(content).hexdigest()[:16]}"')


@get("/assets/{name:str}", include_in_schema=False, open_to_all=True)
async def read_asset(request: Request[Any, Any, Any], name: FromPath[str]) -> Response[bytes]:
    asset = _ASSETS.get(name)
    if asset is None:
        raise NotFound("no such file" if _ASSETS else "the pages have not been built (`make setup` builds them)")
    headers = {"Cache-Control": "no-cache", "Access-Control-Allow-Origin": "*"}
    return conditional(request, asset.etag, asset.content, asset.media_type, headers)


_ASSETS: Final = {path.name: _read(path) for path in DIST.glob("[!.]*") if path.suffix in _MEDIA_TYPES}

routes = Router(path="/", route_handlers=[read_asset])
