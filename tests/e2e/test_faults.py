"""Sources that misbehave, each in its own way: one step to the next source, the reason on record; the viewer sees nothing."""

from __future__ import annotations

import asyncio
import time
from typing import Any, NamedTuple

import pytest
import pytest_asyncio

from lab import Lab, LabFault, LabSource
from tests.e2e.stage import Stage, Watched
from tests.support import eventually

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(150), pytest.mark.alone]

AT_ONCE = 6  # sessions that fail at the same time; the lab's other two sources are well
BUFFER = 3  # target durations: where a player starts (RFC 8216, 6.3.3), and so what it has in store


class Case(NamedTuple):
    """What a playing source does, and what is to be written of it."""

    fault: LabFault
    kind: str
    reason: str
    amount: float | None = None
    then: LabFault | None = None  # what it does a moment later

    def __str__(self) -> str:
        return "-".join(str(each) for each in (self.fault, self.then, self.kind) if each)


CASES = (
    Case(LabFault.REFUSE, "hls", "source unreachable"),
    Case(LabFault.RESET, "hls", "source unreachable"),
    Case(LabFault.HTTP_404, "hls", "source refused"),
    Case(LabFault.HTTP_403, "hls", "source refused"),
    Case(LabFault.HTTP_500, "hls", "source unreachable"),
    Case(LabFault.HTML, "hls", "source undecodable"),
    Case(LabFault.EMPTY_PLAYLIST, "hls", "source stalled"),
    Case(LabFault.FROZEN, "hls", "source stalled"),
    Case(LabFault.HANG, "hls", "source stalled"),
    Case(LabFault.TRICKLE, "hls", "source stalled", amount=10_000),
    Case(LabFault.END, "hls", "source ended"),
    Case(LabFault.GARBAGE, "hls", "source undecodable"),
    Case(LabFault.CUT, "hls", "source stalled"),
    Case(LabFault.CUT, "hls", "source unreachable", then=LabFault.REFUSE),
    Case(LabFault.REFUSE, "ts", "source unreachable"),
    Case(LabFault.HANG, "ts", "source stalled"),
    Case(LabFault.TRICKLE, "ts", "source stalled", amount=10_000),
    Case(LabFault.END, "ts", "source ended"),
    Case(LabFault.GARBAGE, "ts", "source undecodable"),
    Case(LabFault.CUT, "ts", "source unreachable"),
)


class Incident(NamedTuple):
    """What a fault has led to."""

    watched: Watched
    at: float
    sources: list[Any]
    attempts: list[Any]
    log: str


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def incidents(request: pytest.FixtureRequest, stage: Stage, lab: Lab) -> dict[Case, asyncio.Task[Incident]]:
    """All cases that are asked for, some at a time, each on a channel, a session and a source of its own."""
    items: list[Any] = request.session.items
    cases = {item.callspec.params["case"] for item in items if item.function is test_a_playing_source_fails}
    slots: asyncio.Queue[LabSource] = asyncio.Queue()
    for source in lab.sources[:AT_ONCE]:
        slots.put_nowait(source)

    async def one(case: Case) -> Incident:
        source = await slots.get()
        try:
            return await incident(stage, case, source, lab)
        finally:
            source.fault = None
            slots.put_nowait(source)

    tasks = {case: asyncio.create_task(one(case), name=str(case)) for case in CASES if case in cases}
    await asyncio.wait(tasks.values())
    return tasks


async def incident(stage: Stage, case: Case, source: LabSource, lab: Lab) -> Incident:
    first = source.ts_url if case.kind == "ts" else source.hls_url
    channel = await stage.channel(first, lab["g"].hls_url, lab["h"].hls_url)
    async with stage.watch(channel) as watched:
        await watched.plays(4)
        assert (await watched.view())["source_id"] == channel["sources"][0]["id"]
        at = time.time()
        source.inject(case.fault, case.amount)
        if case.then:
            await asyncio.sleep(1.5 * source.segment_s)  # in the middle of a segment, and no other comes
            source.fault = case.then
        switch = await watched.is_told("stream.switch", timeout_s=20)
        await watched.plays_from(switch["attempt"], 4)
        sources = await stage.sources(channel)
        attempts = await watched.rows()
        log = (await stage.http.get(f"/v1/sessions/{watched.id}/attempts/1/log")).text
    return Incident(watched, at, sources, attempts, log)


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_a_playing_source_fails(case: Case, incidents: dict[Case, asyncio.Task[Incident]]) -> None:
    watched, at, sources, attempts, log = incidents[case].result()
    bad, good, other = sources
    (switch,) = watched.told("stream.switch")
    late_s = watched.late_s(at)
    (swap,) = watched.viewer.swaps
    print(f"{case}: next segment {late_s:.2f} s late, {swap.gap_s:+.2f} s of programme, {switch['reason']}")
    assert [event["type"] for event in watched.events] == ["session.live", "stream.switch", "session.ended"]
    assert (switch["from"], switch["to"], switch["reason"]) == (bad["id"], good["id"], case.reason), log
    stalled = case.reason == "source stalled"
    assert (bad["failure_count"], bad["stall_count"]) == (int(not stalled), int(stalled))
    assert (bad["status"], bad["last_failure_reason"]) == ("problematic", case.reason)
    for each in (good, other):
        assert (each["failure_count"], each["stall_count"], each["last_failure_reason"]) == (0, 0, None)
    assert [(row["source_id"], row["end_reason"]) for row in attempts] == [(bad["id"], case.reason), (good["id"], None)]
    assert case.reason in log
    assert watched.viewer.faults == []
    assert late_s < BUFFER * watched.target_duration_s


AT_START = (
    LabFault.REFUSE, LabFault.RESET, LabFault.HTTP_404, LabFault.HTTP_403, LabFault.HTTP_500, LabFault.HTML,
    LabFault.EMPTY_PLAYLIST, LabFault.HANG, LabFault.GARBAGE,
)  # fmt: skip


async def test_a_source_that_does_not_work_is_passed_over_at_the_start(stage: Stage, lab: Lab) -> None:
    slots = lab.sources[:AT_ONCE]

    async def start(fault: LabFault, source: LabSource) -> None:
        source.fault = fault
        channel = await stage.channel(source.hls_url, lab["g"].hls_url, known=False)
        async with stage.watch(channel) as watched:
            print(f"{fault}: live {watched.start_s:.2f} s after the request")
            good = channel["sources"][1]
            assert (await watched.view())["source_id"] == good["id"]
            assert watched.start_s < 10

            async def recorded() -> Any:
                row = (await stage.sources(channel))[0]
                return row if row["status"] == "problematic" else None

            row = await eventually(recorded, timeout_s=10, what=f"the verdict on {fault}")
            assert row["last_failure_reason"]
            print(f"  {row['last_failure_reason']}")
            await watched.plays(2)
        assert watched.viewer.faults == []
        assert not watched.told("stream.switch")

    for few in (AT_START[:5], AT_START[5:]):
        async with asyncio.TaskGroup() as group:
            for fault, source in zip(few, slots, strict=False):
                group.create_task(start(fault, source))
        for source in slots:
            source.fault = None


async def test_where_no_source_works_the_refusal_names_each_reason(stage: Stage, lab: Lab) -> None:
    faults = (LabFault.REFUSE, LabFault.HTTP_404, LabFault.HTML)
    sources = lab.sources[: len(faults)]
    for source, fault in zip(sources, faults, strict=True):
        source.fault = fault
    channel = await stage.channel(*(source.hls_url for source in sources), known=False)
    answer = await stage.http.post(f"/v1/channels/{channel['id']}/sessions", json={}, headers={"Prefer": "wait=15"})
    for source in sources:
        source.fault = None
    assert answer.status_code == 503
    reasons = answer.json()["sources"]
    print(reasons)
    assert set(reasons) == {each["id"] for each in channel["sources"]}
    assert all(reasons.values())
    sessions = [each for each in await stage.client.call("GET", "/v1/sessions") if each["channel"]["id"] == channel["id"]]
    assert [(each["phase"], each["end_reason"]) for each in sessions] == [("ended", "no_healthy_source")]
    assert not stage.attempts.of(sessions[0]["id"])
