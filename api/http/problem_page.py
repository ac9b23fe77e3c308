"""Renders a problem document as an HTML page, for clients whose `Accept` header prefers one (RFC 9110, 12.5.1). Programs get
the document (RFC 9457)."""

from __future__ import annotations

import re
from collections import Counter
from html import escape
from http import HTTPStatus
from typing import Any, Final

from litestar import Request

from api.http.assets import built_page
from api.http.problem_document import Problem
from orchestrator.core.presentation.viewer_reason import ViewerReason

_PAGE: Final = "problem.html"
_DOCUMENTS: Final = ("application/problem+json", "application/json")
_TITLES: Final[dict[int, str]] = {
    401: "This is for operators",
    404: "There is nothing at this address",
    405: "This address is for programs",
    500: "Something went wrong on our side",
}
_DETAILS: Final[dict[int, str]] = {
    401: "Log in to the console with the admin key, and come back.",
    404: "It may be mistyped, or what was there has been removed.",
    405: "Programs send requests to it; it shows no page.",
    429: "Try again in a moment.",
    500: "The log says more. Trying again may help.",
    503: "Try again in a moment.",
}


_REASONS: Final[dict[str, str]] = {  # of sources, as the watch page says them (web/src/watch/words.ts)
    ViewerReason.UNREACHABLE: "It does not answer.",
    ViewerReason.REFUSED: "It refuses to be played.",
    ViewerReason.UNPLAYABLE: "What it sends cannot be played.",
    ViewerReason.STALLED: "It stopped sending.",
    ViewerReason.ENDED: "It has ended.",
    ViewerReason.BUSY: "All connections to it are in use.",
    ViewerReason.PLANNED: "It is not used at the moment.",
    ViewerReason.SERVICE: "The service could not start it.",
    ViewerReason.FAILED: "It does not work.",
}


def wants_page(request: Request[Any, Any, Any]) -> bool:
    """A safe request whose client prefers HTML to JSON: a person has opened the address in a browser."""
    if request.method not in ("GET", "HEAD"):
        return False
    accept = request.headers.get("accept", "")
    return _preference(accept, "text/html") > max(_preference(accept, each) for each in _DOCUMENTS)


def render(problem: Problem, base: str) -> bytes:
    """`base`: where the API is on this server, as a path without a slash at the end. Raises NotFound where the pages have not
    been built."""
    status = problem.status
    title = _TITLES.get(status, problem.title)
    said = problem.detail if problem.sources is None and status not in (401, 405) else None
    href, label = _link(problem, base)
    parts = {
        "status": f"{status} {HTTPStatus(status).phrase}",
        "title": escape(title),
        "detail": escape(_sentence(said) if said else _DETAILS.get(status, "")),
        "reasons": _reasons(problem),
        "href": escape(href),
        "label": label,
        "base": escape(base),
    }
    return re.sub(r"\{(\w+)\}", lambda match: parts[match[1]], built_page(_PAGE).decode()).encode()


def _preference(accept: str, media_type: str) -> tuple[float, int]:
    """The quality of the most specific range that covers the type, and how specific it is; (0, 0): not acceptable."""
    found = {name: quality for name, quality in (_range(part) for part in accept.split(",")) if name}
    for specific, name in ((2, media_type), (1, f"{media_type.partition('/')[0]}/*"), (0, "*/*")):
        if name in found:
            return (found[name], specific) if found[name] > 0.0 else (0.0, 0)
    return 0.0, 0


def _range(part: str) -> tuple[str, float]:
    name, *parameters = (each.strip().lower() for each in part.split(";"))
    quality = next((each.removeprefix("q=") for each in parameters if each.startswith("q=")), "1")
    return name, float(quality) if re.fullmatch(r"[01](\.\d{0,3})?", quality) else 0.0


def _link(problem: Problem, base: str) -> tuple[str, str]:
    """The page's one link, and its label: a failure that may be temporary can be tried again."""
    if problem.status == HTTPStatus.UNAUTHORIZED:
        return f"{base}/console", "Log in"
    if problem.status == HTTPStatus.TOO_MANY_REQUESTS or problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return "", "Try again"  # this address
    return f"{base}/watch", "All channels"


def _reasons(problem: Problem) -> str:
    """A list of the sources' reasons, equal ones counted, and of the parts that are not ready."""
    lines = [f"{part}: {why}" for part, why in (problem.parts or {}).items()]
    for reason, count in Counter(_REASONS.get(each, each) for each in (problem.sources or {}).values()).items():
        lines.append(f"{reason} ({count} sources)" if count > 1 else reason)
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f'<ul class="reasons">{items}</ul>' if items else ""


def _sentence(words: str) -> str:
    """A problem's detail begins with a small letter and has no full stop."""
    return f"{words[0].upper()}{words[1:]}{'' if words.endswith('.') else '.'}"
