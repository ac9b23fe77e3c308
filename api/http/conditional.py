"""Conditional answers (RFC 9110, 13.1.2): 304 without a body where the client already has what the ETag names.

This module exists because Litestar can send an ETag but does not compare it with `If-None-Match`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from litestar import Request, Response


def is_current(request: Request[Any, Any, Any], etag: str) -> bool:
    """Whether the client has what the ETag names."""
    return etag in request.headers.get("if-none-match", "")


def conditional(
    request: Request[Any, Any, Any], etag: str, content: bytes, media_type: str, headers: Mapping[str, str]
) -> Response[bytes]:
    """`content` with its ETag, or 304."""
    headers = {**headers, "ETag": etag}
    if is_current(request, etag):
        return Response(b"", status_code=304, media_type=media_type, headers=headers)
    return Response(content, media_type=media_type, headers=headers)
