"""Input switches as they happen: the agent as a process, FFmpeg, a real store, and sources with real faults."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from lab import Lab, LabFault, Recipe
from lab.gate import Gate, GateState
from tests.servers import Seaweed
from tests.support import eventually
from tests.transcoder.rig import Agent, NewSession, Session, granted
from transcoder.ending import Ending
from transcoder.report import Happening, What

pytestmark = pytest.mark.alone

SMALL = Recipe(width=320, height=180, bitrate_bps=800_000)  # much more than the 16 kB/s that a trickle lets through
REFUSED, UNREACHABLE = Ending.SOURCE_REFUSED, Ending.SOURCE_UNREACHABLE
STALLED, UNDECODABLE = Ending.SOURCE_STALLED, Ending.SOURCE_UNDECODABLE

FAULTS = {
    LabFault.REFUSE: {UNREACHABLE},
    LabFault.RESET: {UNREACHABLE},
    LabFault.HTTP_403: {REFUSED},
    LabFault.HTTP_404: {REFUSED},
    LabFault.END: {Ending.SOURCE_ENDED},
    LabFault.FROZEN: {STALLED},
    LabFault.HANG: {STALLED},
    LabFault.TRICKLE: {STALLED},
    LabFault.GARBAGE: {UNDECODABLE, STALLED},
    LabFault.HTML: {UNDECODABLE},
    LabFault.CUT: {UNREACHABLE, STALLED},
    LabFault.AUDIO_STOPS: {STALLED},
}


def legs(told: list[Happening]) -> list[tuple[What, int, str]]:
    return [(each.what, each.leg, each.input) for each in told if each.what in (What.STARTED, What.LISTED, What.ENDED)]


def ending_of(told: list[Happening], leg: int) -> Ending | None:
    return next((each.ending for each in told if each.what is What.ENDED and each.leg == leg), None)


def lateness_s(s: Session, leg: int) -> float:
    """How long the player waited for the leg's first segment, beyond the length of the segment before it."""
    before_s = max(at_s for at_s, playlist in s.states if playlist.leg < leg)
    first_s, after = next((at_s, playlist) for at_s, playlist in s.states if playlist.leg == leg)
    last = next(playlist for at_s, playlist in s.states if at_s == before_s).segments[-1]
    assert after.segments
    return first_s - before_s - last.duration_s


def check_seam(s: Session, leg: int) -> None:
    """One discontinuity where the leg begins, and no segment number is given twice (the rules see to that)."""
    before = max((playlist for _, playlist in s.states if playlist.leg < leg), key=lambda each: each.last_sequence)
    after = next(playlist for _, playlist in s.states if playlist.leg == leg)
    new = after.segments[before.last_sequence + 1 - after.media_sequence :]
    assert new, "the leg has listed"
    assert [each.discontinuity for each in new] == [True] + [False] * (len(new) - 1)


@pytest.mark.parametrize("kind", ["hls_url", "ts_url"])
async def test_each_fault_of_a_source_lists_the_next_input_in_place(session: NewSession, kind: str) -> None:
    async with AsyncExitStack() as labs:
        sources = [await labs.enter_async_context(Lab(names=("a", "b"), recipe=SMALL)) for _ in FAULTS]

        async def play(fault: LabFault, source: Lab) -> tuple[LabFault, Session, list[Happening]]:
            s = session()
            inputs = [granted("a", getattr(source["a"], kind)), granted("b", source["b"].hls_url)]
            async with Agent(s.job_with_orders(inputs)) as agent:
                await s.until(segments=3)
                source["a"].fault = fault
                await s.until_leg(2, timeout_s=25.0)
                await s.watch(2.5)
                told = await eventually(lambda: listed_legs(s, 2))
                assert await agent.end() == Ending.BY_REQUEST
            await s.look()
            return fault, s, told

        faults = list(zip(FAULTS, sources, strict=True))
        done = []
        for few in (faults[:4], faults[4:8], faults[8:]):
            done += await asyncio.gather(*(play(*each) for each in few))
    for fault, s, told in done:
        print(f"{kind} {fault}: {lateness_s(s, 2):.2f} s late, {ending_of(told, 1)!r}, gap {told[-1].gap_s:+.2f} s")
        assert s.broken == [], fault
        check_seam(s, 2)
        assert legs(told) == [
            (What.STARTED, 1, "a"),
            (What.LISTED, 1, "a"),
            (What.ENDED, 1, "a"),
            (What.STARTED, 2, "b"),
            (What.LISTED, 2, "b"),
        ], fault
        assert told[0].what is What.ORDERS
        assert told[0].version == 1
        ending = ending_of(told, 1)
        allowed = FAULTS[fault]
        if kind == "ts_url" and fault in (LabFault.HTTP_403, LabFault.HTTP_404, LabFault.HTML):
            allowed = {Ending.SOURCE_ENDED}  # the lab ends an open connection
        assert ending in allowed, fault
        if fault is not LabFault.CUT:  # the source itself sends halves of frames
            assert await decoding(s) == "", fault


async def decoding(s: Session) -> str:
    """What FFmpeg complains about when it decodes what is listed. At a discontinuity it moves the new timeline by what one
    stream needs; the other's first frame may then overlap the one before it, which no player minds."""
    lines = (await s.plays()).splitlines()
    return "\n".join(line for line in lines if "non monotonically increasing dts to muxer" not in line)


async def listed_legs(s: Session, leg: int) -> list[Happening]:
    """What has been told, once it says that the leg is listed."""
    told = await s.told()
    return told if any(each.what is What.LISTED and each.leg == leg for each in told) else []


async def test_sources_in_step_neither_repeat_nor_skip_at_a_switch(session: NewSession) -> None:
    async with Lab(names=("a", "b"), recipe=SMALL) as lab:
        s = session()
        inputs = [granted("a", lab["a"].hls_url), granted("b", lab["b"].hls_url)]
        async with Agent(s.job_with_orders(inputs)) as agent:
            await s.until(segments=3)
            lab["a"].fault = LabFault.REFUSE
            await s.until_leg(2)
            told = await eventually(lambda: listed_legs(s, 2))
            assert await agent.end() == Ending.BY_REQUEST
    assert abs(told[-1].gap_s) < 0.25, "a rest of less than 0.2 s is not listed"
    assert s.broken == []
    assert await decoding(s) == ""


async def test_a_killed_ffmpeg_is_started_again_on_the_same_input_once_and_nobody_is_blamed(session: NewSession) -> None:
    async with Lab(names=("a", "b"), recipe=SMALL) as lab:
        s = session()
        inputs = [granted("a", lab["a"].hls_url), granted("b", lab["b"].hls_url)]
        async with Agent(s.job_with_orders(inputs)) as agent:
            await s.until(segments=3)
            for leg in (1, 2):
                await s.until_leg(leg)
                os.kill(agent.ffmpeg_pid(), signal.SIGKILL)
            await s.until_leg(3)
            told = await eventually(lambda: listed_legs(s, 3))
            assert await agent.end() == Ending.BY_REQUEST
    started = [(each.leg, each.input) for each in told if each.what is What.STARTED]
    assert started == [(1, "a"), (2, "a"), (3, "b")]
    assert [ending_of(told, leg) for leg in (1, 2)] == [Ending.FFMPEG_CRASHED] * 2
    assert s.broken == []
    assert await decoding(s) == ""


async def test_an_attempt_waits_while_all_sources_are_down_and_goes_on_by_itself(session: NewSession, tmp_path: Path) -> None:
    healthy = tmp_path / "healthy"
    async with Lab(names=("a", "b"), recipe=SMALL) as lab:
        s = session()
        inputs = [granted("a", lab["a"].hls_url), granted("b", lab["b"].hls_url)]
        async with Agent(s.job_with_orders(inputs), TRANSCODER_HEALTH_FILE=str(healthy)) as agent:
            await s.until(segments=3)
            lab["a"].fault = lab["b"].fault = LabFault.HTTP_404
            await eventually(lambda: "no input may be opened" in agent.said)
            touched_s = healthy.stat().st_mtime
            await eventually(lambda: healthy.stat().st_mtime > touched_s, timeout_s=15.0, what="the health file is touched")
            lab["b"].fault = None
            playlist = await eventually(lambda: listed_after(s, "b"), timeout_s=40.0)
            assert await agent.end() == Ending.BY_REQUEST
    assert playlist.leg >= 3
    told = await s.told()
    assert [each.what for each in told].count(What.WORKING) >= 1
    assert agent.process.returncode == Ending.BY_REQUEST
    assert s.broken == []
    assert await decoding(s) == ""


async def listed_after(s: Session, name: str) -> Any:
    """The playlist once the newest leg is of that input and listed."""
    playlist = await s.look()
    told = await s.told()
    listed = [each for each in told if each.what is What.LISTED]
    return playlist if listed and listed[-1].input == name and listed[-1].leg > 1 else None


async def test_what_the_session_sends_goes_on_whatever_the_next_input_sends(session: NewSession) -> None:
    other = Recipe(width=320, height=180, video="hevc", audio="mp2", channels=1)
    async with Lab(names=("a", "b"), recipe=SMALL, recipes={"b": other}) as lab:
        s = session()
        inputs = [granted("a", lab["a"].hls_url), granted("b", lab["b"].hls_url)]  # expected: what it does not send
        async with Agent(s.job_with_orders(inputs)) as agent:
            await s.until(segments=2)
            lab["a"].fault = LabFault.REFUSE
            await s.until_leg(2, timeout_s=30.0)
            await s.until(segments=5, timeout_s=30.0)
            assert await agent.end() == Ending.BY_REQUEST
    assert await s.streams() == [("aac", 2), ("h264", 0)]
    assert s.broken == []
    assert await decoding(s) == ""


async def test_no_granted_inputs_account_is_in_the_log_or_in_a_report(session: NewSession) -> None:
    async with Lab(names=("a", "b"), recipe=SMALL) as lab:
        s = session()
        secret = lab["b"].hls_url.replace("http://", "http://viewer:pa55word@") + "?token=t0psecret"
        second = granted("b", secret)
        second["source"]["headers"] = {"X-Account": "acc0unt-number"}
        inputs = [granted("a", lab["a"].hls_url), second, granted("c", lab["a"].hls_url)]
        async with Agent(s.job_with_orders(inputs)) as agent:
            await s.until(segments=2)
            lab["a"].fault = LabFault.REFUSE
            await s.until_leg(2)
            lab["b"].fault = LabFault.HTTP_403
            told = await eventually(lambda: ended_legs(s, 2))
            assert await agent.end() == Ending.BY_REQUEST
        written = agent.said + await s.log() + " ".join(each.detail for each in told)
    for word in ("viewer", "pa55word", "t0psecret", "acc0unt-number"):
        assert word not in written
    assert any("403" in each.detail for each in told)


async def ended_legs(s: Session, leg: int) -> list[Happening]:
    told = await s.told()
    return told if ending_of(told, leg) is not None else []


async def test_sources_that_fail_at_once_for_ever_cost_neither_cpu_nor_openings(session: NewSession) -> None:
    """Five sessions with four sources each: every source accepts, answers nothing useful, and closes."""
    opened: list[tuple[float, str]] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = (await reader.readuntil(b"\r\n\r\n")).split(b" ")[1].decode()
        opened.append((time.monotonic(), path))
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]

    async def play(number: int) -> float:
        s = session()
        inputs = [granted(f"{n}", f"http://127.0.0.1:{port}/{number}-{n}", f"p{n % 2}") for n in range(4)]
        async with Agent(s.job_with_orders(inputs)) as agent:
            # What the start costs is not meant.
            await eventually(lambda: sum(path.startswith(f"/{number}-") for _, path in opened) >= 4, timeout_s=20.0)
            before_s, began_s = cpu_s(agent.process.pid), time.monotonic()
            await asyncio.sleep(30.0)
            used = (cpu_s(agent.process.pid) - before_s) / (time.monotonic() - began_s)
            assert agent.process.returncode is None
            await agent.end()
        await s.told()
        return used

    async with server:
        used = await asyncio.gather(*map(play, range(5)))
    print(f"CPU of a core: {', '.join(f'{each:.1%}' for each in used)}; {len(opened)} openings")
    assert max(used) < 0.05
    for number in range(5):
        for account in ("02", "13"):
            times = [at_s for at_s, path in opened if path[1] == str(number) and path[-1] in account]
            assert len(times) >= 3
            for window_s, most in ((10.0, 4), (60.0, 12)):
                # FFmpeg takes a moment from its start to the request.
                assert max(sum(0 <= each - first < window_s - 0.5 for each in times) for first in times) <= most


def cpu_s(pid: int) -> float:
    """What a process and its children that have ended have used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


async def test_the_job_is_not_in_the_environment_of_ffmpeg(session: NewSession, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    curious = tmp_path / "ffmpeg"
    curious.write_text(f"#!/bin/sh\nenv > {seen}\nexec sleep 60\n")
    curious.chmod(0o755)
    job = session().job_with_orders([granted("a", "http://127.0.0.1:9/x")])
    async with Agent(job, TRANSCODER_FFMPEG=str(curious)) as agent:
        await eventually(lambda: seen.exists() and "PATH=" in seen.read_text() and "FFmpeg runs" in agent.said)
        assert await agent.end() == Ending.BY_REQUEST
    assert "TRANSCODER_JOB" not in seen.read_text()


async def test_by_old_orders_nothing_is_opened_any_more(session: NewSession) -> None:
    async with Lab(names=("a", "b"), recipe=SMALL) as lab:
        s = session()
        job = s.job_with_orders([granted("a", lab["a"].hls_url), granted("b", lab["b"].hls_url)])
        job["orders"]["unattended_s"] = 1.0
        async with Agent(job) as agent:
            await s.until(segments=3)
            await eventually(lambda: time.time() - agent.started_s > 1.2)
            lab["a"].fault = LabFault.REFUSE
            assert await agent.wait() == Ending.BY_REQUEST
    assert ending_of(await s.told(), 1) is UNREACHABLE
    assert lab["b"].requests == 0


async def test_an_attempt_that_waits_for_an_input_ends_by_request_and_is_fenced(session: NewSession) -> None:
    async with Lab(names=("a", "b"), recipe=SMALL) as lab:
        s = session()
        job = s.job_with_orders([granted("a", lab["a"].hls_url)])
        async with Agent(job) as agent:
            await s.until(segments=3)
            lab["a"].fault = LabFault.HTTP_404
            await eventually(lambda: "no input may be opened" in agent.said)
            assert await agent.end() == Ending.BY_REQUEST
        lab["a"].fault = None
        async with Agent(s.job_with_orders([granted("a", lab["a"].hls_url)], attempt=2)) as second:
            await s.until(segments=2, attempt=2)
            lab["a"].fault = LabFault.HTTP_404
            await eventually(lambda: "no input may be opened" in second.said)
            async with Agent(s.job(lab["b"].hls_url, attempt=3)) as third:
                await s.until(segments=2, attempt=3)
                lab["a"].fault = None
                assert await second.wait(20.0) == Ending.FENCED
                assert await third.end() == Ending.BY_REQUEST
    assert s.broken == []


async def test_inputs_that_do_not_work_when_they_are_opened_are_passed_over(session: NewSession) -> None:
    names = ("a", "page", "mute", "good")
    async with Lab(names=names, recipe=SMALL) as lab:
        s = session()
        async with Agent(s.job_with_orders([granted(name, lab[name].hls_url) for name in names])) as agent:
            await s.until(segments=3)
            lab["page"].fault, lab["mute"].fault = LabFault.HTML, LabFault.AUDIO_STOPS
            lab["a"].fault = LabFault.REFUSE
            await s.until_leg(4, timeout_s=30.0)
            told = await eventually(lambda: listed_legs(s, 4))
            assert await agent.end() == Ending.BY_REQUEST
    assert [each.input for each in told if each.what is What.STARTED] == list(names)
    assert [ending_of(told, leg) for leg in (1, 2, 3)] == [UNREACHABLE, UNDECODABLE, STALLED]
    assert "announced sound does not come" in next(each.detail for each in told if each.what is What.ENDED and each.leg == 3)
    assert [each.leg for each in told if each.what is What.LISTED] == [1, 4]
    assert s.broken == []
    assert await decoding(s) == ""


async def test_a_store_that_takes_no_reports_delays_no_segment_and_gets_all_of_them_later(
    session: NewSession, seaweed: Seaweed
) -> None:
    async with Lab(names=("a", "b"), recipe=SMALL) as lab, Gate(seaweed.endpoint.removeprefix("http://")) as gate:
        s = session()
        job = s.job_with_orders([granted("a", lab["a"].hls_url), granted("b", lab["b"].hls_url)])
        job["store"]["reports"]["url"] = job["store"]["reports"]["url"].replace(seaweed.endpoint, f"http://{gate.address}")
        await gate.set(GateState.DUMB)
        async with Agent(job) as agent:
            await s.until(segments=3)
            lab["a"].fault = LabFault.REFUSE
            await s.until_leg(2)
            await s.until(segments=6)
            assert await s.told() == [], "nothing has come through"
            await gate.set(GateState.OPEN)
            told = await eventually(lambda: listed_legs(s, 2), timeout_s=15.0)
            assert await agent.end() == Ending.BY_REQUEST
    assert legs(told) == [
        (What.STARTED, 1, "a"),
        (What.LISTED, 1, "a"),
        (What.ENDED, 1, "a"),
        (What.STARTED, 2, "b"),
        (What.LISTED, 2, "b"),
    ]
    assert told[0].age_s > 4.0, "ages count from when it happened"
    assert s.broken == []
