"""Completes the OpenAPI document that Litestar makes of the handlers: an example of each body and answer, and every refusal as
a problem document.

A handler's `body=` and `answer=` are real values of its types; `refusals=` names statuses beyond the usual ones.
"""

from __future__ import annotations

from http import HTTPStatus
from importlib.metadata import version
from typing import Any

from litestar import Litestar, Router
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, OpenAPIMediaType, OpenAPIResponse, Operation, PathItem, Reference
from litestar.routes import HTTPRoute

from api import auth
from api.console import overview, page
from api.http.problem_document import MEDIA_TYPE, describe
from api.operation import health
from api.routes import channels, legacy, providers, session_events, sessions, sources
from api.watch import pages
from orchestrator import errors
from orchestrator.core.bounds import InputFault

CONFIG = OpenAPIConfig(
    title="HLS stream failover",
    version=version("hls-failover"),
    description="Channels with redundant sources; sessions whose playlist address outlives every source. Management carries "
    "the admin key, a session's routes its own token. Errors are problem documents (RFC 9457).",
    components=Components(security_schemes=dict(auth.SCHEMES)),
    tags=[
        pages.TAG,
        sessions.TAG,
        session_events.TAG,
        channels.TAG,
        sources.TAG,
        providers.TAG,
        overview.TAG,
        health.TAG,
        page.TAG,
        legacy.TAG,
    ],
    use_handler_docstrings=True,
    operation_id_creator=lambda handler, _method, _path: handler.handler_name,
    openapi_router=Router(path="/schema", route_handlers=[], include_in_schema=False, opt={auth.OPEN: True}),
    render_plugins=[JsonRenderPlugin(path=["/", "/openapi.json"])],
)

_EXAMPLES: dict[int, Exception] = {
    401: errors.Unauthorized("the admin key is needed"),
    404: errors.NotFound("no such channel"),
    409: errors.AlreadyExists("a channel with the slug 'news' exists"),
    422: errors.InvalidInput("sources[0].url", "the host is missing", InputFault.NO_HOST),
    429: errors.ViewerLimitReached("max_sessions_per_viewer", "the viewer has 2 sessions already"),
    503: errors.NoHealthySource({"x-9m2k4q7t": "404 Not Found", "x-5h1c8v3b": "no answer within 5 s"}),
}


def complete(app: Litestar) -> None:
    """Adds the examples and the refusals to the document that Litestar has made of the handlers."""
    document = app.openapi_schema
    for schema in document.components.schemas.values():
        # Litestar writes the default of one field that has this type, whichever it has met last: it would change by chance
        schema.default = None
    problem = next(
        Reference(f"#/components/schemas/{name}") for name in document.components.schemas if name.endswith("Problem")
    )
    for route in app.routes:
        item = (document.paths or {}).get(route.path_format)
        if not isinstance(route, HTTPRoute) or not isinstance(item, PathItem):
            continue
        for method, (handler, _) in route.route_handler_map.items():
            operation = getattr(item, method.lower(), None)
            if isinstance(operation, Operation):
                _complete(operation, handler.opt, problem)


def _complete(operation: Operation, opt: dict[str, Any], problem: Reference) -> None:
    body = operation.request_body
    refusals: list[int] = list(opt.get("refusals", ()))
    if operation.security:
        refusals.append(401)
    if any(parameter.param_in == "path" for parameter in operation.parameters or ()):  # type: ignore[union-attr]
        refusals.append(404)
    if body is not None or operation.parameters:
        refusals.append(422)
    refusals.append(503)
    responses = operation.responses or {}
    responses.pop("400", None)  # in Litestar's own format, which is not used
    if isinstance(empty := responses.get("204"), OpenAPIResponse):
        empty.content = None
    for response in responses.values():
        for media in (getattr(response, "content", None) or {}).values():
            media.example = opt.get("answer")
    if body is not None:
        for media in body.content.values():  # type: ignore[union-attr]
            media.example = opt.get("body")
    for status in sorted(refusals):
        responses[str(status)] = _refusal(status, problem)
    operation.responses = responses


def _refusal(status: int, problem: Reference) -> OpenAPIResponse:
    example, _ = describe(_EXAMPLES[status])
    return OpenAPIResponse(
        description=HTTPStatus(status).phrase,
        content={MEDIA_TYPE: OpenAPIMediaType(schema=problem, example=example)},
    )
