"""Problem documents (RFC 9457): what every answer that is not a success consists of.

What a part of the system or a source has said is for operators; viewers read which part it is, and of a source the class of its
reason (core/presentation/viewer_reason.py). An internal error says nothing of its cause. This module exists because Litestar's
error answers are not problem documents; its validation errors of parameters are translated here.
"""

from __future__ import annotations

import re
from http import HTTPStatus

import msgspec
from litestar.exceptions import HTTPException, ValidationException

from orchestrator.core.bounds import InputFault
from orchestrator.core.presentation import viewer_reason
from orchestrator.errors import (
    BusUnavailable,
    DatabaseUnavailable,
    EngineUnavailable,
    FailoverError,
    FramesUnavailable,
    InvalidInput,
    LimitReached,
    NoConnectionLeft,
    NoHealthySource,
    StoreUnavailable,
    Temporary,
    Unauthorized,
)
from transcoder.source.redaction import redacted

_OF_A_PART = StoreUnavailable | EngineUnavailable | DatabaseUnavailable | BusUnavailable | FramesUnavailable | NoConnectionLeft

MEDIA_TYPE = "application/problem+json"


class Problem(msgspec.Struct, kw_only=True, omit_defaults=True):
    """RFC 9457, 3.1, and our own members."""

    type: str  # urn:hls-failover:problem:{name of the error}
    title: str
    status: int
    detail: str | None = None
    instance: str | None = None  # the path that was asked for
    field: str | None = None  # the member, parameter or header that cannot be accepted
    code: InputFault | None = None  # what is wrong with it, for programs; `detail` says it in words
    allowed: tuple[str, ...] | None = None  # the values that would be accepted, with the code `scheme`
    limit: str | None = None  # the name of the setting whose limit is reached
    sources: dict[str, str] | None = None  # source id → why it does not work: a class; with the admin key, in words
    parts: dict[str, str] | None = None  # part of the system → why it is not ready


class NotReady(Temporary):
    """Parts of the system do not answer."""

    title = "Not ready"

    def __init__(self, parts: dict[str, str]) -> None:
        super().__init__(", ".join(f"{part}: {reason}" for part, reason in parts.items()))
        self.parts = parts


def describe(error: Exception, *, operator: bool = False) -> tuple[Problem, dict[str, str]]:
    """The document, and its headers. `operator`: with the words of the part or source that has failed."""
    match error:
        case ValidationException(extra=[{"key": "data"}, *_]):  # Litestar's error where there is no body
            return describe(InvalidInput("body", "is missing"), operator=operator)
        case ValidationException(extra=[{"message": str(message), **rest}, *_]):  # of a parameter
            return describe(InvalidInput(str(rest.get("key", "request")), message))
        case HTTPException():
            status = HTTPStatus(error.status_code)
            internal = status >= HTTPStatus.INTERNAL_SERVER_ERROR
            problem = Problem(
                type=_urn(status.phrase),
                title=status.phrase,
                status=status,
                detail=None if internal or error.detail == status.phrase else error.detail,
            )
            return problem, dict(error.headers or {})
        case FailoverError():
            internal = error.status == HTTPStatus.INTERNAL_SERVER_ERROR
            problem = Problem(
                type=_urn(type(error).__name__),
                title=error.title,
                status=error.status,
                detail=None if internal else _detail(error, operator),
                field=error.field if isinstance(error, InvalidInput) else None,
                code=error.code if isinstance(error, InvalidInput) else None,
                allowed=(error.allowed or None) if isinstance(error, InvalidInput) else None,
                limit=error.limit if isinstance(error, LimitReached) else None,
                sources=_sources(error, operator) if isinstance(error, NoHealthySource) else None,
                parts=error.parts if isinstance(error, NotReady) else None,
            )
            headers = {}
            if isinstance(error, Unauthorized):
                headers["WWW-Authenticate"] = "Bearer"
            if isinstance(error, LimitReached):
                headers["Retry-After"] = f"{error.retry_after_s:.0f}"
            elif error.status == HTTPStatus.SERVICE_UNAVAILABLE:
                headers["Retry-After"] = "2"
            return problem, headers
        case _:
            return Problem(type=_urn("internal error"), title=FailoverError.title, status=FailoverError.status), {}


def _detail(error: FailoverError, operator: bool) -> str | None:
    if operator:
        return redacted(str(error)) or None
    if isinstance(error, NoHealthySource | _OF_A_PART):
        return None
    return str(error) or None


def _sources(error: NoHealthySource, operator: bool) -> dict[str, str]:
    return error.reasons if operator else viewer_reason.of_sources(error.reasons, error.causes)


def _urn(name: str) -> str:
    """NoHealthySource, "Method Not Allowed" → urn:hls-failover:problem:no-healthy-source"""
    words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)
    return "urn:hls-failover:problem:" + "-".join(word.lower() for word in words)
