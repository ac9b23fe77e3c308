"""Answers every error with a problem document, as a page where the client prefers one (a person's browser does)."""

from __future__ import annotations

import contextlib
import logging
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from litestar import Request, Response
from litestar.types import ExceptionHandlersMap

from api.auth import is_operator
from api.http import problem_page
from api.http.addresses import PublicAddresses
from api.http.assets import PAGE_POLICY
from api.http.problem_document import MEDIA_TYPE, describe
from orchestrator.errors import NotFound

log = logging.getLogger(__name__)


def answer(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """The handler of every error."""
    problem, headers = describe(error, operator=is_operator(request))
    problem.instance = request.scope["path"]
    if problem.status == HTTPStatus.INTERNAL_SERVER_ERROR:
        log.error("%s %s failed", request.method, request.scope["path"], exc_info=error)
    headers["Vary"] = "Accept"
    if problem_page.wants_page(request):
        addresses: PublicAddresses = request.app.state.addresses
        with contextlib.suppress(NotFound):  # the pages have not been built
            page = problem_page.render(problem, urlsplit(addresses.base_url(request)).path)
            headers["Content-Security-Policy"] = PAGE_POLICY
            return Response(page, status_code=problem.status, media_type="text/html", headers=headers)
    return Response(problem, status_code=problem.status, media_type=MEDIA_TYPE, headers=headers)


HANDLERS: ExceptionHandlersMap = {Exception: answer}
