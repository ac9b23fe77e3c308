"""The files that the pages need: ours, and hls.js as npm has installed it. Exactly these are served, and nothing else."""

from __future__ import annotations

import hashlib
import mimetypes
from pathlib import Path
from typing import Final, NamedTuple

from litestar import Response, Router, get
from litestar.params import FromPath

from api.sessions import AnyRequest
from orchestrator.errors import NotFound

WEB: Final = Path(__file__).parent / "web"
_PLAYER: Final = WEB / "node_modules" / "hls.js" / "dist" / "hls.min.js"


class Asset(NamedTuple):
    content: bytes
    media_type: str
    etag: str


def page(name: str) -> bytes:
    return (WEB / name).read_bytes()


def _read(path: Path) -> Asset:
    content = path.read_bytes()
    media_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return Asset(content, media_type, f'"{hashlib.sha256(content).hexdigest()[:16]}"')


@get("/assets/{name:str}", include_in_schema=False)
async def read_asset(request: AnyRequest, name: FromPath[str]) -> Response[bytes]:
    asset = _ASSETS.get(name)
    if asset is None:
        hint = " (`make setup` installs the player)" if name == _PLAYER.name else ""
        raise NotFound(f"no such file{hint}")
    headers = {"Cache-Control": "no-cache", "ETag": asset.etag}
    if asset.etag in request.headers.get("if-none-match", ""):
        return Response(b"", status_code=304, media_type=asset.media_type, headers=headers)
    return Response(asset.content, media_type=asset.media_type, headers=headers)


_ASSETS: Final = {path.name: _read(path) for path in (*(WEB / "assets").iterdir(), _PLAYER) if path.is_file()}

routes = Router(path="/", route_handlers=[read_asset])
