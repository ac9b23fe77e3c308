"""The API, on ports: the same app runs on fakes in tests and on real adapters in production."""

from __future__ import annotations

from collections.abc import Callable

from litestar import Litestar
from litestar.config.cors import CORSConfig
from litestar.datastructures import MutableScopeHeaders, State
from litestar.di import Provide
from litestar.types import Message, Scope

from api import (
    assets,
    auth,
    channels,
    console,
    doctor,
    drain,
    events,
    failovers,
    feed,
    health,
    history,
    home,
    imports,
    leases,
    legacy,
    metrics,
    openapi,
    overview,
    pictures,
    playback,
    problems,
    providers,
    refused_sockets,
    sessions,
    sources,
    watch,
)
from api.address_bound import AddressBound
from api.disclosure import Disclosure
from api.kept import Kept
from api.limits import BODY_BYTES
from api.logos import Logos
from api.on_air import OnAir
from api.posters import Posters
from api.strips import Strips
from api.world import World
from orchestrator.app import machine
from orchestrator.app.settings import PREFIX, Settings, derived
from orchestrator.errors import BadSetting, InvalidInput
from orchestrator.ports import AddressPlaces, Bound, Download, EventBus, Frames, ObjectStore, Tables

_CORS = CORSConfig(  # any page may call, with the token that it was given; cookies are never sent along
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
    clock: Callable[[], float],
    download: Download | None = None,
    frames: Frames | None = None,
    logo: Download | None = None,
    places: AddressPlaces | None = None,
) -> Litestar:
    """`download`: playlists that are imported; `logo`: pictures; `places`: what addresses have started, counted for all
    processes. Raises BadSetting where what the API cannot do without is not
    set. The ports stay the caller's to close."""
    app = Litestar(
        route_handlers=[
            channels.routes,
            sources.routes,
            failovers.routes,
            providers.routes,
            imports.routes,
            sessions.routes,
            playback.routes,
            events.routes,
            pictures.routes,
            history.routes,
            overview.routes,
            feed.routes,
            home.routes,
            watch.routes,
            assets.routes,
            legacy.routes,
            health.routes,
            doctor.routes,
            drain.routes,
            console.routes,
            metrics.routes,
        ],
        dependencies={
            "world": Provide(_world, sync_to_thread=False),
            "metrics": Provide(_metrics, sync_to_thread=False),
            "row": Provide(auth.authorised, sync_to_thread=False),
            "disclosure": Provide(_disclosure, sync_to_thread=False),
        },
        state=State(
            {
                "world": world_of(settings, tables, bus, store, clock, download, frames, logo, places),
                "metrics": metrics.Metrics(),
            }
        ),
        exception_handlers=problems.HANDLERS,
        before_send=[_add_headers],
        after_exception=[refused_sockets.remember],
        lifespan=[leases.renewable],
        cors_config=_CORS,
        openapi_config=openapi.CONFIG,
        request_max_body_size=BODY_BYTES,
        logging_config=None,
    )
    openapi.complete(app)
    return app


def world_of(
    settings: Settings,
    tables: Tables,
    bus: EventBus,
    store: ObjectStore,
    clock: Callable[[], float],
    download: Download | None = None,
    frames: Frames | None = None,
    logo: Download | None = None,
    places: AddressPlaces | None = None,
) -> World:
    """Raises BadSetting."""
    if settings.admin_key is None:
        raise BadSetting(f"{PREFIX}ADMIN_KEY: must be set")
    origin_url = derived(settings).origin_url
    assert origin_url is not None
    whole = Kept(tables.catalogue.whole)
    return World(
        catalogue=tables.catalogue,
        providers=tables.providers,
        imports=tables.imports,
        probes=tables.probes,
        sessions=tables.sessions,
        operation=tables.operation,
        journal=tables.journal,
        bus=bus,
        store=store,
        download=download or _refused,
        logos=Logos(logo or _refused, clock),
        clock=clock,
        keys=auth.Keys(settings.admin_key),
        origin_url=origin_url,
        public_url=settings.public_url,
        settings=settings,
        limits=machine.limits_of(settings),
        addresses=AddressBound(
            Bound(sessions=settings.max_sessions_per_address, new_per_minute=settings.max_new_sessions_per_address_per_minute),
            tables.sessions,
            lease_s=settings.idle_timeout_s,
            clock=clock,
            shared=places,
        ),
        idle_timeout_s=settings.idle_timeout_s,
        channels=whole,
        strips=Strips(tables.journal, whole, clock),
        on_air=OnAir(store),
        posters=Posters(store, frames),
    )


def _world(state: State) -> World:
    world: World = state.world
    return world


def _disclosure(state: State, scope: Scope) -> Disclosure:
    return Disclosure(state.world, auth.authorised(scope), operator=auth.by_operator(scope))


def _metrics(state: State) -> metrics.Metrics:
    counters: metrics.Metrics = state.metrics
    return counters


async def _refused(url: str) -> bytes:
    raise InvalidInput("url", "this API fetches nothing: send the playlist itself")


async def _add_headers(message: Message, scope: Scope) -> None:
    """Whatever an answer does not say itself."""
    if message["type"] == "http.response.start":
        headers = MutableScopeHeaders.from_message(message)
        for name, value in _SECURITY_HEADERS.items():
            if name not in headers:
                headers[name] = value
