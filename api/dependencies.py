"""Registers what handlers can have injected, by name (api/injection.py). The API writes intent and sends nudges; nothing here
touches a container or connects to a source.

The registry is in the app's state, because Litestar injects nothing into guards, middleware and error handlers: they read it
there.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from litestar import Litestar
from litestar.datastructures import State
from litestar.di import Provide
from litestar.routes import HTTPRoute
from litestar.types import Scope

from api import auth
from api.catalogue_lookup import CatalogueLookup
from api.changes.nudges import Nudges
from api.changes.server_stop import ServerStop
from api.changes.signals import Signals
from api.changes.single_flight import SingleFlightCache
from api.console.day_histories import DayHistories
from api.console.event_feed import EventFeed
from api.console.listed_segments import ListedSegmentsCache
from api.console.overview import OverviewReader
from api.console.thumbnails import Thumbnails
from api.http.addresses import PublicAddresses
from api.injection import Clock
from api.keys import ApiKeys
from api.operation.metrics import Metrics
from api.routes.probe_requests import ProbeRequests
from api.routes.session_events import SessionEventStream
from api.session.answers import SessionAnswers
from api.session.disclosure import Disclosure
from api.session.joining import SessionRequests, StartWait
from api.session.lease_renewal import LeaseRenewal
from api.watch.address_limits import AddressLimits
from api.watch.logos import Logos
from api.watch.viewers import OpenSessionRequests
from orchestrator.app import node_limits
from orchestrator.app.settings import PREFIX, Settings, derived
from orchestrator.errors import BadSetting, InvalidInput
from orchestrator.ports import AddressPlaces, Bound, Download, EventBus, Frames, ObjectStore, Tables


def registered(
    settings: Settings,
    tables: Tables,
    bus: EventBus,
    store: ObjectStore,
    clock: Clock,
    download: Download | None = None,
    frames: Frames | None = None,
    logo: Download | None = None,
    places: AddressPlaces | None = None,
) -> dict[str, Any]:
    """Name → object, for the whole life of an app. Raises BadSetting."""
    if settings.admin_key is None:
        raise BadSetting(f"{PREFIX}ADMIN_KEY: must be set")
    origin_url = derived(settings).origin_url
    assert origin_url is not None
    sessions = tables.sessions
    keys = ApiKeys(settings.admin_key)
    addresses = PublicAddresses(origin_url, settings.public_url)
    lookup = CatalogueLookup(tables.catalogue, tables.providers)
    server_stop = ServerStop()
    channel_rows = SingleFlightCache(tables.catalogue.whole)
    signals = Signals(bus, server_stop, channel_rows)
    nudges = Nudges(bus, sessions)
    leases = LeaseRenewal(sessions, clock, settings.idle_timeout_s)
    start_wait = StartWait(sessions, keys, signals, leases, server_stop)
    session_requests = SessionRequests(lookup, sessions, keys, nudges, clock, node_limits.node_limits(settings))
    address_limits = AddressLimits(
        Bound(sessions=settings.max_sessions_per_address, new_per_minute=settings.max_new_sessions_per_address_per_minute),
        sessions,
        lease_s=settings.idle_timeout_s,
        clock=clock,
        shared=places,
    )
    day_histories = DayHistories(tables.journal, channel_rows, clock)
    listed_segments = ListedSegmentsCache(store)
    return {
        # ports and settings
        "settings": settings,
        "tables": tables,
        "catalogue": tables.catalogue,
        "providers": tables.providers,
        "sessions": sessions,
        "operation": tables.operation,
        "journal": tables.journal,
        "bus": bus,
        "store": store,
        "download": download or _refused,
        "clock": clock,
        # what is made of them
        "api_keys": keys,
        "addresses": addresses,
        "lookup": lookup,
        "server_stop": server_stop,
        "channel_rows": channel_rows,
        "nudges": nudges,
        "leases": leases,
        "start_wait": start_wait,
        "session_requests": session_requests,
        "open_session_requests": OpenSessionRequests(session_requests, lookup, sessions, keys, address_limits),
        "answers": SessionAnswers(tables.catalogue, keys, addresses, leases, start_wait),
        "session_event_stream": SessionEventStream(sessions, signals, leases, server_stop),
        "probe_requests": ProbeRequests(tables.probes, tables.operation, bus, signals, server_stop, clock, settings),
        "event_feed": EventFeed(tables.journal, channel_rows, signals, server_stop, clock),
        "overview": OverviewReader(
            sessions=sessions,
            providers=tables.providers,
            operation=tables.operation,
            journal=tables.journal,
            leases=leases,
            channel_rows=channel_rows,
            day_histories=day_histories,
            listed_segments=listed_segments,
            clock=clock,
        ),
        "day_histories": day_histories,
        "listed_segments": listed_segments,
        "thumbnails": Thumbnails(store, frames),
        "logos": Logos(logo or _refused, clock),
        "metrics": Metrics(),
    }


def providers(names: Iterable[str]) -> dict[str, Provide]:
    """For the app: a provider of each registered name, and of what belongs to one request on a session's route."""
    return {
        **{name: _from_state(name) for name in names},
        "row": Provide(auth.authorised, sync_to_thread=False),
        "disclosure": Provide(_disclosure, sync_to_thread=False),
    }


def resolve_in_order(app: Litestar) -> None:
    """Makes Litestar resolve the dependencies of a handler one after the other. It would start a task for each, to let them
    wait at the same time; ours never wait, and the tasks would cost a request with three of them as much as all the rest."""
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            for _, model in route.route_handler_map.values():
                model.dependency_batches = [{each} for batch in model.dependency_batches for each in batch]


def _from_state(name: str) -> Provide:
    def provide(state: State) -> Any:
        return state[name]

    return Provide(provide, sync_to_thread=False)


def _disclosure(state: State, scope: Scope) -> Disclosure:
    return Disclosure(state.api_keys, auth.authorised(scope), operator=auth.by_operator(scope))


async def _refused(url: str) -> bytes:
    raise InvalidInput("url", "this API fetches nothing: send the playlist itself")
