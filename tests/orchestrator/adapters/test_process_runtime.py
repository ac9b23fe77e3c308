"""The process runtime: what must hold when the orchestrator dies, and when the machine plays tricks with pids."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from orchestrator.adapters.process.attempt_directory import AttemptDirectory
from orchestrator.adapters.process.runtime import ProcessRuntime
from orchestrator.app.settings import Settings
from orchestrator.core.model import Container, ContainerState
from orchestrator.errors import EngineUnavailable
from orchestrator.ports import Launch
from tests.contract.engines import RUN, Processes
from tests.support import eventually

STARTER = """
import asyncio, sys, time
from pathlib import Path
from orchestrator.ports import Launch
from tests.contract.engines import Processes

async def main():
    runtime = Processes(Path(sys.argv[1])).runtime()
    await runtime.start(Launch(session_id="s", attempt=1, job=sys.argv[2]))
    print("started", flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    processes = Processes(tmp_path / "runtime")
    yield processes
    processes.close()


def launch(job: str = RUN) -> Launch:
    return Launch(session_id="s", attempt=1, job=job)


def stat_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text()


def members(group: int) -> list[int]:
    """The living processes of a process group."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


async def test_what_runs_outlives_a_killed_orchestrator_and_is_adopted(processes: Processes) -> None:
    orchestrator = await asyncio.create_subprocess_exec(
        sys.executable, "-c", STARTER, str(processes.directory), RUN, stdout=asyncio.subprocess.PIPE
    )
    assert orchestrator.stdout is not None
    assert await orchestrator.stdout.readline() == b"started\n"
    orchestrator.kill()
    await orchestrator.wait()

    runtime = processes.runtime()
    (container,) = await runtime.containers()
    assert container.state is ContainerState.RUNNING
    events = runtime.events()
    waiting = asyncio.ensure_future(anext(events))
    await asyncio.sleep(0)
    killed_at = time.monotonic()
    processes.kill("s", 1)
    await waiting
    assert time.monotonic() - killed_at < 0.2  # by its pidfd: it is no child of this process
    (container,) = await runtime.containers()
    assert (container.state, container.exit_code) == (ContainerState.EXITED, 137)
    await events.aclose()  # type: ignore[attr-defined]
    await runtime.stop("s", 1, 1.0)


async def test_the_exit_code_is_kept_though_nobody_was_there(processes: Processes) -> None:
    orchestrator = await asyncio.create_subprocess_exec(
        sys.executable, "-c", STARTER, str(processes.directory), "sleep 0.5; exit 21", stdout=asyncio.subprocess.PIPE
    )
    assert orchestrator.stdout is not None
    await orchestrator.stdout.readline()
    orchestrator.kill()
    await orchestrator.wait()
    runtime = processes.runtime()

    async def exit_code() -> int | None:
        (container,) = await runtime.containers()
        return container.exit_code

    assert await eventually(exit_code) == 21


async def test_stop_takes_along_what_a_killed_agent_left_behind(processes: Processes) -> None:
    runtime = processes.runtime()
    await runtime.start(launch("sleep 600 & echo ready; wait"))
    await eventually(lambda: "ready" in processes.log("s", 1))
    keeper = processes.attempt("s", 1).keeper()
    assert keeper is not None
    processes.kill("s", 1)
    await eventually(lambda: processes.attempt("s", 1).state() is ContainerState.EXITED)
    assert len(members(keeper.pid)) == 1  # the orphan
    await runtime.stop("s", 1, 1.0)
    await eventually(lambda: not members(keeper.pid))


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "600"], start_new_session=True)
    yield process
    process.kill()
    process.wait()


async def test_a_pid_that_now_belongs_to_somebody_else_is_left_alone(
    processes: Processes, stranger: subprocess.Popen[bytes]
) -> None:
    runtime = processes.runtime()
    attempt = processes.attempt("s", 1)
    attempt.path.mkdir(parents=True)
    fields = stat_of(stranger.pid).split()
    fields[21] = str(int(fields[21]) - 1)  # started a tick earlier: another process of that number
    (attempt.path / "started").write_text(" ".join(fields) + "\n")
    (container,) = await runtime.containers()
    assert (container.state, container.exit_code) == (ContainerState.EXITED, 137)
    await runtime.stop("s", 1, 1.0)
    assert stranger.poll() is None
    assert await runtime.containers() == ()


async def test_of_two_that_start_the_same_attempt_one_does(processes: Processes) -> None:
    first, second = processes.runtime(), processes.runtime()
    await asyncio.gather(*(runtime.start(launch(f"echo ready; {RUN}")) for runtime in (first, second) * 3))
    await eventually(lambda: "ready" in processes.log("s", 1))
    await asyncio.sleep(0.2)  # for a second one to say so too
    assert processes.log("s", 1).count("ready\n") == 2  # of the one: its own line and the stand-in's
    await first.stop("s", 1, 1.0)


async def test_nothing_is_inherited_but_what_is_meant_to_be(processes: Processes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAILOVER_S3_SECRET_KEY", "not for the agent")
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    try:
        runtime = processes.runtime()
        await runtime.start(launch(f"env; ls -l /proc/self/fd; {RUN}"))
        os.close(writing)
        log = await eventually(lambda: "ready" in processes.log("s", 1) and processes.log("s", 1))
        assert isinstance(log, str)
        assert "not for the agent" not in log
        assert "pipe:" not in log
        assert "TRANSCODER_FFMPEG=/" in log
        os.set_blocking(reading, False)
        assert os.read(reading, 1) == b""  # nobody holds the other end
        await runtime.stop("s", 1, 1.0)
    finally:
        os.close(reading)


async def test_a_talkative_agent_does_not_fill_the_disk(processes: Processes) -> None:
    runtime = processes.runtime()
    await runtime.start(launch(f"head -c 2M /dev/zero; {RUN}"))
    await eventually(lambda: "ready" in processes.log("s", 1))
    await runtime.containers()
    assert (processes.attempt("s", 1).path / "log").stat().st_size == 0
    await runtime.stop("s", 1, 1.0)


async def test_an_agent_whose_segments_stopped_long_ago_is_unhealthy(processes: Processes) -> None:
    runtime = processes.runtime()
    await runtime.start(launch(f"touch $TRANSCODER_HEALTH_FILE; {RUN}"))
    await eventually(lambda: "ready" in processes.log("s", 1))
    (container,) = await runtime.containers()
    assert container.healthy is True
    old = time.time() - 300
    os.utime(processes.attempt("s", 1).path / "healthy", (old, old))
    (container,) = await runtime.containers()
    assert container.healthy is False
    await runtime.stop("s", 1, 1.0)


async def test_ctrl_c_in_the_terminal_is_not_for_the_agents(processes: Processes) -> None:
    runtime = processes.runtime()
    await runtime.start(launch())
    await eventually(lambda: "ready" in processes.log("s", 1))
    agent = processes.attempt("s", 1).agent()
    assert agent is not None
    assert os.getsid(agent.pid) != os.getsid(0)
    await runtime.stop("s", 1, 1.0)


async def test_nothing_is_left_behind(processes: Processes) -> None:
    runtime = processes.runtime()
    await runtime.start(launch())
    await runtime.stop("s", 1, 1.0)
    assert not processes.directory.exists()


async def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    runtime = ProcessRuntime(Settings(), directory=tmp_path / "file" / "runtime")
    with pytest.raises(EngineUnavailable, match="no directory for processes"):
        await runtime.check()
    with pytest.raises(EngineUnavailable, match="cannot start a process"):
        await runtime.start(launch())


async def test_the_real_agent_is_found_and_run(tmp_path: Path) -> None:
    runtime = ProcessRuntime(Settings(), directory=tmp_path)
    await runtime.start(launch("not a job"))

    async def ended() -> Container | None:
        (container,) = await runtime.containers()
        return container if container.exit_code is not None else None

    container = await eventually(ended)
    assert container is not None
    assert (container.exit_code, container.detail.partition(":")[0]) == (31, "not JSON"), "what it refuses is told"
    assert "bad job" in (tmp_path / "failover" / "s-1" / "log").read_text()
    await runtime.stop("s", 1, 1.0)


def test_a_half_written_line_of_proc_is_no_process(tmp_path: Path) -> None:
    attempt = AttemptDirectory(tmp_path / "s-1")
    attempt.path.mkdir()
    assert attempt.state() is ContainerState.CREATED
    (attempt.path / "started").write_text(Path("/proc/self/stat").read_text().rstrip("\n"))
    assert attempt.state() is ContainerState.CREATED
    (attempt.path / "started").write_text(Path("/proc/self/stat").read_text())
    assert attempt.state() is ContainerState.RUNNING


def test_signals_that_were_ignored_are_heard_by_the_agent(processes: Processes) -> None:
    """A runtime started by something that ignores SIGINT or SIGTERM (nohup, a background job) starts agents that do not."""
    code = f"""
import asyncio, signal, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
from pathlib import Path
from orchestrator.ports import Launch
from tests.contract.engines import Processes
async def main():
    runtime = Processes(Path({str(processes.directory)!r})).runtime()
    await runtime.start(Launch(session_id="s", attempt=1, job="sleep 600"))
    before = asyncio.get_running_loop().time()
    await runtime.stop("s", 1, 5.0)
    assert asyncio.get_running_loop().time() - before < 3, "SIGTERM was not heard"
asyncio.run(main())
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20)
    assert run.returncode == 0, run.stderr
    assert signal.getsignal(signal.SIGTERM) is not signal.SIG_IGN


async def test_who_gives_way_is_nice(processes: Processes, tmp_path: Path) -> None:
    runtime = processes.runtime()
    said = tmp_path / "niceness"
    await runtime.start(replace(launch(f"nice >{said}; sleep 60"), gives_way=True))
    expected = str(min(19, os.getpriority(os.PRIO_PROCESS, 0) + 10))
    await eventually(lambda: said.exists() and said.read_text().strip() == expected, what="its niceness")
    await runtime.stop("s", 1, 0.0)
