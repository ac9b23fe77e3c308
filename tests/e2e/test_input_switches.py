"""Input switches on real parts: real agents as child processes, a real store, sources that fail. One attempt outlives its
source, and the orchestrator records what the agent has done."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from lab import Lab, LabFault
from tests.e2e.stage import Stage
from tests.servers import RedisServer, Seaweed
from tests.support import eventually

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(150), pytest.mark.alone]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def switching(
    seaweed: Seaweed, redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stage]:
    directory = tmp_path_factory.mktemp("switching", numbered=True)
    async with Stage.open(directory, seaweed, redis_server, runtime="process", input_switches="on") as opened:
        yield opened


@pytest.mark.parametrize(("fault", "reason"), [(LabFault.REFUSE, "source unreachable"), (LabFault.FROZEN, "source stalled")])
async def test_a_source_that_fails_is_replaced_in_the_same_attempt(
    switching: Stage, lab: Lab, fault: LabFault, reason: str
) -> None:
    source = lab["a"]
    channel = await switching.channel(source.hls_url, lab["b"].hls_url)
    first, second = (each["id"] for each in channel["sources"])
    async with switching.watch(channel) as watched:
        await watched.plays(4)
        source.fault = fault
        try:
            told = await watched.is_told("stream.switch")
            assert (told["from"], told["to"], told["by"]) == (first, second, "agent")
            assert (told["attempt"], told["leg"]) == (1, 2)
            assert told["reason"].startswith(reason)
            await watched.plays(4)
            (attempt,) = await watched.rows()
            assert [leg["source_id"] for leg in attempt["legs"]] == [first, second]
            assert attempt["legs"][0]["end_reason"].startswith(reason)
            assert attempt["legs"][0]["ended_at"]
            failed, playing = await switching.sources(channel)
            assert (failed["status"], playing["status"]) == ("problematic", "healthy")
            assert failed["failure_count"] + failed["stall_count"] == 1
            await switching.runs(watched.id, 1)
        finally:
            source.fault = None


async def test_a_container_that_dies_is_replaced_as_before(switching: Stage, lab: Lab) -> None:
    channel = await switching.channel(lab["c"].hls_url, lab["d"].hls_url)
    async with switching.watch(channel) as watched:
        await watched.plays(4)
        (attempt,) = await eventually(lambda: switching.attempts.of(watched.id))
        switching.attempts.kill(attempt)
        await watched.plays_from(2)
        ended, _ = await watched.rows()
        assert ended["end_reason"] == "container killed"
        assert [each["status"] for each in await switching.sources(channel)] == ["healthy", "healthy"]
