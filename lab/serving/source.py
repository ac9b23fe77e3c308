"""One live source: its playlists and media at each moment, and its fault. No sockets here.

Segment k of every source holds the programme from k * segment_s to (k + 1) * segment_s, in seconds of Unix time, and is
available from the end of that interval on. Sources are in step because they use the same clock, also after a restart. With a
recipe that has a pattern, a playlist's segment consists of several of these.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from lab.media.loop import Loop
from lab.media.mpegts import TICKS_PER_S
from lab.media.program_map import audio_in_place_of_video, without_announced_audio, without_audio

WINDOW_SEGMENTS = 6
_KEPT_SEGMENTS = 12  # so many can still be fetched after they have left the window (RFC 8216, 6.2.2)


class LabFault(StrEnum):
    """The faults that a source can have. They apply to playlists, segments and the endless .ts, also on open connections."""

    REFUSE = "refuse"  # open connections are reset and new ones refused, as after a crash of the server
    RESET = "reset"  # the port accepts; each connection is reset after its request
    HANG = "hang"  # the port accepts, nothing is answered, and answers under way stop
    HTTP_403 = "http_403"
    HTTP_404 = "http_404"
    HTTP_500 = "http_500"
    HTML = "html"  # 200, with a page
    EMPTY_PLAYLIST = "empty_playlist"  # 200, a media playlist without segments; the .ts ends at once
    FROZEN = "frozen"  # the playlist stops advancing; the .ts sends nothing more and stays open
    LATE = "late"  # everything is `amount` seconds later than before
    TRICKLE = "trickle"  # `amount` bytes a second on each connection
    END = "end"  # the playlist gets ENDLIST; the .ts ends
    GARBAGE = "garbage"  # media are random bytes; playlists are unchanged
    CUT = "cut"  # media are reset half-way; playlists are unchanged
    SEGMENT_FAILS_ONCE = "segment_fails_once"  # the next requested segment answers 500, then the fault is gone
    AUDIO_STOPS = "audio_stops"  # no audio is sent any more although it is announced; video goes on
    AUDIO_LEAVES = "audio_leaves"  # the same, and it is no longer announced
    AUDIO_FOR_VIDEO = "audio_for_video"  # video ends, and audio is sent on its PID from now on
    TIMESTAMP_JUMP = "timestamp_jump"  # timestamps are `amount` seconds later, from the next segment until the fault is gone


_DEFAULT_AMOUNT = {LabFault.LATE: 1.5, LabFault.TRICKLE: 16_000.0, LabFault.TIMESTAMP_JUMP: 3600.0}

_REMADE = {
    LabFault.AUDIO_STOPS: without_audio,
    LabFault.AUDIO_LEAVES: without_announced_audio,
    LabFault.AUDIO_FOR_VIDEO: audio_in_place_of_video,
}


class Addresses:
    """A source's addresses."""

    name: str
    base_url: str

    @property
    def hls_url(self) -> str:
        """The live media playlist."""
        return f"{self.base_url}/{self.name}/media.m3u8"

    @property
    def multivariant_url(self) -> str:
        """The live multivariant playlist, of one variant."""
        return f"{self.base_url}/{self.name}/index.m3u8"

    @property
    def ts_url(self) -> str:
        """The endless MPEG-TS, in real time, from a keyframe on."""
        return f"{self.base_url}/{self.name}.ts"

    @property
    def vod_url(self) -> str:
        """One round of the loop as a media playlist with ENDLIST."""
        return f"{self.base_url}/{self.name}/vod.m3u8"

    @property
    def mp4_url(self) -> str:
        """One round of the loop as a file."""
        return f"{self.base_url}/{self.name}.mp4"


@dataclass(frozen=True)
class Request:
    """What a client asked for; header names in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes = b""


class LabSource(Addresses):
    """A live source, its fault, and the requests it has received. Use it in its lab's event loop only."""

    def __init__(self, name: str, loop: Loop, *, later_s: float = 0.0, clock: Callable[[], float] = time.time) -> None:
        self.name = name
        self.base_url = ""
        self.loop = loop
        self._clock = clock
        self.requests = 0
        self.last_request: Request | None = None
        self.on_fault: Callable[[], None] = lambda: None
        self._fault: LabFault | None = None
        self._amount = 0.0
        self._shown_s = 0.0
        # timestamps are later by the second from the first (a segment number) on
        self._jumps: list[tuple[int, float]] = [(0, later_s)]

    @property
    def segment_s(self) -> float:
        """A segment's length."""
        return self.loop.recipe.segment_s

    @property
    def fault(self) -> LabFault | None:
        """The present fault; None: none. Setting it takes effect at once."""
        return self._fault

    @fault.setter
    def fault(self, fault: LabFault | None) -> None:
        self.inject(fault)

    @property
    def amount(self) -> float:
        """The fault's number, as `Fault` explains it."""
        return self._amount

    def inject(self, fault: LabFault | str | None, amount: float | None = None) -> None:
        """Set the fault and its number. Raises ValueError where there is no such fault or the number is out of its range."""
        fault = None if fault is None else LabFault(fault)
        default = _DEFAULT_AMOUNT.get(fault, 0.0) if fault else 0.0
        amount = default if amount is None else float(amount)
        if fault is LabFault.TRICKLE and amount <= 0:
            raise ValueError(f"a trickle is some bytes a second, not {amount}")
        if not math.isfinite(amount) or (fault is LabFault.LATE and amount < 0):
            raise ValueError(f"{fault} by {amount} s is no time")
        self.clock_s()  # what was shown until now stays shown
        if LabFault.TIMESTAMP_JUMP in (fault, self._fault):
            jump_s = self._jumps[0][1] + (amount if fault is LabFault.TIMESTAMP_JUMP else 0.0)
            self._jumps.append((self.loop.recipe.begins(self.newest() + 1), jump_s))
        self._fault, self._amount = fault, amount
        self.on_fault()

    def clock_s(self) -> float:
        """The programme time (Unix seconds) up to which the source's media are available. It never decreases."""
        match self._fault:
            case LabFault.FROZEN | LabFault.END | LabFault.HANG:
                shown_s = self._shown_s
            case LabFault.LATE:
                shown_s = self._clock() - self._amount
            case _:
                shown_s = self._clock()
        self._shown_s = max(self._shown_s, shown_s)
        return self._shown_s

    def newest(self) -> int:
        """The number of the newest segment that can be fetched."""
        return self.loop.recipe.complete(int(self.clock_s() // self.segment_s)) - 1

    def playlist(self, name: str) -> str | None:
        """A playlist by its file name: live media, live multivariant, VOD; None for any other name."""
        match name:
            case "media.m3u8":
                return self._live_playlist()
            case "index.m3u8":
                return self._multivariant_playlist()
            case "vod.m3u8":
                first = len(self.loop.segments)  # not round 0: its first timestamps would be below 0
                return self._media_playlist(first, first, vod=True, ended=True)
        return None

    def _live_playlist(self) -> str:
        newest = self.newest()
        if self._fault is LabFault.EMPTY_PLAYLIST:
            return self._media_playlist(newest + 1, 0)
        ended = self._fault is LabFault.END
        return self._media_playlist(newest - WINDOW_SEGMENTS + 1, WINDOW_SEGMENTS, ended=ended)

    def _multivariant_playlist(self) -> str:
        recipe = self.loop.recipe
        stream = f'BANDWIDTH={self.loop.bandwidth_bps},CODECS="{self.loop.codecs}",RESOLUTION={recipe.width}x{recipe.height}'
        return f"#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-STREAM-INF:{stream}\nmedia.m3u8\n"

    def segment(self, number: int) -> bytes | None:
        """A segment's bytes; None where it is not available yet, or no longer."""
        newest = self.newest()
        of_vod = len(self.loop.segments) <= number < 2 * len(self.loop.segments)
        if not (newest - WINDOW_SEGMENTS - _KEPT_SEGMENTS < number <= newest or of_vod):
            return None
        begins = self.loop.recipe.begins
        units = range(begins(number), begins(number + 1))
        return self._remade(b"".join(self.loop.segment(unit, self._jump_ticks(unit)) for unit in units))

    def frame(self, number: int, frame: int) -> bytes:
        """What the endless .ts sends for one video frame of a segment."""
        return self._remade(self.loop.frame(number, frame, self._jump_ticks(number)))

    def _remade(self, packets: bytes) -> bytes:
        remake = _REMADE.get(self._fault) if self._fault else None
        return remake(packets) if remake else packets

    def _jump_ticks(self, number: int) -> int:
        return int(next(jump_s for start, jump_s in reversed(self._jumps) if start <= number) * TICKS_PER_S)

    def _media_playlist(self, first: int, count: int, *, vod: bool = False, ended: bool = False) -> str:
        recipe = self.loop.recipe
        lines = ["#EXTM3U", "#EXT-X-VERSION:3", f"#EXT-X-TARGETDURATION:{max(1, round(self.segment_s * max(recipe.pattern)))}"]
        lines.append("#EXT-X-PLAYLIST-TYPE:VOD" if vod else f"#EXT-X-MEDIA-SEQUENCE:{first}")
        for number in range(first, first + count):
            if not vod:
                start = datetime.fromtimestamp(recipe.begins(number) * self.segment_s, UTC)
                lines.append(f"#EXT-X-PROGRAM-DATE-TIME:{start:%Y-%m-%dT%H:%M:%S}.{start.microsecond // 1000:03d}Z")
            length_s = self.segment_s * (recipe.begins(number + 1) - recipe.begins(number))
            lines += [f"#EXTINF:{length_s:.6f},", f"{number}.ts"]
        if ended:
            lines.append("#EXT-X-ENDLIST")
        return "\n".join(lines) + "\n"
