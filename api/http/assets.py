"""The files that pages need, ours and others': what the build has put into dist/. Exactly these are served, and nothing else.

The player is a module that any site may import, so every file is readable from every origin.
"""

from __future__ import annotations

import hashlib
import mimetypes
from pathlib import Path
from typing import Final, NamedTuple

from litestar import Response, Router, get
from litestar.params import FromPath

from api.routes.sessions import AnyRequest
from orchestrator.errors import NotFound

PAGE_POLICY: Final = (  # of every page: our own scripts, styles and pictures, and no third party
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


@get("/assets/{name:str}", include_in_schema=False)
async def read_asset(request: AnyRequest, name: FromPath[str]) -> Response[bytes]:
    asset = _ASSETS.get(name)
    if asset is None:
        raise NotFound("no such file" if _ASSETS else "the pages have not been built (`make setup` builds them)")
    headers = {"Cache-Control": "no-cache", "ETag": asset.etag, "Access-Control-Allow-Origin": "*"}
    if asset.etag in request.headers.get("if-none-match", ""):
        return Response(b"", status_code=304, media_type=asset.media_type, headers=headers)
    return Response(asset.content, media_type=asset.media_type, headers=headers)


_ASSETS: Final = {path.name: _read(path) for path in DIST.glob("[!.]*") if path.suffix in _MEDIA_TYPES}

routes = Router(path="/", route_handlers=[read_asset])
