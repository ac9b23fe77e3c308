"""The supervised task group, on simulated time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Iterator
from contextlib import closing
from typing import Any

import pytest

from orchestrator.app.task_group import CLOSE_LIMIT_S, RestartDelay, TaskGroup
from orchestrator.errors import EngineUnavailable
from tests.orchestrator.simulated.time import SimulatedLoop


@pytest.fixture
def loop() -> Iterator[SimulatedLoop]:
    with closing(SimulatedLoop()) as loop:
        yield loop


class Work:
    """What is kept running: `ends` says how each run ends ("return", "bug", "outage", "cancelled", "hangs"; the last one
    repeats), `started_at` when each has begun."""

    def __init__(self, *ends: str, runs_for_s: float = 0.0) -> None:
        self.ends = list(ends)
        self.runs_for_s = runs_for_s
        self.started_at: list[float] = []

    async def __call__(self) -> None:
        self.started_at.append(asyncio.get_running_loop().time())
        how = self.ends.pop(0) if len(self.ends) > 1 else self.ends[0]
        await asyncio.sleep(self.runs_for_s)
        match how:
            case "bug":
                raise ValueError("a bug")
            case "outage":
                raise EngineUnavailable("no answer")
            case "cancelled":
                raise asyncio.CancelledError
            case "hangs":
                await asyncio.Event().wait()
            case _:
                assert how == "return"


def levels(log: pytest.LogCaptureFixture) -> list[str]:
    return [record.levelname for record in log.records if record.name == "orchestrator.app.task_group"]


def run_for(loop: SimulatedLoop, seconds: float, work: Work, **options: Any) -> None:
    async def main() -> None:
        async with TaskGroup() as tasks:
            tasks.keep_running(work, "work", **options)
            await asyncio.sleep(seconds)

    loop.run_until_complete(main())


# --- what is kept running ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["return", "bug", "outage", "cancelled"])
def test_however_it_ends_it_is_started_again_after_a_growing_pause(loop: SimulatedLoop, how: str) -> None:
    work = Work(how)
    run_for(loop, 100.0, work)
    assert work.started_at == [0.0, 1.0, 3.0, 7.0, 15.0, 31.0, 61.0, 91.0], "1, 2, 4, 8, 16, then 30 s"


def test_the_pause_is_short_again_after_it_has_run_for_long(loop: SimulatedLoop) -> None:
    work = Work("bug", "bug", "bug", "hangs")
    steady = Work("outage", runs_for_s=30.0)
    run_for(loop, 100.0, work)
    assert work.started_at == [0.0, 1.0, 3.0, 7.0]
    began = loop.time()
    run_for(loop, 100.0, steady)
    assert [at - began for at in steady.started_at] == [0.0, 31.0, 62.0, 93.0]


def test_the_first_and_the_longest_pause_can_be_given(loop: SimulatedLoop) -> None:
    work = Work("outage")
    run_for(loop, 2.0, work, delay=RestartDelay(0.1, 0.4))
    assert work.started_at == pytest.approx([0.0, 0.1, 0.3, 0.7, 1.1, 1.5, 1.9])


def test_after_thousands_of_failures_the_pause_is_still_the_longest_one(loop: SimulatedLoop) -> None:
    work = Work("outage")
    run_for(loop, 3000.0, work, delay=RestartDelay(0.5, 1.0))
    assert work.started_at[-1] - work.started_at[-2] == pytest.approx(1.0)
    assert len(work.started_at) > 2900


def test_what_is_to_run_until_it_returns_is_not_started_again(loop: SimulatedLoop, caplog: pytest.LogCaptureFixture) -> None:
    work = Work("bug", "outage", "return")
    run_for(loop, 100.0, work, until_it_returns=True)
    assert work.started_at == [0.0, 1.0, 3.0]
    assert levels(caplog) == ["ERROR"], "the bug; the outage is not the first failure in a row"


def test_of_an_outage_the_first_error_alone_is_a_warning(loop: SimulatedLoop, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    run_for(loop, 10.0, Work("outage"))
    assert levels(caplog) == ["WARNING", "DEBUG", "DEBUG", "DEBUG"]


@pytest.mark.parametrize(("how", "says"), [("return", "has ended"), ("bug", "work"), ("cancelled", "was cancelled")])
def test_an_unexpected_end_is_an_error_each_time(
    loop: SimulatedLoop, caplog: pytest.LogCaptureFixture, how: str, says: str
) -> None:
    run_for(loop, 2.0, Work(how))
    assert levels(caplog) == ["ERROR", "ERROR"]
    assert all(says in record.getMessage() for record in caplog.records)
    assert bool(caplog.records[0].exc_info) is (how == "bug"), "a bug comes with its traceback"


# --- what is started once ---------------------------------------------------------------------------------------------


def test_one_that_fails_is_logged_and_the_others_go_on(loop: SimulatedLoop, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> tuple[str, list[str]]:
        async with TaskGroup() as tasks:
            failing = tasks.start(_fails(), "failing")
            going_on = tasks.start(_answers("done", after_s=5.0), "going on")
            answer = await going_on
            assert failing.done()
            return answer, levels(caplog)

    assert loop.run_until_complete(main()) == ("done", ["ERROR"])
    assert caplog.records[0].getMessage() == "failing failed"


def test_the_failure_of_one_that_is_awaited_is_its_owners_to_handle(
    loop: SimulatedLoop, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with TaskGroup() as tasks:
            with pytest.raises(ValueError, match="a bug"):
                await tasks.start(_fails(), "failing", awaited=True)

    loop.run_until_complete(main())
    assert caplog.records == []


def test_while_one_of_the_name_runs_it_is_shared(loop: SimulatedLoop) -> None:
    async def main() -> list[str]:
        begun: list[str] = []

        def work(word: str) -> Coroutine[Any, Any, str]:
            begun.append(word)
            return _answers(word, after_s=1.0)

        async with TaskGroup() as tasks:
            first = tasks.start_unless_running(lambda: work("first"), "look")
            assert tasks.start_unless_running(lambda: work("second"), "look") is first
            other = tasks.start_unless_running(lambda: work("other"), "another look")
            answers = [await first, await other]
            third = tasks.start_unless_running(lambda: work("third"), "look")
            assert [*answers, await third] == ["first", "other", "third"]
        return begun

    assert loop.run_until_complete(main()) == ["first", "other", "third"]


# --- the end ----------------------------------------------------------------------------------------------------------


def test_closing_cancels_all_and_waits_until_they_have_ended(loop: SimulatedLoop) -> None:
    async def main() -> list[str]:
        ended: list[str] = []

        async def ends_slowly() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(2.0)
                ended.append("slow")

        async with TaskGroup() as tasks:
            tasks.start(ends_slowly(), "slow")
            tasks.keep_running(Work("hangs"), "kept")
            await asyncio.sleep(0.0)
        return ended

    assert loop.run_until_complete(main()) == ["slow"]
    assert loop.time() == 2.0
    assert asyncio.all_tasks(loop) == set()


def test_a_task_that_has_not_begun_never_begins_and_a_closed_group_starts_nothing(loop: SimulatedLoop) -> None:
    async def main() -> list[float]:
        early, late = Work("return"), Work("return")
        tasks = TaskGroup()
        tasks.keep_running(early, "early")
        await tasks.close()
        task = tasks.keep_running(late, "late")
        await asyncio.wait({task})
        assert task.cancelled()
        assert tasks.closed
        return early.started_at + late.started_at

    assert loop.run_until_complete(main()) == []


def test_what_a_task_starts_while_it_ends_is_cancelled_too(loop: SimulatedLoop) -> None:
    async def main() -> list[float]:
        late = Work("return")
        tasks = TaskGroup()

        async def starts_another() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                tasks.start(late(), "late")

        tasks.start(starts_another(), "first")
        await asyncio.sleep(0.0)
        await tasks.close()
        return late.started_at

    assert loop.run_until_complete(main()) == []
    assert asyncio.all_tasks(loop) == set()


def test_closing_waits_no_longer_than_its_limit_and_names_what_is_left(
    loop: SimulatedLoop, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async def does_not_end() -> None:
            while not released.is_set():
                try:
                    await released.wait()
                except asyncio.CancelledError:
                    pass

        released = asyncio.Event()
        tasks = TaskGroup()
        task = tasks.start(does_not_end(), "stubborn")
        await asyncio.sleep(0.0)
        await tasks.close()
        assert loop.time() == CLOSE_LIMIT_S
        released.set()
        await asyncio.wait({task})

    loop.run_until_complete(main())
    assert [record.getMessage() for record in caplog.records] == [
        "background tasks have not ended within 10 s of being cancelled: stubborn"
    ]


async def _fails() -> None:
    raise ValueError("a bug")


async def _answers(word: str, after_s: float) -> str:
    await asyncio.sleep(after_s)
    return word
