"""What an operator does with a whole deployment, on a real engine, store and processes: roll, drain, doctor, retention."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
import pytest_asyncio
from docker.utils import kwargs_from_env

from lab import Lab
from orchestrator.errors import FailoverError
from tests.e2e.attempts import Attempt
from tests.e2e.stage import Stage
from tests.servers import RedisServer, Seaweed
from tests.support import eventually

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]

FAILOVER = Path(sys.executable).with_name("failover")
MISSED_S = 25.0  # an orchestrator that does not beat is missed after 15 s


class Operator:
    """The `failover` command beside the running stack."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._environ = {name: value for name, value in os.environ.items() if not name.startswith("FAILOVER_")}

    async def run(self, *words: str) -> tuple[int, str]:
        """Exit code and all that it said. Not in a thread: this event loop is the network between the stack and its store."""
        process = await asyncio.create_subprocess_exec(
            FAILOVER, *words, "--data-dir", str(self._data_dir), env=self._environ | {"COLUMNS": "200"},
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        said, _ = await process.communicate()
        assert b"Traceback" not in said, said.decode()
        assert process.returncode is not None
        return process.returncode, said.decode()

    @contextlib.asynccontextmanager
    async def background(self, *words: str) -> AsyncIterator[asyncio.subprocess.Process]:
        """A command that goes on until the block ends."""
        process = await asyncio.create_subprocess_exec(FAILOVER, *words, "--data-dir", str(self._data_dir), env=self._environ)
        try:
            yield process
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()

    async def doctor(self) -> dict[str, Any]:
        """What is wrong, by check."""
        code, said = await self.run("doctor", "--json")
        document = json.loads(said[said.index("{") :])
        assert (code == 0) is document["healthy"]
        return {finding["check"]: finding for finding in document["findings"] if finding["level"] == "wrong"}


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("stack")


@pytest.fixture(scope="module")
def operator(data_dir: Path) -> Operator:
    return Operator(data_dir)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(seaweed: Seaweed, redis_server: RedisServer, transcoder_image: str, data_dir: Path) -> AsyncIterator[Stage]:
    settings = {"transcoder_image": transcoder_image, "orphan_grace_s": 3.0}
    async with Stage.open(data_dir, seaweed, redis_server, runtime="docker", **settings) as opened:
        yield opened


@pytest.fixture(scope="module")
def engine() -> Iterator[docker.APIClient]:
    with contextlib.closing(docker.APIClient(**kwargs_from_env(), version="auto", timeout=20)) as client:
        yield client


def left_behind(engine: docker.APIClient, stage: Stage, session_id: str, attempt: int = 1) -> None:
    """A container of this session, which nobody has asked for."""
    prefix = "hls-failover"
    labels = {
        f"{prefix}.deployment": stage.settings.deployment,
        f"{prefix}.session": session_id,
        f"{prefix}.attempt": str(attempt),
    }
    made = engine.create_container(
        stage.settings.transcoder_image, entrypoint=["/bin/sleep", "600"], labels=labels,
        name=f"{stage.settings.deployment}-{session_id}-{attempt}",
    )  # fmt: skip
    engine.start(made["Id"])


async def test_a_roll_gives_every_session_a_fresh_attempt_without_a_gap(stage: Stage, lab: Lab, operator: Operator) -> None:
    async with contextlib.AsyncExitStack() as stack:
        channels = [await stage.channel(lab[name].hls_url) for name in ("a", "b", "c")]
        watched = [await stack.enter_async_context(stage.watch(channel)) for channel in channels]
        await asyncio.gather(*(each.plays() for each in watched))
        code, said = await operator.run("sessions", "roll", "--at-once", "2")
        assert (code, "3 of 3 sessions rolled" in said) == (0, True), said
        await asyncio.gather(*(each.plays_from(2) for each in watched))
        for each in watched:
            (event,) = each.told("stream.switch")
            assert (event["reason"], event["attempt"], event["from"]) == ("rolled", 2, event["to"])
            await stage.runs(each.id, 2)
            assert each.viewer.faults == []
            assert len(each.viewer.swaps) == 1
            ended, runs = await each.rows()
            assert (ended["end_reason"], runs["start_reason"]) == ("replaced: rolled", "rolled")
        assert await operator.doctor() == {}, "and all is as it should be"


async def test_while_it_drains_what_runs_goes_on_and_nothing_starts(stage: Stage, lab: Lab, operator: Operator) -> None:
    channel, other = await stage.channel(lab["a"].hls_url), await stage.channel(lab["b"].hls_url)
    async with stage.watch(channel) as watched:
        assert "draining since" in (await operator.run("drain", "on"))[1]
        try:
            with pytest.raises(FailoverError, match="draining"):
                await stage.client.session(other["id"])
            refused = await stage.http.post(f"/v1/channels/{other['id']}/sessions", json={})
            assert (refused.status_code, refused.json()["limit"]) == (503, "draining")
            assert int(refused.headers["Retry-After"]) > 5
            await watched.switch(channel["sources"][0]["id"])
            await watched.plays_from(2)
            code, said = await operator.run("doctor")
            assert (code, "draining" in said) == (0, True), "a note is no fault"
        finally:
            assert "not draining" in (await operator.run("drain", "off"))[1]
        assert "not draining" in (await operator.run("drain", "status"))[1]
    async with stage.watch(other) as again:
        await again.plays()


async def test_containers_without_a_row_are_removed(
    stage: Stage, lab: Lab, engine: docker.APIClient, operator: Operator
) -> None:
    channel = await stage.channel(lab["a"].hls_url)
    async with stage.watch(channel) as over:
        await over.plays(2)
    left_behind(engine, stage, over.id, 7)
    left_behind(engine, stage, "s-nobody")
    assert "containers-without-row" not in await operator.doctor(), "they are gone before the second look"
    for session_id in (over.id, "s-nobody"):
        await stage.runs(session_id, timeout_s=20.0)


async def test_the_doctor_finds_what_no_orchestrator_mends(
    stage: Stage, lab: Lab, engine: docker.APIClient, operator: Operator
) -> None:
    channel = await stage.channel(lab["a"].hls_url)
    async with stage.watch(channel) as hit, stage.watch(await stage.channel(lab["b"].hls_url)) as spared:
        await hit.plays(2)
        pid = stage.stack.orchestrator.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        try:
            await asyncio.to_thread(stage.attempts.kill, Attempt(hit.id, 1))
            await asyncio.to_thread(engine.remove_container, f"{stage.settings.deployment}-{hit.id}-1", force=True)
            await asyncio.to_thread(left_behind, engine, stage, spared.id, 2)

            async def missed() -> bool:
                return "orchestrator" in await operator.doctor()

            await eventually(missed, MISSED_S, every_s=2.0)
            found = await operator.doctor()
            assert set(found) == {"orchestrator", "rows-without-container", "two-attempts"}
            assert found["rows-without-container"]["subjects"] == [hit.id]
            assert found["two-attempts"]["subjects"] == [spared.id]
            assert all(len(finding["remedy"]) > 10 for finding in found.values())
            code, said = await operator.run("sessions", "roll")
            assert (code, "no orchestrator runs" in said) == (1, True)
        finally:
            os.kill(pid, signal.SIGCONT)
        await hit.plays_from(2)

        async def mended() -> bool:
            return await operator.doctor() == {}

        await eventually(mended, 40.0, every_s=1.0)
        await stage.runs(spared.id, 1)


async def test_a_second_orchestrator_refuses_to_act_and_one_that_was_overtaken_ends(
    stage: Stage, lab: Lab, operator: Operator
) -> None:
    async with stage.watch(await stage.channel(lab["a"].hls_url, lab["b"].hls_url)) as watched:
        await watched.plays(2)

        async def killed() -> int:
            """Its current attempt."""
            number: int = (await watched.rows())[-1]["number"]
            await asyncio.to_thread(stage.attempts.kill, Attempt(watched.id, number))
            return number

        code, said = await operator.run("orchestrator")
        assert code == 1
        assert "Another orchestrator acts on this database: o-" in said.splitlines()[-1]
        assert set(await operator.doctor()) == {"second-orchestrator"}

        first = stage.stack.orchestrator.pid
        assert first is not None
        os.kill(first, signal.SIGSTOP)
        try:
            async with operator.background("orchestrator") as second:
                number = await killed()
                await watched.plays_from(number + 1, timeout_s=40.0)  # a process starts, and a lease runs out
                os.kill(first, signal.SIGCONT)
                await eventually(lambda: stage.stack.orchestrator.pid != first, what="the end of the one that was overtaken")
                assert "Another orchestrator acts on this database" in stage.stack.orchestrator.log_file.read_text()
                assert second.returncode is None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(first, signal.SIGCONT)
        # Who was refused is started again and again by what keeps it, so it takes over where the other one stops.
        again = await killed()
        assert again == number + 1, "the one that woke up has started nothing"
        await watched.plays_from(again + 1, timeout_s=40.0)
        assert watched.viewer.faults == []
