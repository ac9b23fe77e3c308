"""The queue of sessions to look at, on simulated time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing

import pytest

from orchestrator.control.wake_ups import WakeUps
from tests.orchestrator.simulated.time import SimulatedLoop


@pytest.fixture
def loop() -> Iterator[SimulatedLoop]:
    with closing(SimulatedLoop()) as loop:
        yield loop


def test_a_session_is_taken_once_however_often_it_was_woken(loop: SimulatedLoop) -> None:
    async def main() -> None:
        wake_ups = WakeUps()
        for _ in range(3):
            wake_ups.wake("s")
            wake_ups.glance("t")
        assert (await wake_ups.take()).sessions == {"s": True, "t": False}
        wake_ups.glance("s")
        assert (await wake_ups.take()).sessions == {"s": False}

    loop.run_until_complete(main())


def test_a_glance_does_not_hide_that_rows_may_have_changed(loop: SimulatedLoop) -> None:
    async def main() -> None:
        wake_ups = WakeUps()
        wake_ups.wake("s")
        wake_ups.glance("s")
        wake_ups.glance("t")
        wake_ups.wake("t")
        assert (await wake_ups.take()).sessions == {"s": True, "t": True}

    loop.run_until_complete(main())


def test_taking_waits_until_there_is_something(loop: SimulatedLoop) -> None:
    async def main() -> None:
        wake_ups = WakeUps()
        taking = asyncio.create_task(wake_ups.take())
        await asyncio.sleep(10.0)
        assert not taking.done()
        wake_ups.has_ended("s")
        woken = await taking
        assert (woken.sessions, set(woken.ended)) == ({}, {"s"})

    loop.run_until_complete(main())


def test_a_silence_of_the_engine_is_one_however_many_looks_met_it(loop: SimulatedLoop) -> None:
    async def main() -> None:
        wake_ups = WakeUps()
        for _ in range(3):
            wake_ups.engine_is_silent()
        await wake_ups.engine_silence()
        waiting = asyncio.create_task(wake_ups.engine_silence())
        await asyncio.sleep(10.0)
        assert not waiting.done()
        wake_ups.engine_is_silent()
        await waiting

    loop.run_until_complete(main())
