"""The Docker runtime where its engine fails, refuses or says more than the contract asks."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from orchestrator.adapters.docker import engine as docker_engine
from orchestrator.adapters.docker.runtime import DockerRuntime
from orchestrator.app.settings import Settings
from orchestrator.core.model import ContainerState
from orchestrator.errors import EngineUnavailable, ImageMissing
from orchestrator.ports import Launch
from tests.contract.engines import IGNORE_TERM, RUN, Containers, docker_client
from tests.support import eventually

CALLS: list[Callable[[DockerRuntime], Awaitable[object]]] = [
    lambda runtime: runtime.check(),
    lambda runtime: runtime.start(Launch(session_id="s", attempt=1, job=RUN)),
    lambda runtime: runtime.stop("s", 1, 1.0),
    lambda runtime: runtime.containers(),
    lambda runtime: anext(runtime.events()),
]


def launch(attempt: int, job: str = RUN) -> Launch:
    return Launch(session_id="s", attempt=attempt, job=job)


class Relay:
    """A socket in front of the engine's that can be cut, and that can fall silent."""

    def __init__(self, path: Path, engine: str) -> None:
        self.path = path
        self.engine = engine
        self.silent = False
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        self._server = await asyncio.start_unix_server(self._relay, self.path)

    async def cut(self) -> None:
        assert self._server is not None
        self._server.close()
        self.path.unlink(missing_ok=True)
        for writer in self._writers:
            writer.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream, out = await asyncio.open_unix_connection(self.engine)
        self._writers |= {writer, out}
        for pair in ((reader, out), (upstream, writer)):
            task = asyncio.create_task(self._pump(*pair))
            self._tasks.add(task)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                if not self.silent:
                    writer.write(data)
            writer.close()


@pytest.fixture
async def relay(docker_engine: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Relay]:
    engine = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock").removeprefix("unix://")
    relay = Relay(tmp_path / "docker.sock", engine)
    await relay.open()
    monkeypatch.setenv("DOCKER_HOST", f"unix://{relay.path}")
    yield relay
    await relay.cut()


@pytest.fixture
def engine(standin: None) -> Iterator[Containers]:
    with docker_client() as client:
        containers = Containers(client)
        yield containers
        containers.close()


@pytest.fixture
async def runtime(engine: Containers) -> AsyncIterator[DockerRuntime]:
    runtime = engine.runtime()
    yield runtime
    await runtime.close()


@pytest.mark.parametrize("call", CALLS)
async def test_a_missing_engine_is_unavailable(
    call: Callable[[DockerRuntime], Awaitable[object]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    runtime = DockerRuntime(Settings())
    with pytest.raises(EngineUnavailable, match="No such file"):
        await call(runtime)
    await runtime.close()


@pytest.mark.parametrize("call", CALLS)
async def test_an_engine_that_hangs_is_unavailable_and_holds_nobody_else_up(
    call: Callable[[DockerRuntime], Awaitable[object]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def never(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)

    connections: list[asyncio.StreamWriter] = []
    server = await asyncio.start_unix_server(never, tmp_path / "docker.sock")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    monkeypatch.setattr(docker_engine, "_TIMEOUT_S", 0.3)
    runtime = DockerRuntime(Settings())
    task = asyncio.ensure_future(call(runtime))
    longest_s = 0.0
    while not task.done():
        before = time.monotonic()
        await asyncio.sleep(0.01)
        longest_s = max(longest_s, time.monotonic() - before)
    with pytest.raises(EngineUnavailable):
        await task
    assert longest_s < 0.5
    await runtime.close()
    server.close()
    for writer in connections:
        writer.close()


@pytest.mark.docker
async def test_a_broken_event_stream_says_so_and_the_engine_is_found_again(
    engine: Containers, relay: Relay, runtime: DockerRuntime
) -> None:
    events = runtime.events()
    await runtime.start(launch(1))
    assert (await anext(events)).attempt == 1
    waiting = asyncio.ensure_future(anext(events))
    await asyncio.sleep(0.05)
    cut_at = time.monotonic()
    await relay.cut()
    with pytest.raises(EngineUnavailable):
        await waiting
    assert time.monotonic() - cut_at < 1.0
    with pytest.raises(EngineUnavailable):
        await runtime.containers()
    await relay.open()
    (found,) = await runtime.containers()
    assert found.state is ContainerState.RUNNING


@pytest.mark.docker
async def test_an_engine_that_restarts_between_two_calls_is_not_noticed(
    engine: Containers, relay: Relay, runtime: DockerRuntime
) -> None:
    await runtime.check()
    await relay.cut()  # the connections that the clients keep are dead now
    await relay.open()
    assert await runtime.containers() == ()


@pytest.mark.docker
async def test_a_missing_image_is_named_with_the_remedy(engine: Containers) -> None:
    runtime = DockerRuntime(engine.settings(image="hls-failover-no-such-image"))
    with pytest.raises(ImageMissing, match="no-such-image: `make image`"):
        await runtime.check()
    with pytest.raises(ImageMissing, match="no-such-image: `make image`"):
        await runtime.start(launch(1))
    assert await runtime.containers() == ()
    await runtime.close()


@pytest.mark.docker
async def test_what_the_engine_will_not_start_is_refused_in_its_words(engine: Containers) -> None:
    settings = msgspec.structs.replace(engine.settings(), docker_network="no-such-network")
    runtime = DockerRuntime(settings)
    with pytest.raises(EngineUnavailable, match="no-such-network"):
        await runtime.start(launch(1))
    for container in await runtime.containers():
        assert container.state is ContainerState.REFUSED
        assert container.detail == "the engine cannot start it", "its own words are in the log of who started it"
        await runtime.stop(container.session_id, container.attempt, 1.0)
    assert await runtime.containers() == ()
    await runtime.close()


@pytest.mark.docker
async def test_out_of_memory_is_told_from_other_kills(engine: Containers) -> None:
    runtime = DockerRuntime(msgspec.structs.replace(engine.settings(), container_memory_mb=16))
    await runtime.start(launch(1, "head -c 64M /dev/zero | tail >/dev/null; kill -9 $$"))
    await runtime.start(launch(2, "kill -9 $$"))

    async def ended() -> bool:
        return all(each.state is ContainerState.EXITED for each in await runtime.containers())

    await eventually(ended)
    assert {each.attempt: each.oom_killed for each in await runtime.containers()} == {1: True, 2: False}
    await runtime.close()


@pytest.mark.docker
async def test_what_of_its_job_the_agent_refuses_is_told(runtime: DockerRuntime) -> None:
    await runtime.start(launch(1, "echo 'bad job: expected.channels is missing' >&2; exit 31"))

    async def ended() -> str | None:
        (container,) = await runtime.containers()
        return container.detail if container.exit_code == 31 else None

    assert await eventually(ended, 10.0) == "expected.channels is missing"


async def test_health_is_listed_and_told(runtime: DockerRuntime) -> None:
    events = runtime.events()
    await runtime.start(launch(1, f"touch /tmp/healthy; sleep 2; rm /tmp/healthy; {RUN}"))

    async def health() -> bool | None:
        (container,) = await runtime.containers()
        return container.healthy

    assert await health() is None
    assert (await anext(events)).attempt == 1  # the start
    assert (await anext(events)).attempt == 1
    assert await health() is True
    assert (await anext(events)).attempt == 1
    assert await health() is False
    await events.aclose()  # type: ignore[attr-defined]


@pytest.mark.docker
async def test_a_container_can_become_and_write_nothing(engine: Containers, runtime: DockerRuntime) -> None:
    script = (
        "id -u; cat /proc/self/status; touch /home/x || echo no write;"
        " printf '#!/bin/sh\\necho ran' >/tmp/x; chmod +x /tmp/x; /tmp/x || echo no run; echo done"
    )
    await runtime.start(launch(1, script))
    await eventually(lambda: "done\n" in engine.log("s", 1), 5.0)
    log = engine.log("s", 1)
    words = log.split()
    assert words[0] == "10001"
    assert {words[words.index(f"{name}:") + 1] for name in ("CapEff", "CapPrm", "CapBnd")} == {"0000000000000000"}
    assert words[words.index("NoNewPrivs:") + 1] == "1"
    assert "no write" in log
    assert "no run" in log


@pytest.mark.docker
async def test_stops_that_wait_do_not_hold_up_a_start(engine: Containers, runtime: DockerRuntime) -> None:
    """The pool of these tests has two threads."""
    await asyncio.gather(*(runtime.start(launch(number, IGNORE_TERM)) for number in (1, 2, 3)))
    await eventually(lambda: all("ready" in engine.log("s", number) for number in (1, 2, 3)))
    stops = [asyncio.create_task(runtime.stop("s", number, 3.0)) for number in (1, 2, 3)]
    await asyncio.sleep(0.2)
    before = time.monotonic()
    await runtime.start(launch(4))
    assert time.monotonic() - before < 2.0
    assert not any(stop.done() for stop in stops)
    await asyncio.gather(*stops)
    assert [each.attempt for each in await runtime.containers()] == [4]


@pytest.mark.docker
async def test_closing_ends_every_thread(engine: Containers) -> None:
    runtime = engine.runtime()
    await asyncio.gather(*(runtime.containers() for _ in range(4)))
    assert [thread for thread in threading.enumerate() if thread.name.startswith("docker")]
    await runtime.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("docker")]


async def test_who_gives_way_has_a_small_share_of_a_busy_machine(runtime: DockerRuntime, engine: Containers) -> None:
    shares = {}
    for attempt, gives_way in ((1, False), (2, True)):
        await runtime.start(replace(launch(attempt), gives_way=gives_way))
        (name,) = [each.id for each in await runtime.containers("s") if each.attempt == attempt]
        with docker_client() as client:
            shares[attempt] = client.inspect_container(name)["HostConfig"]["CpuShares"]
        await runtime.stop("s", attempt, 0.0)
    assert shares == {1: 1024, 2: 64}


@pytest.mark.parametrize(
    ("labels", "contract"),
    [
        (None, 1),
        ({}, 1),
        ({"hls-failover.revision": "abc"}, 1),
        ({"hls-failover.contract": "1"}, 1),
        ({"hls-failover.contract": "2"}, 2),
        ({"hls-failover.contract": "two"}, 1),
        ({"hls-failover.contract": "-2"}, 1),
    ],
)
async def test_the_contract_is_the_images_label_and_the_first_without_one(
    labels: dict[str, str] | None, contract: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Client:
        def inspect_image(self, image: str) -> dict[str, object]:
            assert image == "some-image"
            return {"Config": {"Labels": labels}}

    monkeypatch.setattr(docker_engine, "connect", Client)
    runtime = DockerRuntime(Settings(transcoder_image="some-image"))
    assert await runtime.contract() == contract
    labels_now = {"hls-failover.contract": "7"}
    monkeypatch.setattr(Client, "inspect_image", lambda *_: {"Config": {"Labels": labels_now}})
    assert await runtime.contract() == 7, "the tag has been moved to another image"
