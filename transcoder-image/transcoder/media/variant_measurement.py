"""Measures what a session sends, for the attributes of its variant stream (RFC 8216, 4.3.4.2).

Rule: what has been published stays true. A player reads the multivariant playlist once, and a session returns to sources that
it has had before; so BANDWIDTH, RESOLUTION, FRAME-RATE and the video's profile and level only ever rise. The audio codec and
AVERAGE-BANDWIDTH are those of what is sent now.
"""

import re
from collections import deque

from transcoder.media.segment_description import SegmentDescription
from transcoder.publish.multivariant_playlist import Variant

_MARGIN = 1.25  # a variable bit rate's next peak is a little higher: without room each would be a reason to write again
_DRIFT = 1.25  # so far AVERAGE-BANDWIDTH may be off before it is corrected

# In an order in which a decoder of one nearly always decodes those before it, too.
_H264_PROFILES = (0x42, 0x4D, 0x58, 0x64, 0x6E, 0x7A, 0xF4)  # Baseline, Main, Extended, High, 10, 4:2:2, 4:4:4
_HEVC_PROFILES = (3, 1, 2, 4)  # Main Still Picture, Main, Main 10, range extensions

_VIDEO = re.compile(r"avc1\.[0-9a-f]{6}|hvc1\.[ABC]?\d{1,2}\.[0-9A-F]{1,8}\.[LH]\d{1,3}(\.[0-9A-F]{1,2}){0,6}")
_SOUND = re.compile(r"mp4a\.40\.\d{1,2}|ac-3|ec-3")
_RESOLUTION = re.compile(r"(\d{1,5})x(\d{1,5})")


class VariantMeasurement:
    """One attempt's media, segment by segment."""

    def __init__(self, target_duration_s: float, window_s: float) -> None:
        self.target_duration_s, self._window_s = target_duration_s, window_s  # the playlist's, which may be decided late
        self._segments: deque[tuple[int, float]] = deque()  # bits and seconds of those in the window
        self._peak_bps = 0.0
        self._video: str | None = None
        self._sound: str | None = None
        self._size = (0, 0)
        self._frame_rate = 0.0
        self.sound: str | None = None  # the audio's codec, where FFmpeg knows it better than the audio's own header
        self.has_video = self.has_sound = False  # which of them CODECS must name

    def take(self, size_bytes: int, duration_s: float, seen: SegmentDescription) -> None:
        """The next segment."""
        self._segments.append((size_bytes * 8, duration_s))
        while self._length_s - self._segments[0][1] >= self._window_s:
            self._segments.popleft()
        self._peak_bps = max(self._peak_bps, self._newest_peak_bps())
        self._video = widest_video(self._video, seen.video)
        self._sound = seen.audio or self._sound
        self._size = _larger(self._size, (seen.width, seen.height))
        self._frame_rate = max(self._frame_rate, seen.frame_rate)

    def variant(self, uri: str, said: Variant | None = None) -> Variant:
        """The variant stream as it is now; `said`: as the playlist in the store has it, which stays true."""
        said = said or Variant(uri, 0)
        average_bps = round(self._average_bps)
        peak_bps = max(average_bps, round(self._peak_bps))
        bandwidth = said.bandwidth if peak_bps <= said.bandwidth else round(peak_bps * _MARGIN)
        video, sound = _split(said.codecs)
        video = widest_video(video, self._video)
        sound = self.sound or self._sound or sound
        whole = (video or not self.has_video) and (sound or not self.has_sound)
        size = _larger(_size(said.resolution), self._size)
        rate = max(said.frame_rate or 0.0, self._frame_rate)
        return said._replace(
            bandwidth=bandwidth,
            # All codecs or none: a player takes a stream that is not named for absent.
            codecs=(",".join(codec for codec in (video, sound) if codec) or None) if whole else None,
            resolution=f"{size[0]}x{size[1]}" if all(size) else None,
            average_bandwidth=min(bandwidth, self._average(said.average_bandwidth, average_bps)),
            frame_rate=rate or None,
        )

    def _average(self, said_bps: int | None, average_bps: int) -> int:
        """What was said, as long as it is about right, or too little has been seen to know better."""
        if said_bps is None:
            return average_bps
        known = self._length_s >= self._window_s / 2
        drifts = not said_bps / _DRIFT <= average_bps <= said_bps * _DRIFT
        return average_bps if known and drifts else said_bps

    @property
    def _length_s(self) -> float:
        return sum(duration_s for _, duration_s in self._segments)

    @property
    def _average_bps(self) -> float:
        """The average segment bit rate (4.1)."""
        return sum(bits for bits, _ in self._segments) / max(self._length_s, 0.1)

    def _newest_peak_bps(self) -> float:
        """The largest bit rate of what ends with the newest segment and lasts 0.5 to 1.5 target durations: the peak segment
        bit rate (4.1) is the largest of these."""
        peak_bps = 0.0
        bits, length_s = 0, 0.0
        for each_bits, each_s in reversed(self._segments):
            bits, length_s = bits + each_bits, length_s + each_s
            if length_s > 1.5 * self.target_duration_s:
                break
            if length_s >= 0.5 * self.target_duration_s:
                peak_bps = max(peak_bps, bits / length_s)
        return peak_bps


def widest_video(one: str | None, other: str | None) -> str | None:
    """The codec string of a decoder that both need: the higher profile, the higher level. Strings of two codecs, which no
    session has, cannot be joined: the other's is taken."""
    if not one or not other or one == other:
        return other or one
    if one[:4] != other[:4]:
        return other
    return (_widest_h264 if one.startswith("avc1") else _widest_hevc)(one, other)


def _widest_h264(one: str, other: str) -> str:
    """avc1.PPCCLL (RFC 6381, 3.3): profile, constraints, level, in hexadecimal."""
    (profile, constraints, level), second = bytes.fromhex(one[5:]), bytes.fromhex(other[5:])
    if profile == second[0]:
        constraints &= second[1]
    elif _rank(_H264_PROFILES, second[0]) > _rank(_H264_PROFILES, profile):
        profile, constraints = second[0], second[1]
    return f"avc1.{profile:02x}{constraints:02x}{max(level, second[2]):02x}"


def _widest_hevc(one: str, other: str) -> str:
    """hvc1.PROFILE.COMPATIBILITY.TIER-AND-LEVEL[.CONSTRAINTS] (ISO/IEC 14496-15, E.3)."""
    first, second = one.split("."), other.split(".")
    higher = max(first, second, key=lambda parts: _rank(_HEVC_PROFILES, int(parts[1].lstrip("ABC"))))
    levels = first[3], second[3]
    tier = "H" if any(level[0] == "H" for level in levels) else "L"
    return ".".join((*higher[:3], f"{tier}{max(int(level[1:]) for level in levels)}", *higher[4:]))


def _rank(profiles: tuple[int, ...], profile: int) -> int:
    return profiles.index(profile) if profile in profiles else len(profiles)


def _split(codecs: str | None) -> tuple[str | None, str | None]:
    """Video and sound of a CODECS attribute of ours; what is not of our making says nothing."""
    parts = codecs.split(",") if codecs else []
    return next(filter(_VIDEO.fullmatch, parts), None), next(filter(_SOUND.fullmatch, parts), None)


def _larger(one: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
    return max(one, other, key=lambda size: size[0] * size[1])


def _size(resolution: str | None) -> tuple[int, int]:
    found = _RESOLUTION.fullmatch(resolution or "")
    return (int(found[1]), int(found[2])) if found else (0, 0)
