"""The API as a process: opens the adapters, serves until told to stop, and ends open streams first, so that stopping is quick
and clients come back by themselves."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import os
import signal
import socket
import time
from collections.abc import Iterator

import uvicorn
from litestar import Litestar

from api import logos
from api.app import create_app
from api.world import World
from orchestrator.app.liveness_file import pulse
from orchestrator.app.settings import PREFIX, Settings
from orchestrator.errors import BadSetting
from orchestrator.ports import Frames

log = logging.getLogger(__name__)

GRACE_S = 5  # for answers that are under way; whoever waits longer is cut off
_KEEP_ALIVE_S = 75  # longer than a proxy in front keeps an idle connection, so that it is never the server who closes first


class _Server(uvicorn.Server):
    """Signals are the process's business, not the server's."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def listen(settings: Settings) -> socket.socket:
    """The API's socket; port 0 takes a free one. Raises BadSetting where the address cannot be had."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family, backlog=1024)
    except OSError as error:
        why = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
        raise BadSetting(f"{PREFIX}HOST, {PREFIX}PORT: cannot listen on {settings.host}:{settings.port}: {why}") from None


async def serve(app: Litestar, listener: socket.socket, stop: asyncio.Event) -> None:
    """Serve on `listener`, which is closed at the end, until `stop` is set; bounded by GRACE_S from then on."""
    world: World = app.state.world
    config = uvicorn.Config(
        app,
        log_config=None,
        log_level="warning",
        access_log=False,  # addresses may hold a token
        server_header=False,
        lifespan="on",
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
        ws_max_size=1024,  # clients have nothing to say
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve([listener]), name="api")
    stopping = asyncio.create_task(stop.wait(), name="api stop")
    try:
        await asyncio.wait((serving, stopping), return_when=asyncio.FIRST_COMPLETED)
    finally:
        world.closing.begin()
        server.should_exit = True
        stopping.cancel()
        await serving


def _frames(settings: Settings) -> Frames | None:
    """None: pictures are nothing that an API must be able to make."""
    from orchestrator.adapters.ffmpeg.frames import FfmpegFrames

    try:
        return FfmpegFrames(settings)
    except BadSetting as error:
        log.warning("sessions have no pictures: %s", error)
        return None


async def run(settings: Settings) -> None:
    """The `api` process. Returns after SIGTERM or SIGINT. Raises BadSetting."""
    # Adapters are opened here and nowhere else in this package.
    from orchestrator.adapters.http.download import download
    from orchestrator.adapters.redis.address_places import RedisAddressPlaces
    from orchestrator.adapters.redis.event_bus import RedisEventBus
    from orchestrator.adapters.s3.object_store import MinioObjectStore
    from orchestrator.adapters.sql import open_tables

    for name in ("database_url", "redis_url", "s3_endpoint"):
        if getattr(settings, name) is None:
            raise BadSetting(f"{PREFIX}{name.upper()}: must be set")
    assert settings.database_url is not None
    assert settings.redis_url is not None
    stop = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    logo = functools.partial(download, limit_bytes=logos.BYTES, limit_s=logos.LIMIT_S)
    async with contextlib.AsyncExitStack() as stack:
        tables = open_tables(settings.database_url)
        stack.push_async_callback(tables.close)
        store = MinioObjectStore(settings)
        stack.push_async_callback(store.close)
        bus = RedisEventBus(settings.redis_url, settings.deployment)
        stack.push_async_callback(bus.close)
        places = RedisAddressPlaces(settings.redis_url, settings.deployment)
        stack.push_async_callback(places.close)
        app = create_app(settings, tables, bus, store, time.time, download, _frames(settings), logo, places)
        listener = listen(settings)
        log.info("API on http://%s:%d", *listener.getsockname()[:2])
        await stack.enter_async_context(pulse(settings.health_file))
        await serve(app, listener, stop)
        log.info("API stops; sessions play on")
