"""The app on fakes, in the test's own event loop, and a client that speaks HTTP to it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import httpx
import pytest
from litestar import Litestar

from api.app import create_app, world_of
from api.metrics import Metrics
from orchestrator.app.settings import Settings
from tests.api.stage import KEY, ORIGIN, Stage, answering, calling
from tests.fakes.event_bus import FakeEventBus
from tests.fakes.frames import FakeFrames
from tests.fakes.object_store import FakeObjectStore
from tests.fakes.prober import FakeProber
from tests.fakes.tables import FakeTables

SETTINGS = Settings(admin_key=KEY, origin_url=ORIGIN)


@pytest.fixture
def tables() -> FakeTables:
    return FakeTables()


@pytest.fixture
def bus() -> FakeEventBus:
    return FakeEventBus()


@pytest.fixture
def store() -> FakeObjectStore:
    return FakeObjectStore()


@pytest.fixture
def refusals() -> dict[str, str]:
    """By URL, why an orchestrator refuses to probe."""
    return {}


@pytest.fixture
async def prober(tables: FakeTables, bus: FakeEventBus, refusals: dict[str, str]) -> AsyncIterator[FakeProber]:
    """Of an orchestrator that answers who asks for a probe."""
    prober = FakeProber()
    async with answering(tables, bus, prober, refusals):
        yield prober


@pytest.fixture
def frames() -> FakeFrames:
    return FakeFrames()


@pytest.fixture(scope="session")
def empty_app() -> Litestar:
    """Made once: routes and their document cost a tenth of a second."""
    return create_app(SETTINGS, FakeTables(), FakeEventBus(), FakeObjectStore(), time.time)


@pytest.fixture
def app(
    empty_app: Litestar,
    tables: FakeTables,
    bus: FakeEventBus,
    store: FakeObjectStore,
    frames: FakeFrames,
) -> Litestar:
    """The app in a world of the test's own."""
    empty_app.state.world = world_of(SETTINGS, tables, bus, store, time.time, frames=frames)
    empty_app.state.metrics = Metrics()
    return empty_app


@pytest.fixture
async def client(app: Litestar) -> AsyncIterator[httpx.AsyncClient]:
    """Carries no credential."""
    async with calling(app) as client:
        yield client


@pytest.fixture
async def admin(app: Litestar) -> AsyncIterator[httpx.AsyncClient]:
    """Carries the admin key."""
    async with calling(app, Authorization=f"Bearer {KEY}") as client:
        yield client


@pytest.fixture
def stage(tables: FakeTables, bus: FakeEventBus, admin: httpx.AsyncClient) -> Stage:
    return Stage(tables, bus, admin)
