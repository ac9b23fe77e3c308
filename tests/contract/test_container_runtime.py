"""One contract for every container runtime: the fake, child processes, and the Docker engine."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from orchestrator.core.model import Container, ContainerState
from orchestrator.ports import ContainerEvent, ContainerRuntime, Launch
from tests.contract.engines import IGNORE_TERM, RUN, Containers, Engine, FakeEngines, Processes, docker_client
from tests.support import eventually
from transcoder.job import CONTRACT


@pytest.fixture(params=["fake", "process", pytest.param("docker", marks=pytest.mark.docker)])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    match request.param:
        case "fake":
            yield FakeEngines()
        case "process":
            processes = Processes(tmp_path / "runtime")
            yield processes
            processes.close()
        case "docker":
            request.getfixturevalue("standin")
            with docker_client() as client:
                containers = Containers(client)
                yield containers
                containers.close()


@pytest.fixture
async def runtime(engine: Engine) -> AsyncIterator[ContainerRuntime]:
    runtime = engine.runtime()
    yield runtime
    for each in await runtime.containers():
        await runtime.stop(each.session_id, each.attempt, 0.0)
    await runtime.close()


def launch(attempt: int, job: str = RUN, session_id: str = "s-1") -> Launch:
    return Launch(session_id=session_id, attempt=attempt, job=job)


async def only(runtime: ContainerRuntime) -> Container:
    (container,) = await runtime.containers()
    return container


async def becomes(runtime: ContainerRuntime, attempt: int, state: ContainerState) -> Container:
    """Wait until the attempt is in this state."""

    async def look() -> Container:
        found = {each.attempt: each for each in await runtime.containers()}
        assert found[attempt].state is state
        return found[attempt]

    return await eventually(look, 3.0)


@contextlib.asynccontextmanager
async def listening(runtime: ContainerRuntime) -> AsyncIterator[list[tuple[float, ContainerEvent]]]:
    """The events since the block was entered, with when they came."""
    seen: list[tuple[float, ContainerEvent]] = []
    events = runtime.events()

    async def listen() -> None:
        async for event in events:
            seen.append((time.monotonic(), event))  # noqa: PERF401 - seen by others while it grows

    task = asyncio.create_task(listen())
    try:
        yield seen
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_what_is_started_is_listed_as_running(runtime: ContainerRuntime) -> None:
    before = time.time()
    await runtime.start(launch(1))
    container = await only(runtime)
    assert (container.session_id, container.attempt, container.state) == ("s-1", 1, ContainerState.RUNNING)
    assert container.exit_code is None
    assert before - 2 < container.created_at < time.time() + 2


async def test_starting_again_changes_nothing(runtime: ContainerRuntime) -> None:
    await runtime.start(launch(1))
    first = await only(runtime)
    await runtime.start(launch(1))
    assert await only(runtime) == first


async def test_an_attempt_that_has_ended_keeps_its_exit_code_and_is_not_run_again(runtime: ContainerRuntime) -> None:
    await runtime.start(launch(1, "exit 12"))
    ended = await becomes(runtime, 1, ContainerState.EXITED)
    assert ended.exit_code == 12
    assert not ended.oom_killed
    await runtime.start(launch(1))
    assert await only(runtime) == ended


async def test_containers_of_one_session_and_of_all(runtime: ContainerRuntime) -> None:
    await runtime.start(launch(1))
    await runtime.start(launch(2))
    await runtime.start(launch(1, session_id="s-1-x"))
    assert {each.attempt for each in await runtime.containers("s-1")} == {1, 2}
    assert [each.session_id for each in await runtime.containers("s-1-x")] == ["s-1-x"]
    assert len(await runtime.containers()) == 3
    assert await runtime.containers("s-9") == ()


async def test_kill_9_is_told_within_a_second(runtime: ContainerRuntime, engine: Engine) -> None:
    await runtime.start(launch(1))
    await runtime.start(launch(2))
    async with listening(runtime) as events:
        await asyncio.sleep(0)
        killed_at = time.monotonic()
        await asyncio.to_thread(engine.kill, "s-1", 2)
        await eventually(lambda: [at for at, event in events if event.attempt == 2 and at >= killed_at], 3.0)
        dead = await becomes(runtime, 2, ContainerState.EXITED)
        first = min(at for at, event in events if event.attempt == 2 and at >= killed_at)
    assert first - killed_at < 1.0
    assert dead.exit_code == 137


async def test_who_looks_because_of_an_event_sees_what_it_told(runtime: ContainerRuntime, engine: Engine) -> None:
    await runtime.start(launch(1))
    seen: list[ContainerState] = []

    async def look_at_each() -> None:
        async for event in runtime.events():
            seen.extend(each.state for each in await runtime.containers(event.session_id))

    looking = asyncio.create_task(look_at_each())
    await asyncio.sleep(0)
    await asyncio.to_thread(engine.kill, "s-1", 1)
    # Nobody looks again: what the last event's look has shown is what is known.
    await eventually(lambda: seen and seen[-1] is ContainerState.EXITED, 2.0, what="the death, seen at its event")
    looking.cancel()
    await asyncio.gather(looking, return_exceptions=True)


async def test_a_start_and_an_end_by_itself_are_told(runtime: ContainerRuntime) -> None:
    async with listening(runtime) as events:
        await runtime.start(launch(1, "sleep 0.4; exit 13"))
        await becomes(runtime, 1, ContainerState.EXITED)
        await eventually(lambda: len(events) >= 2, 3.0)
    assert {event for _, event in events} == {ContainerEvent("s-1", 1)}


async def test_a_pause_is_told_and_listed(runtime: ContainerRuntime, engine: Engine) -> None:
    await runtime.start(launch(1))
    async with listening(runtime) as events:
        await asyncio.to_thread(engine.pause, "s-1", 1)
        paused_at = time.monotonic()
        await becomes(runtime, 1, ContainerState.PAUSED)
        await eventually(lambda: events, 3.0)
        assert events[-1][0] - paused_at < 1.0
        await asyncio.to_thread(engine.unpause, "s-1", 1)
        await becomes(runtime, 1, ContainerState.RUNNING)


async def test_stop_is_heard_and_leaves_nothing(runtime: ContainerRuntime, engine: Engine) -> None:
    await runtime.start(launch(1))
    await eventually(lambda: "ready" in engine.log("s-1", 1), 3.0)
    started_at = time.monotonic()
    await runtime.stop("s-1", 1, 5.0)
    assert time.monotonic() - started_at < 4.0  # it was not waited for in vain
    assert await runtime.containers() == ()


async def test_stop_does_not_wait_longer_than_the_grace(runtime: ContainerRuntime, engine: Engine) -> None:
    await runtime.start(launch(1, IGNORE_TERM))
    await eventually(lambda: "ready" in engine.log("s-1", 1), 3.0)
    started_at = time.monotonic()
    await runtime.stop("s-1", 1, 0.5)
    assert 0.5 <= time.monotonic() - started_at < 3.0
    assert await runtime.containers() == ()


async def test_stop_may_be_repeated_and_may_come_too_late(runtime: ContainerRuntime) -> None:
    await runtime.stop("s-1", 7, 1.0)
    await runtime.start(launch(1, "exit 0"))
    await becomes(runtime, 1, ContainerState.EXITED)
    await runtime.stop("s-1", 1, 1.0)
    await runtime.stop("s-1", 1, 1.0)
    await runtime.start(launch(2))
    await asyncio.gather(*(runtime.stop("s-1", 2, 1.0) for _ in range(3)))
    assert await runtime.containers() == ()


async def test_what_is_paused_can_be_stopped(runtime: ContainerRuntime, engine: Engine) -> None:
    await runtime.start(launch(1))
    await asyncio.to_thread(engine.pause, "s-1", 1)
    await becomes(runtime, 1, ContainerState.PAUSED)
    started_at = time.monotonic()
    await runtime.stop("s-1", 1, 5.0)
    assert time.monotonic() - started_at < 3.0  # what hears nothing is not waited for
    assert await runtime.containers() == ()


async def test_other_deployments_are_invisible(runtime: ContainerRuntime, engine: Engine) -> None:
    other = engine.runtime("2")
    try:
        async with listening(runtime) as events:
            await other.start(launch(1))
            await runtime.stop("s-1", 1, 0.0)
            assert len(await other.containers()) == 1
            assert await runtime.containers() == ()
            await runtime.start(launch(5))
            await eventually(lambda: events, 3.0)
            assert {event.attempt for _, event in events} == {5}
    finally:
        await other.stop("s-1", 1, 0.0)
        await other.close()


async def test_another_instance_adopts_what_runs(runtime: ContainerRuntime, engine: Engine) -> None:
    await runtime.start(launch(1))
    await runtime.start(launch(2, "exit 13"))
    await becomes(runtime, 2, ContainerState.EXITED)
    successor = engine.runtime()
    try:
        assert set(await successor.containers()) == set(await runtime.containers())
        await successor.start(launch(1))  # it does not know that the first has done it
        assert len(await successor.containers()) == 2
        async with listening(successor) as events:
            await asyncio.to_thread(engine.kill, "s-1", 1)
            await eventually(lambda: events, 3.0)
            await becomes(successor, 1, ContainerState.EXITED)
        await successor.stop("s-1", 1, 1.0)
        await successor.stop("s-1", 2, 1.0)
        assert await runtime.containers() == ()
    finally:
        await successor.close()


async def test_listeners_that_go_leave_nothing(runtime: ContainerRuntime) -> None:
    await runtime.start(launch(1))
    await runtime.containers()
    tasks = len(asyncio.all_tasks())
    for _ in range(3):
        async with listening(runtime):
            await asyncio.sleep(0.05)
    assert not [thread.name for thread in threading.enumerate() if thread.name == "docker-events"]
    assert len(asyncio.all_tasks()) == tasks


async def test_many_at_once(runtime: ContainerRuntime) -> None:
    async with listening(runtime) as events:
        await asyncio.gather(*(runtime.start(launch(number)) for number in range(1, 9)))
        assert {each.state for each in await runtime.containers()} == {ContainerState.RUNNING}
        await eventually(lambda: {event.attempt for _, event in events} == set(range(1, 9)), 3.0)
    await asyncio.gather(*(runtime.stop("s-1", number, 1.0) for number in range(1, 9)))
    assert await runtime.containers() == ()


async def test_check_passes_where_start_could_work(runtime: ContainerRuntime) -> None:
    await runtime.check()
    await runtime.start(launch(1))
    assert (await only(runtime)).state is ContainerState.RUNNING


async def test_an_engine_tells_of_itself(runtime: ContainerRuntime) -> None:
    report = await runtime.examine()
    assert abs(report.clock_skew_s or 0.0) < 2.0, "the same machine"


async def test_the_contract_of_the_agent_that_would_be_started(runtime: ContainerRuntime) -> None:
    assert await runtime.contract() == CONTRACT
