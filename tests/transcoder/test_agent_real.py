"""The agent as it runs: a process, FFmpeg, a real store with signed addresses, live sources with real faults."""

from __future__ import annotations

import asyncio
import os
import signal
import time
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import pytest

from lab import Lab, LabFault, Recipe, default_ffmpeg, rtmp_source
from lab.gate import Gate, GateState
from orchestrator.adapters.s3.object_store import MinioObjectStore
from tests.servers import Seaweed
from tests.support import eventually
from tests.transcoder.rig import FFMPEG, Agent, Session, alive, store_settings
from transcoder.ending import Ending
from transcoder.publish.multivariant_playlist import Sending

pytestmark = pytest.mark.alone

NewSession = Callable[[], Session]
SMALL = Recipe(width=320, height=180, bitrate_bps=200_000)


@pytest.fixture
async def store(seaweed: Seaweed) -> AsyncIterator[MinioObjectStore]:
    store = MinioObjectStore(store_settings(seaweed))
    await store.prepare()
    yield store
    await store.close()


@pytest.fixture
def session(seaweed: Seaweed, store: MinioObjectStore) -> NewSession:
    return lambda: Session(store, seaweed)


@pytest.fixture
async def lab() -> AsyncIterator[Lab]:
    async with Lab(names=("a", "b")) as lab:
        yield lab


def headers_of(url: str) -> tuple[str | None, str | None]:
    with urllib.request.urlopen(url, timeout=5) as response:
        return response.headers["Content-Type"], response.headers["Cache-Control"]


async def test_the_log_of_an_attempt_that_runs_is_there_seconds_later(session: NewSession, lab: Lab) -> None:
    s = session()
    async with Agent(s.job(lab["a"].hls_url)) as agent:
        await s.until(segments=2)
        assert "first media" in await eventually(lambda: s.log())
        assert "ended" not in await s.log()
        assert await agent.end() == Ending.BY_REQUEST
    assert "segments listed" in await s.log()


async def test_a_session_starts_goes_on_and_ends_by_request(session: NewSession, lab: Lab, tmp_path: Path) -> None:
    s = session()
    healthy = tmp_path / "healthy"
    url = lab["a"].hls_url.replace("http://", "http://user:s3cret@") + "?token=s3cret"
    async with Agent(s.job(url), TRANSCODER_HEALTH_FILE=str(healthy)) as agent:
        await s.until(segments=2)
        took_s = time.time() - agent.started_s
        assert await s.index() == (await s.index())._replace(sending=Sending("h264", "aac", 2))
        await s.until(segments=5)
        ffmpeg = agent.ffmpeg_pid()
        asked_s = time.monotonic()
        assert await agent.end() == Ending.BY_REQUEST
        assert time.monotonic() - asked_s < 1.5
    await s.look()
    assert took_s < 3.0, "0.25 s on a machine that does nothing else"
    assert s.broken == []
    assert not alive(ffmpeg)
    assert healthy.exists()
    log = await s.log()
    assert "asked to end" in log
    assert "s3cret" not in log + agent.said
    assert all(segment.duration_s == pytest.approx(2.0) for segment in s.of(1)[:-1])
    assert s.playlist.target_duration_s == 4
    playlist_headers = await asyncio.to_thread(headers_of, s.url)
    segment_headers = await asyncio.to_thread(headers_of, urljoin(s.url, s.of(1)[0].uri))
    assert playlist_headers == ("application/vnd.apple.mpegurl", "public, max-age=1")
    assert segment_headers == ("video/mp2t", "public, max-age=31536000, immutable")
    assert await s.plays() == ""


async def test_a_killed_agent_leaves_nothing_and_the_next_attempt_goes_on(session: NewSession, lab: Lab) -> None:
    s = session()
    async with Agent(s.job(lab["a"].hls_url)) as first:
        await s.until(segments=3)
        ffmpeg = first.ffmpeg_pid()
        first.process.kill()
        await first.wait()
        await eventually(lambda: not alive(ffmpeg), what="FFmpeg's end")
    last = s.of(1)[-1]
    async with Agent(s.job(lab["b"].hls_url, attempt=2)) as second:
        await s.until(segments=2, attempt=2)
        assert await second.end() == Ending.BY_REQUEST
    assert s.broken == []
    last_of_first_s = max(at_s for at_s, playlist in s.states if playlist.last_attempt == 1)
    first_of_second_s = min(at_s for at_s, playlist in s.states if playlist.last_attempt == 2)
    assert first_of_second_s < last_of_first_s + last.duration_s + 1.5, "in time, or as good as on a busy machine"
    new = s.of(2)
    assert [segment.discontinuity for segment in new[:2]] == [True, False]
    # Sources in step: at most one segment is repeated or skipped.
    assert abs(new[0].program_date_time - last.end_s) <= 2.1
    assert await s.plays() == ""


async def test_the_multivariant_playlist_says_what_is_sent_also_after_a_swap(session: NewSession, lab: Lab) -> None:
    """Against ffprobe, of the segments that are listed; `lab` sends 640x360 in a higher profile level than SMALL."""
    s = session()
    async with Lab(names=("a",), recipe=SMALL) as small:
        async with Agent(s.job(small["a"].hls_url)) as first:
            await s.until(segments=3)
            before = (await s.index()).variants[0]
            assert await first.end() == Ending.BY_REQUEST
        await s.look()
        assert s.playlist.independent, "each of this source's segments begins with a keyframe, and so do ours"
        assert (before.codecs, before.resolution, before.frame_rate) == (await s.codecs(s.of(1)[-1]), "320x180", 25.0)
        async with Agent(s.job(lab["a"].hls_url, attempt=2)) as second:
            await s.until(segments=2, attempt=2)

            async def corrected() -> bool:
                return (await s.index()).attempt == 2

            await eventually(corrected)
            after = (await s.index()).variants[0]
            assert await second.end() == Ending.BY_REQUEST
    assert (after.codecs, after.resolution, after.frame_rate) == (await s.codecs(s.of(2)[-1]), "640x360", 25.0)
    assert after.codecs != before.codecs
    assert after.bandwidth > before.bandwidth
    assert (await s.index()).sending == Sending("h264", "aac", 2)
    await s.look()
    # What is cut because the player waits for it need not begin with one.
    assert s.playlist.independent is all([await s.begins_with_keyframe(segment) for segment in s.playlist.segments])


async def test_a_paused_attempt_that_was_replaced_lists_nothing_and_is_fenced(session: NewSession, lab: Lab) -> None:
    s = session()
    async with Agent(s.job(lab["a"].hls_url)) as zombie:
        await s.until(segments=2)
        zombie.signal(signal.SIGSTOP)
        async with Agent(s.job(lab["b"].hls_url, attempt=2)) as second:
            await s.until(segments=2, attempt=2)
            listed = {segment.uri for segment in s.of(1)}
            zombie.signal(signal.SIGCONT)
            assert await zombie.wait() == Ending.FENCED
            await s.until(segments=3, attempt=2)
            assert await second.end() == Ending.BY_REQUEST
    assert {segment.uri for segment in s.of(1)} <= listed
    assert s.broken == []
    assert "attempt 2 has taken over" in await s.log(1)


async def test_an_attempt_is_replaced_while_it_runs(session: NewSession, lab: Lab) -> None:
    """A planned swap: the new attempt starts beside the old one, which finds out by itself."""
    s = session()
    async with Agent(s.job(lab["a"].hls_url)) as old:
        await s.until(segments=3)
        async with Agent(s.job(lab["b"].hls_url, attempt=2)) as new:
            assert await old.wait() == Ending.FENCED
            await s.until(segments=2, attempt=2)
            assert await new.end() == Ending.BY_REQUEST
    assert s.broken == []
    assert await s.plays() == ""


TRICKLED = Recipe(width=320, height=180, bitrate_bps=800_000)  # much more than the 16 kB/s that a trickle lets through
MID_PLAY = {
    LabFault.REFUSE: {Ending.SOURCE_UNREACHABLE},
    LabFault.RESET: {Ending.SOURCE_UNREACHABLE},
    LabFault.HTTP_403: {Ending.SOURCE_REFUSED},
    LabFault.HTTP_404: {Ending.SOURCE_REFUSED},
    LabFault.HTTP_500: {Ending.SOURCE_UNREACHABLE},
    LabFault.HTML: {Ending.SOURCE_UNDECODABLE},
    LabFault.EMPTY_PLAYLIST: {Ending.SOURCE_UNDECODABLE, Ending.SOURCE_STALLED},
    LabFault.FROZEN: {Ending.SOURCE_STALLED},
    LabFault.HANG: {Ending.SOURCE_STALLED},
    LabFault.TRICKLE: {Ending.SOURCE_STALLED},
    LabFault.END: {Ending.SOURCE_ENDED},
    LabFault.GARBAGE: {Ending.SOURCE_UNDECODABLE, Ending.SOURCE_STALLED},
    LabFault.CUT: {Ending.SOURCE_UNREACHABLE, Ending.SOURCE_STALLED},
}


async def test_each_way_to_fail_while_playing_has_its_ending(session: NewSession) -> None:
    async with AsyncExitStack() as labs:
        sources = [await labs.enter_async_context(Lab(names=("a",), recipe=TRICKLED)) for _ in MID_PLAY]

        async def play(fault: LabFault, source: Lab) -> tuple[LabFault, int, Session]:
            s = session()
            async with Agent(s.job(source["a"].hls_url)) as agent:
                await s.until(segments=3)
                source["a"].fault = fault
                code = await agent.wait(20.0)
            await s.look()
            return fault, code, s

        ended = await asyncio.gather(*map(play, MID_PLAY, sources))
    assert {fault: code for fault, code, _ in ended if code not in MID_PLAY[fault]} == {}
    for fault, code, s in ended:
        assert s.broken == [], fault
        assert f"({code})" in await s.log(), "the log says why"


AT_START = {
    LabFault.REFUSE: {Ending.SOURCE_UNREACHABLE},
    LabFault.RESET: {Ending.SOURCE_UNREACHABLE},
    LabFault.HTTP_403: {Ending.SOURCE_REFUSED},
    LabFault.HTTP_500: {Ending.SOURCE_UNREACHABLE},
    LabFault.HTML: {Ending.SOURCE_UNDECODABLE},
    LabFault.EMPTY_PLAYLIST: {Ending.SOURCE_UNDECODABLE, Ending.SOURCE_STALLED},
    LabFault.HANG: {Ending.SOURCE_STALLED},
    LabFault.GARBAGE: {Ending.SOURCE_UNDECODABLE, Ending.SOURCE_STALLED},
}


@pytest.mark.parametrize("kind", ["hls_url", "ts_url"])
async def test_each_way_not_to_start_has_its_ending(session: NewSession, kind: str) -> None:
    names = {fault: fault.value.replace("_", "-") for fault in AT_START}
    async with Lab(names=tuple(names.values()), recipe=SMALL) as lab:

        async def start(fault: LabFault) -> tuple[LabFault, int, Session]:
            s = session()
            lab[names[fault]].fault = fault
            async with Agent(s.job(getattr(lab[names[fault]], kind), start_limit_s=2.0)) as agent:
                return fault, await agent.wait(10.0), s

        ended = await asyncio.gather(*map(start, AT_START))
    assert {fault: code for fault, code, _ in ended if code not in AT_START[fault]} == {}
    for _, code, s in ended:
        assert await s.look() is None, "nothing is listed"
        assert f"({code})" in await s.log()


async def test_what_needs_no_swap_is_survived_in_place(session: NewSession) -> None:
    faults: dict[str, tuple[LabFault, float | None]] = {
        "late": (LabFault.LATE, 1.0),
        "once": (LabFault.SEGMENT_FAILS_ONCE, None),
        "hour": (LabFault.TIMESTAMP_JUMP, 3600.0),
        "hole": (LabFault.TIMESTAMP_JUMP, 5.0),
        "back": (LabFault.TIMESTAMP_JUMP, -20.0),
    }
    async with Lab(names=tuple(faults), recipe=SMALL) as lab:

        async def play(name: str) -> tuple[str, Session]:
            s = session()
            async with Agent(s.job(lab[name].hls_url)) as agent:
                await s.until(segments=2)
                lab[name].inject(*faults[name])
                await s.until(segments=5)
                lab[name].fault = None
                await s.until(segments=7)
                assert await agent.end() == Ending.BY_REQUEST
            return name, s

        for name, s in await asyncio.gather(*map(play, faults)):
            assert s.broken == [], name
            assert await s.plays() == "", name
            if name in ("late", "once"):
                assert not any(segment.discontinuity for segment in s.of(1)), name


async def test_a_store_that_refuses_or_hangs_for_a_while_costs_nothing(seaweed: Seaweed, session: NewSession, lab: Lab) -> None:
    async with Gate(seaweed.endpoint.removeprefix("http://")) as gate:
        behind = MinioObjectStore(store_settings(seaweed, f"http://{gate.address}"))
        try:
            s = Session(behind, seaweed)
            async with Agent(s.job(lab["a"].hls_url)) as agent:
                await s.until(segments=2)
                for state in (GateState.SHUT, GateState.DUMB):
                    await gate.set(state)
                    await s.watch(4.0)
                    listed = len(s.of(1))
                    await gate.set(GateState.OPEN)
                    await s.until(segments=listed + 2)
                assert await agent.end() == Ending.BY_REQUEST
            assert s.broken == []
            assert not any(segment.discontinuity for segment in s.of(1))
            assert "store works again" in await s.log()
            assert await s.plays() == ""
        finally:
            await behind.close()


async def test_a_store_that_stays_away_is_the_stores_fault(session: NewSession, lab: Lab) -> None:
    async with Gate("127.0.0.1:1") as gate:
        s = session()
        job = s.job(lab["a"].hls_url, store_limit_s=1.0)
        for address in (job["store"]["playlists"]["main"], job["store"]["playlists"]["index"], job["store"]["log"]):
            for name in address:
                address[name] = f"http://{gate.address}/nothing"
        async with Agent(job) as agent:
            assert await agent.wait() == Ending.STORE_UNREACHABLE


async def test_an_ended_playlist_fences(session: NewSession, lab: Lab) -> None:
    s = session()
    async with Agent(s.job(lab["a"].hls_url)) as agent:
        await s.until(segments=2)
        await s.store.finish_playlist(s.id)
        assert await agent.wait() == Ending.FENCED
    async with Agent(s.job(lab["a"].hls_url, attempt=2)) as agent:
        assert await agent.wait() == Ending.FENCED
    await s.look()
    assert s.playlist.ended
    assert s.of(2) == ()


async def test_a_killed_ffmpeg_is_a_crash_and_what_it_sent_is_listed(session: NewSession, lab: Lab) -> None:
    s = session()
    async with Agent(s.job(lab["a"].hls_url)) as agent:
        await s.until(segments=2)
        listed = len(s.of(1))
        os.kill(agent.ffmpeg_pid(), signal.SIGKILL)
        assert await agent.wait() == Ending.FFMPEG_CRASHED
    await s.look()
    assert len(s.of(1)) == listed + 1
    assert s.broken == []


@pytest.mark.parametrize(
    ("changes", "environment", "code"),
    [
        ({"profile": "best"}, {}, Ending.BAD_JOB),
        ({"source": {"url": "file:///etc/passwd", "user_agent": None, "headers": {}}}, {}, Ending.BAD_JOB),
        ({"expected": {"video": None, "audio": None, "channels": 0}}, {}, Ending.BAD_JOB),
        ({}, {"TRANSCODER_FFMPEG": "/no/such/ffmpeg"}, Ending.FFMPEG_CRASHED),
        # The static FFmpeg speaks no SRT: the next source, not another try.
        ({"source": {"url": "srt://127.0.0.1:1", "user_agent": None, "headers": {}}}, {}, Ending.SOURCE_UNDECODABLE),
    ],
)
async def test_what_cannot_even_start(
    session: NewSession, changes: dict[str, Any], environment: dict[str, str], code: int
) -> None:
    job = session().job("http://127.0.0.1:9/x") | changes
    async with Agent(job, **environment) as agent:
        assert await agent.wait() == code
    assert "Traceback" not in agent.said


STREAMS: dict[str, tuple[Recipe, Sending | None, dict[str, Any], list[tuple[str, int]]]] = {
    "mp2": (Recipe(width=320, height=180, audio="mp2"), None, {}, [("aac", 2), ("h264", 0)]),
    "ac3": (Recipe(width=320, height=180, audio="ac3", channels=6), None, {}, [("aac", 2), ("h264", 0)]),
    "mono": (Recipe(width=320, height=180, channels=1), None, {}, [("aac", 1), ("h264", 0)]),
    "silent": (Recipe(width=320, height=180, audio=None), None, {}, [("h264", 0)]),
    "hevc": (Recipe(width=320, height=180, video="hevc"), None, {}, [("aac", 2), ("hevc", 0)]),
    "h264": (SMALL, None, {"profile": "h264"}, [("aac", 2), ("h264", 0)]),
    "hevc-to-h264": (Recipe(width=320, height=180, video="hevc"), None, {"hevc": "h264"}, [("aac", 2), ("h264", 0)]),
    # and what follows a session that has been sending something else
    "mono-after": (Recipe(width=320, height=180, channels=1), Sending("h264", "aac", 2), {}, [("aac", 2), ("h264", 0)]),
    "mp2-after": (Recipe(width=320, height=180, audio="mp2"), Sending("h264", "aac", 1), {}, [("aac", 1), ("h264", 0)]),
    "silent-after": (Recipe(width=320, height=180, audio=None), Sending("h264", "aac", 2), {}, [("aac", 2), ("h264", 0)]),
    "sound-after": (SMALL, Sending("h264", None, 0), {}, [("h264", 0)]),
    "hevc-after": (Recipe(width=320, height=180, video="hevc"), Sending("h264", "aac", 2), {}, [("aac", 2), ("h264", 0)]),
}


@pytest.mark.parametrize("known", [False, True], ids=["never probed", "probed"])
async def test_what_players_get_is_what_they_can_take_and_have_been_given(session: NewSession, known: bool) -> None:
    """Each source alone, and after a session that has been sending something else; by a wrong guess or a right one."""
    async with AsyncExitStack() as labs:
        sources = {
            name: await labs.enter_async_context(Lab(names=("a",), recipe=recipe)) for name, (recipe, *_) in STREAMS.items()
        }

        async def play(name: str) -> tuple[str, Session]:
            recipe, sending, changes, _ = STREAMS[name]
            s = session()
            if sending:
                await s.has_been_sending(sending)
            probed = {"video": recipe.video, "audio": recipe.audio, "channels": recipe.channels if recipe.audio else 0}
            async with Agent(s.job(sources[name]["a"].hls_url, expected=probed if known else None, **changes)) as agent:
                await s.until(segments=3, timeout_s=30.0)
                assert await agent.end() == Ending.BY_REQUEST
            return name, s

        for group in (("mp2", "ac3", "mono", "silent"), ("hevc", "h264", "hevc-to-h264"), tuple(STREAMS)[7:]):
            for name, s in await asyncio.gather(*map(play, group)):
                assert await s.streams() == STREAMS[name][3], name
                assert s.broken == [], name
                assert await s.plays() == "", name
                sending = (await s.index()).sending
                assert sending is not None, name
                assert sending == (STREAMS[name][1] or sending), name
                in_order = [(codec, n) for codec, n in ((sending.audio, sending.channels), (sending.video, 0)) if codec]
                assert sorted(in_order) == STREAMS[name][3], name


async def test_every_kind_of_input_plays(session: NewSession) -> None:
    async with (
        Lab(names=("a",), recipe=SMALL) as lab,
        rtmp_source(lab["a"].loop, default_ffmpeg()) as rtmp_url,
    ):
        source = lab["a"]
        urls = {
            "multivariant": source.multivariant_url,
            "MPEG-TS": source.ts_url,
            "RTMP": rtmp_url,
            "VOD": source.vod_url,
            "file": source.mp4_url,
        }

        async def play(kind: str) -> tuple[str, Session, float]:
            s = session()
            async with Agent(s.job(urls[kind], expected=None)) as agent:
                await s.until(segments=1)
                first_s = s.states[0][0]
                await s.until(segments=5)
                took_s = time.time() - first_s
                assert await agent.end() == Ending.BY_REQUEST
            return kind, s, took_s

        for kind, s, took_s in await asyncio.gather(*map(play, urls)):
            assert s.broken == [], kind
            assert await s.plays() == "", kind
            # What a session begins with, and then as much as time has passed; up to a segment waits to be closed.
            assert s.playlist.duration_s <= 3 * 2.0 + took_s + 2.0, f"{kind} comes in real time"
            assert all(segment.duration_s <= 4.5 for segment in s.of(1)), kind


async def test_an_end_of_the_source_is_listed_to_the_end(session: NewSession) -> None:
    async with Lab(names=("a",), recipe=SMALL) as lab:
        s = session()
        async with Agent(s.job(lab["a"].hls_url)) as agent:
            await s.until(segments=2)
            lab["a"].fault = LabFault.END
            assert await agent.wait() == Ending.SOURCE_ENDED
        await s.look()
        assert s.broken == []
        assert s.playlist.duration_s == pytest.approx(round(s.playlist.duration_s / 2.0) * 2.0, abs=0.02), "whole segments"


async def test_groups_of_pictures_that_are_longer_than_the_sessions_segments_are_cut_inside(session: NewSession) -> None:
    long = Recipe(width=320, height=180, segment_s=12.0, gop_s=12.0)
    async with Lab(names=("a", "b"), recipe=SMALL, recipes={"b": long}) as lab:
        s = session()
        async with Agent(s.job(lab["a"].hls_url)) as agent:
            await s.until(segments=1)
            assert await agent.end() == Ending.BY_REQUEST
        async with Agent(s.job(lab["b"].ts_url, attempt=2, window_s=60.0)) as agent:
            await s.until(segments=3, attempt=2, timeout_s=40)
            assert await agent.end() == Ending.BY_REQUEST
        assert s.broken == []
        assert s.playlist.target_duration_s == 4
        assert max(segment.duration_s for segment in s.of(2)) < 4.5
        assert await s.plays() == ""


async def test_requests_carry_what_the_source_wants(session: NewSession, lab: Lab) -> None:
    s = session()
    source = {"url": lab["a"].hls_url, "user_agent": "TV/1", "headers": {"Referer": "http://portal/", "X-Key": "a b"}}
    async with Agent(s.job("", source=source)) as agent:
        await s.until(segments=1)
        request = lab["a"].last_request
        assert await agent.end() == Ending.BY_REQUEST
    assert request is not None
    sent = {name.lower(): value for name, value in request.headers.items()}
    assert (sent["user-agent"], sent["referer"], sent["x-key"]) == ("TV/1", "http://portal/", "a b")


async def test_one_failed_reload_is_survived_by_a_second_chance(session: NewSession, lab: Lab, tmp_path: Path) -> None:
    # FFmpeg's second start takes so long that the source is well again by then.
    slow, shortened = tmp_path / "ffmpeg", tmp_path / "agent.py"
    slow.write_text(f'#!/bin/sh\n[ -e {tmp_path}/started ] && sleep 0.4\ntouch {tmp_path}/started\nexec {FFMPEG} "$@"\n')
    slow.chmod(0o755)
    shortened.write_text(
        "import runpy, transcoder.source.watchdog\n"
        "transcoder.source.watchdog._SECOND_CHANCE_AFTER_S = 2.0\n"
        "runpy.run_module('transcoder', run_name='__main__')\n"
    )
    s = session()
    async with Agent(s.job(lab["a"].hls_url), str(shortened), TRANSCODER_FFMPEG=str(slow)) as agent:
        await s.until(segments=3)
        lab["a"].fault = LabFault.HTTP_404
        await eventually(lambda: "once more in place" in agent.said, every_s=0.01)
        lab["a"].fault = None
        await s.until(segments=6)
        assert await agent.end() == Ending.BY_REQUEST
    assert s.broken == []
    assert [segment.discontinuity for segment in s.of(1)].count(True) == 1
    assert await s.plays() == ""


# --- the slate --------------------------------------------------------------------------------------------------------

SLATE = {"slate": {"title": "News 24"}}


async def test_a_slate_goes_on_after_a_source_and_gives_way_to_the_next(session: NewSession, lab: Lab) -> None:
    s = session()
    async with Agent(s.job(lab["a"].hls_url)) as first:
        await s.until(segments=3)
        first.process.kill()
        await first.wait()
    last = s.of(1)[-1]
    async with Agent(s.job("", attempt=2, source=SLATE, expected=None)) as slate:
        await s.until(segments=1, attempt=2)
        took_s = time.time() - slate.started_s
        await s.until(segments=4, attempt=2)
        async with Agent(s.job(lab["b"].hls_url, attempt=3)) as second:
            shown = await s.until(segments=2, attempt=3)
            assert await slate.wait() == Ending.FENCED
            await s.until(segments=3, attempt=3)
            assert await second.end() == Ending.BY_REQUEST
    print(f"slate: first segment after {took_s:.2f} s")
    assert took_s < 3.0, "0.5 s on a machine that does nothing else"
    assert s.broken == []
    of_slate = [each for _, playlist in s.states for each in playlist.segments if "/2/main/" in each.uri]
    assert of_slate[0].discontinuity
    assert of_slate[0].program_date_time - last.end_s < 4.0, "the programme clock goes on"
    assert shown[0].discontinuity
    for seen_s, playlist in s.states:
        assert playlist.end_s is not None
        # The slate joins up to half a segment early, the source after it up to a segment more.
        ahead_s = {1: 0.3, 2: 1.1, 3: 3.2}[playlist.last_attempt]
        assert playlist.end_s < seen_s + ahead_s, "ahead of the clock by more than what joins two attempts"
    assert await s.plays() == ""


@pytest.mark.parametrize(
    ("sending", "streams"),
    [
        (Sending("hevc", "aac", 1), [("aac", 1), ("hevc", 0)]),
        (Sending("h264", "aac", 6), [("aac", 6), ("h264", 0)]),
        (Sending("h264", None, 0), [("h264", 0)]),
        (Sending(None, "aac", 2), [("aac", 2)]),
    ],
)
async def test_a_slate_sends_what_the_session_has_been_sending(
    session: NewSession, sending: Sending, streams: list[tuple[str, int]]
) -> None:
    s = session()
    await s.has_been_sending(sending)
    async with Agent(s.job("", source={"slate": {"title": ""}}, expected=None)) as slate:
        found = await s.until(segments=4)
        assert await slate.end() == Ending.BY_REQUEST
    assert s.broken == []
    assert [segment.duration_s for segment in found[2:4]] == pytest.approx([2.0, 2.0], abs=0.12), "after a short one"
    assert await s.streams() == streams
    assert await s.plays() == ""


async def test_a_slate_whose_ffmpeg_does_not_know_the_burst_starts_all_the_same(session: NewSession, tmp_path: Path) -> None:
    """Older ones do not."""
    older = tmp_path / "ffmpeg"
    older.write_text(
        '#!/bin/sh\ncase "$*" in *readrate_initial_burst*) echo "[error] Unrecognized option '
        f'\'readrate_initial_burst\'." >&2; exit 1;; esac\nexec {FFMPEG} "$@"\n'
    )
    older.chmod(0o755)
    s = session()
    async with Agent(s.job("", source=SLATE, expected=None), TRANSCODER_FFMPEG=str(older)) as slate:
        first, *_ = await s.until(segments=2)
        assert await slate.end() == Ending.BY_REQUEST
    assert first.duration_s == pytest.approx(1.0, abs=0.15), "the first one is cut short"
    assert await s.plays() == ""
