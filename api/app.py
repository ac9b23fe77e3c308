"""Makes the API's app from ports: of fakes in tests, of real adapters in production."""

from __future__ import annotations

from litestar import Litestar, Router
from litestar.config.cors import CORSConfig
from litestar.datastructures import MutableScopeHeaders, State
from litestar.types import Message, Scope

from api import auth, dependencies, openapi, problems
from api.console import channel_history, event_feed, overview, page, thumbnails
from api.http import assets, websocket_refusals
from api.http.fields import BODY_BYTES
from api.http.request_id import with_request_id
from api.injection import Clock
from api.operation import doctor, drain, health, metrics
from api.routes import channels, failovers, legacy, playback, playlist_imports, providers, session_events, sessions, sources
from api.session import lease_renewal
from api.watch import pages, start_page
from orchestrator.app.settings import Settings
from orchestrator.ports import AddressPlaces, Download, EventBus, Frames, ObjectStore, Tables

ROUTERS: tuple[Router, ...] = (
    channels.routes,
    sources.routes,
    failovers.routes,
    providers.routes,
    playlist_imports.routes,
    sessions.routes,
    playback.routes,
    session_events.routes,
    thumbnails.routes,
    channel_history.routes,
    overview.routes,
    event_feed.routes,
    start_page.routes,
    pages.routes,
    assets.routes,
    legacy.routes,
    health.routes,
    doctor.routes,
    drain.routes,
    page.routes,
    metrics.routes,
)
_CORS = CORSConfig(  # a page of any site may call, with its session's token; cookies are not accepted
    allow_origins=["*"],
    allow_credentials=False,
    allow_headers=["Authorization", "Content-Type", "Last-Event-ID", "Prefer"],
    expose_headers=["Preference-Applied", "Retry-After"],
    max_age=3600,
)
_SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",  # addresses may hold a token
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}


def create_app(
    settings: Settings,
    tables: Tables,
    bus: EventBus,
    store: ObjectStore,
    clock: Clock,
    download: Download | None = None,
    frames: Frames | None = None,
    logo: Download | None = None,
    places: AddressPlaces | None = None,
) -> Litestar:
    """`download` fetches playlists that are imported, `logo` pictures; `places` counts for all processes what client addresses
    have started. Raises BadSetting where a setting is missing that the API needs. The caller closes the ports."""
    registered = dependencies.registered(settings, tables, bus, store, clock, download, frames, logo, places)
    app = Litestar(
        route_handlers=ROUTERS,
        guards=[auth.refuse_by_default],
        dependencies=dependencies.providers(registered),
        state=State(registered),
        exception_handlers=problems.HANDLERS,
        before_send=[_add_headers],
        after_exception=[websocket_refusals.remember],
        lifespan=[lease_renewal.renewable],
        cors_config=_CORS,
        openapi_config=openapi.CONFIG,
        request_max_body_size=BODY_BYTES,
        logging_config=None,
    )
    app.asgi_handler = with_request_id(app.asgi_handler)  # outside of the router, so that a 404 has one as well
    dependencies.resolve_in_order(app)
    openapi.complete(app)
    return app


async def _add_headers(message: Message, scope: Scope) -> None:
    """Those that the answer does not set itself."""
    if message["type"] == "http.response.start":
        headers = MutableScopeHeaders.from_message(message)
        for name, value in _SECURITY_HEADERS.items():
            if name not in headers:
                headers[name] = value
