"""The probe scheduler by itself: one probe of a source at a time, within the limits, and who gives way to whom."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import closing
from typing import Any

import pytest
from msgspec.structs import replace

from orchestrator.app.task_group import TaskGroup
from orchestrator.control.connection_ledger import ConnectionLedger
from orchestrator.control.probes.scheduler import ProbeScheduler
from orchestrator.core.model import Cause, Channel, Media, Provider, Source, SourceStatus, Why
from orchestrator.errors import EngineUnavailable
from orchestrator.ports import NewSource, ProbeResult
from tests.fakes.tables import FakeTables
from tests.orchestrator.simulated.time import SimulatedLoop

WORKS = ProbeResult(Media(video="h264"))


class SlowProber:
    """Answers after a second; `asked` are the addresses, in order. `answers` says what, by address; an error is raised."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.cancelled: list[str] = []
        self.answers: dict[str, ProbeResult | Exception] = {}

    async def probe(self, source: Source) -> ProbeResult:
        self.asked.append(source.url)
        try:
            await asyncio.sleep(1.0)
        except asyncio.CancelledError:
            self.cancelled.append(source.url)
            raise
        answer = self.answers.get(source.url, WORKS)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def close(self) -> None: ...


class Rig:
    """Sources `a` and `b` of a provider with one connection, and `free` of none."""

    def __init__(self) -> None:
        self.tables = FakeTables()
        self.prober = SlowProber()
        self.woken: list[str] = []
        self.tasks = TaskGroup()
        self.ledger = ConnectionLedger(self.woken.append)
        self.scheduler = ProbeScheduler(
            catalogue=self.tables.catalogue, prober=self.prober, ledger=self.ledger, tasks=self.tasks,
            wake=self.woken.append, now=lambda: 100.0,
        )  # fmt: skip

    async def prepare(self) -> None:
        self.ledger.limit([Provider(id="p", name="Acme", max_connections=1)])
        self.ledger.count({})
        new = [NewSource(url=f"http://{each}/", provider_id="p") for each in "ab"]
        channel = await self.tables.catalogue.add_channel(
            Channel(id="", slug="c", name="c"), [*new, NewSource(url="http://f/")]
        )
        self.a, self.b, self.free = await self.tables.catalogue.sources(channel.id)


@pytest.fixture
def run() -> Iterator[Callable[[Callable[[Rig], Coroutine[Any, Any, None]]], None]]:
    with closing(SimulatedLoop()) as loop:

        def run(test: Callable[[Rig], Coroutine[Any, Any, None]]) -> None:
            async def main() -> None:
                rig = Rig()
                await rig.prepare()
                try:
                    await test(rig)
                finally:
                    await rig.tasks.close()

            loop.run_until_complete(main())

        yield run


def test_whoever_asks_meanwhile_gets_the_same_probe(run: Any) -> None:
    async def test(rig: Rig) -> None:
        answers = await asyncio.gather(*(rig.scheduler.probe(rig.a) for _ in range(5)))
        assert rig.prober.asked == ["http://a/"]
        assert {each.status for each in answers if each is not None} == {SourceStatus.HEALTHY}
        assert None not in answers
        assert rig.scheduler.running == 0

    run(test)


def test_a_probe_takes_no_connection_beyond_the_limit_and_gives_its_own_back(run: Any) -> None:
    async def test(rig: Rig) -> None:
        first = rig.scheduler.start(rig.a)
        assert first is not None
        assert rig.scheduler.start(rig.b) is None
        assert rig.scheduler.start(rig.free) is not None, "without a provider there is no limit"
        assert rig.ledger.in_use("p") == 1
        await first
        assert rig.ledger.in_use("p") == 0
        assert await rig.scheduler.probe(rig.b) is not None
        assert rig.prober.cancelled == []

    run(test)


def test_one_that_nobody_waits_for_is_cancelled_for_any_other_and_says_nothing(run: Any) -> None:
    async def test(rig: Rig) -> None:
        first = rig.scheduler.start_preemptible(rig.a)
        assert first is not None
        await asyncio.sleep(0.5)
        assert rig.scheduler.start_preemptible(rig.b) is None, "nor for another one that nobody waits for"
        assert rig.prober.cancelled == []
        probed = await rig.scheduler.probe(rig.b)
        assert probed is not None
        assert (probed.id, probed.status) == (rig.b.id, SourceStatus.HEALTHY)
        assert rig.prober.cancelled == ["http://a/"]
        assert await first is None
        assert (await rig.tables.catalogue.source(rig.a.id)).status is SourceStatus.UNKNOWN

    run(test)


def test_one_that_somebody_waits_for_by_now_is_not_preemptible_any_more(run: Any) -> None:
    async def test(rig: Rig) -> None:
        first = rig.scheduler.start_preemptible(rig.a)
        assert rig.scheduler.start(rig.a) is first
        assert await rig.scheduler.probe(rig.b) is None
        assert first is not None
        assert await first is not None

    run(test)


def test_a_session_is_woken_when_its_probe_has_ended_or_a_connection_is_free(run: Any) -> None:
    async def test(rig: Rig) -> None:
        rig.scheduler.start_for_session("s", rig.a)
        rig.scheduler.start_for_session("t", rig.b)
        assert rig.prober.cancelled == [], "a session waits for it"
        await asyncio.sleep(1.5)
        assert sorted(rig.woken) == ["s", "t"]
        assert rig.prober.asked == ["http://a/"]

    run(test)


def test_a_session_cancels_a_probe_that_no_session_waits_for(run: Any) -> None:
    async def test(rig: Rig) -> None:
        requested = rig.scheduler.start(rig.a)
        await asyncio.sleep(0.5)
        rig.scheduler.start_for_session("s", rig.b)
        assert requested is not None
        assert await requested is None
        assert rig.prober.cancelled == ["http://a/"]
        assert rig.woken == ["s"]

    run(test)


def test_an_attempt_cancels_what_is_in_its_way_and_no_more(run: Any) -> None:
    async def test(rig: Rig) -> None:
        running, other = rig.scheduler.start(rig.a), rig.scheduler.start(rig.free)
        await asyncio.sleep(0.5)
        rig.ledger.take("s", 1, rig.b)
        cancelled = rig.scheduler.preempt_for_attempt(rig.b)
        assert len(cancelled) == 1
        await asyncio.wait(cancelled)
        assert running is not None
        assert other is not None
        assert await running is None
        assert await other is not None
        assert rig.ledger.in_use("p") == 1, "the attempt's"
        assert rig.scheduler.preempt_for_attempt(rig.b) == []

    run(test)


def test_a_probe_at_an_address_that_the_source_no_longer_has_is_cancelled(run: Any) -> None:
    async def test(rig: Rig) -> None:
        first = rig.scheduler.start(rig.a)
        await asyncio.sleep(0.5)
        edited = replace(rig.a, url="http://moved/")
        assert rig.scheduler.start(edited) is None
        assert first is not None
        assert await first is None
        assert rig.prober.cancelled == ["http://a/"]
        assert await rig.scheduler.probe(edited) is not None
        assert rig.prober.asked == ["http://a/", "http://moved/"]

    run(test)


@pytest.mark.parametrize("error", [EngineUnavailable("ffprobe does not start"), ZeroDivisionError("a bug")])
def test_a_prober_that_fails_says_nothing_and_frees_the_connection(run: Any, error: Exception) -> None:
    async def test(rig: Rig) -> None:
        rig.prober.answers["http://a/"] = error
        assert await rig.scheduler.probe(rig.a) is None
        assert (await rig.tables.catalogue.source(rig.a.id)).status is SourceStatus.UNKNOWN
        assert rig.ledger.in_use("p") == 0

    run(test)


def test_no_credential_gets_into_a_row(run: Any) -> None:
    async def test(rig: Rig) -> None:
        url = "http://tv.test/live/joe/hunter2/1.ts"
        source = await rig.tables.catalogue.update_source(rig.a.id, url=url)
        rig.prober.answers[url] = ProbeResult.fails(Why(Cause.UNREADABLE, f"cannot read {url}"))
        probed = await rig.scheduler.probe(source)
        assert probed is not None
        assert probed.last_failure_reason is not None
        assert probed.last_failure_reason.startswith("cannot read ")
        assert "hunter2" not in probed.last_failure_reason

    run(test)
