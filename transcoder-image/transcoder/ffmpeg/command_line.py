"""FFmpeg's command line for one job: each flag with its reason.

Law: the session goes on as it began. What the player has been given (video codec, audio codec, channels) decides what
must be transcoded; else the profile does. One MPEG-TS to standard output; the agent cuts it.
"""

from typing import NamedTuple

from transcoder.job import Hevc, Job, Profile, SlateInput, SourceInput, Streams

COPIED_VIDEO = frozenset(("h264", "hevc"))
COPIED_AUDIO = frozenset(("aac",))
ENCODERS = {"h264": "libx264", "hevc": "libx265"}
SAMPLE_RATE_HZ = 48_000

# What a source of each scheme may lead FFmpeg to: the protocols beneath it, and for HTTP the keys of encrypted
# segments. Neither file nor data nor concat: a playlist from outside could name them.
_WHITELIST = {
    "http": "http,https,tcp,tls,crypto",
    "https": "http,https,tcp,tls,crypto",
    "rtmp": "rtmp,rtmps,tcp,tls",
    "rtmps": "rtmp,rtmps,tcp,tls",
    "rtsp": "rtsp,rtp,srtp,udp,tcp,tls",
    "srt": "srt,udp",
    "udp": "udp",
    "rtp": "rtp,udp",
}

# Options that a session can do without: older versions do not know them, or the format that comes does not, whatever the
# address is called.
OPTIONAL = frozenset(
    (
        *("-seg_max_retry", "-extension_picky", "-readrate_initial_burst"),
        *("-live_start_index", "-allowed_extensions", "-scan_all_pmts"),
    )
)

# Used where no probe has said what a source sends: what most of them do.
USUAL = Streams("h264", "aac", 2)

# What a slate's generator sends, under FFmpeg's names: nothing that could be copied.
GENERATED = Streams("wrapped_avframe", "pcm_s16le", 2)


# Providers name segments as they like; the protocol whitelist is what keeps FFmpeg in bounds.
_ANY_SEGMENT = ("-allowed_extensions", "ALL", "-extension_picky", "0")

# Once the tables have named video and audio, no other program's are waited for: the tools' own default is to look for them
# for as long as they may analyse, which at a live source is real time.
_ONE_PROGRAM = ("-scan_all_pmts", "0")


# How long FFmpeg looks for streams at first: enough for nearly every source, and no start is held up for longer.
LOOK_S = 1.5
_BEFORE_THE_LIMIT_S = 0.5  # it begins to send so long before the first media are too late


class Unplayable(Exception):
    """What the source sends cannot continue the session; the message says why."""


class StreamPlan(NamedTuple):
    """What FFmpeg is to do with a source.

    `video`: "copy", "drop" or the codec to encode; `audio`: the same, or "silence". `channels` of encoded audio.
    `program`: which of the source's programs (variants), None for the only one. `paced`: the source is a file, to be
    read in real time. `audio_track`: which of the program's audio streams, from 0. `look_s`: how long streams that are
    announced are waited for.
    """

    video: str
    audio: str
    channels: int
    program: int | None = None
    paced: bool = False
    audio_track: int = 0
    look_s: float = LOOK_S

    def sending(self, streams: Streams) -> Streams:
        """What comes out when the source sends `streams`."""
        video = {"copy": streams.video, "drop": None}.get(self.video, self.video)
        if self.audio == "copy":
            return Streams(video, streams.audio, streams.channels if streams.audio else 0)
        return Streams(video, None, 0) if self.audio == "drop" else Streams(video, "aac", self.channels)


def assumed(job: Job) -> Streams:
    """What the source is taken to send, until FFmpeg says what it does."""
    if isinstance(job.source, SlateInput):
        return GENERATED
    expected = job.expected
    if expected is not None and expected.audio and not expected.channels:  # the probe has not heard any yet
        return expected._replace(channels=USUAL.channels)
    return expected or USUAL


def plan(profile: Profile, source: Streams, sending: Streams | None, hevc: Hevc = "copy", *, mute: bool = False) -> StreamPlan:
    """What to do with a source that sends `source`, in a session that sends `sending` (None: nothing yet). `mute`: it
    announces sound that does not come, so that a session which begins with it has sound from elsewhere, or later.

    `hevc`: what becomes of HEVC where a session begins with it and `profile` is to copy. Raises Unplayable.
    """
    if not source.video and not source.audio:
        raise Unplayable("neither video nor audio")
    # Only at the beginning: a session that has been sending HEVC goes on with it, whatever the policy has become.
    begins_with_hevc = sending is None and source.video == "hevc"
    video = _video(hevc if begins_with_hevc and profile == "copy" else profile, source.video, sending)
    audio, channels = ("silence", 2) if mute and sending is None else _audio(profile, source, sending)
    return StreamPlan(video, audio, channels)


def _video(profile: Profile, source: str | None, sending: Streams | None) -> str:
    if sending is None:
        if source is None:
            return "copy"  # radio: there is nothing to copy
        return "copy" if profile == "copy" and source in COPIED_VIDEO else "h264"
    if sending.video is None:
        return "drop"
    if source is None:
        raise Unplayable("no video, but the session has some")
    return "copy" if profile == "copy" and source == sending.video else sending.video


def _audio(profile: Profile, source: Streams, sending: Streams | None) -> tuple[str, int]:
    if sending is None:
        # Audio that is announced and has not come has no parameters to copy yet; an encoder waits for it.
        if source.audio is None or (profile == "copy" and source.audio in COPIED_AUDIO and source.channels):
            return "copy", 0
        return "aac", 1 if source.channels == 1 else 2  # more than stereo is not every browser's
    if sending.audio is None:
        if source.video is None:
            raise Unplayable("no video, but the session has nothing else")
        return "drop", 0
    if source.audio is None:
        return "silence", sending.channels or 2
    same = source.audio == sending.audio == "aac" and source.channels == sending.channels
    return ("copy", 0) if same and profile == "copy" else ("aac", sending.channels or 2)


class Adjustments(NamedTuple):
    """What a run of FFmpeg has taught about its source. `lacks`: those of `OPTIONAL` that are not known. `is_hls`: the source
    is HLS, whatever its address, type or segments are called. `slow`: the picture's size was not known when the time was up."""

    lacks: frozenset[str] = frozenset()
    is_hls: bool = False
    slow: bool = False


def longest_look_s(start_limit_s: float) -> float:
    """How long FFmpeg may look for streams, if the first media may take so long."""
    return max(LOOK_S, start_limit_s - _BEFORE_THE_LIMIT_S)


def look_s(job: Job, plan: StreamPlan, lesson: Adjustments) -> float:
    """How long FFmpeg looks for streams."""
    return max(plan.look_s, longest_look_s(job.start_limit_s)) if lesson.slow else plan.look_s


def ffmpeg_argv(ffmpeg: str, job: Job, plan: StreamPlan, lesson: Adjustments = Adjustments()) -> list[str]:  # noqa: B008 - it cannot change
    """The whole command line. `ffmpeg`: the binary's name or path."""
    return [ffmpeg, *without(lesson.lacks, _arguments(job, plan, lesson))]


def without(options: frozenset[str], argv: list[str]) -> list[str]:
    """The same command line without these options and their values."""
    left = list(argv)
    for option in options:
        if option in left:
            at = left.index(option)
            del left[at : at + 2]
    return left


def _arguments(job: Job, plan: StreamPlan, lesson: Adjustments) -> list[str]:
    source = job.source
    if isinstance(source, SlateInput):
        # What draws the slate is imported only for a slate: an ordinary start does not wait for it.
        from transcoder.slate import slate_flags

        source_flags = slate_flags.input_flags(source.title, job.backlog_segments * job.segment_s)
        video_flags = slate_flags.video_flags(plan.video, job.segment_s)
        audio_flags = slate_flags.audio_flags(plan.audio, plan.channels)
    else:
        source_flags = _input(job, source, plan, lesson)
        video_flags = _video_flags(plan.video, job.segment_s)
        audio_flags = _audio_flags(plan)
    return [
        # Lines of a log, not a terminal's status: no banner, no statistics, nothing read from standard input. Each
        # line says its level, and "info" is where FFmpeg tells which streams it found.
        *("-hide_banner", "-nostats", "-nostdin", "-loglevel", "level+info"),
        *source_flags,
        *(_silence(plan.channels) if plan.audio == "silence" else ()),
        *_mapping(plan),
        *video_flags,
        *audio_flags,
        *_output(),
    ]


def probe_flags(source: SourceInput, timeout_s: float) -> list[str]:
    """How ffprobe asks for a source: it passes over what the format that comes does not know, so it is told everything."""
    flags = request_flags(source, timeout_s)
    wanted = (*_ANY_SEGMENT, *_ONE_PROGRAM) if source.scheme in ("http", "https") else ()
    return [*without(frozenset(wanted[::2]), flags), *wanted]


def request_flags(source: SourceInput, timeout_s: float, is_hls: bool = False) -> list[str]:
    """How any of FFmpeg's tools asks for a source: within bounds, and as the source wants to be asked.

    `timeout_s`: a dead connection ends by itself after so long. `is_hls`: it is known to be, whatever its address is called.
    """
    timeout = f"{round(timeout_s * 1e6)}"  # microseconds
    flags = [
        # Names from outside reach nothing but the network.
        *("-protocol_whitelist", _WHITELIST[source.scheme]),
    ]
    match source.scheme:
        case "http" | "https":
            flags += ["-rw_timeout", timeout]
            if source.user_agent:
                flags += ["-user_agent", source.user_agent]
            if source.headers:
                flags += ["-headers", "".join(f"{name}: {value}\r\n" for name, value in source.headers.items())]
            if is_hls:
                # FFmpeg takes an address or a type of another name for no playlist.
                flags += ["-f", "hls"]
            if is_hls or is_playlist(source):
                flags += _ANY_SEGMENT
            elif is_transport_stream(source):
                flags += _ONE_PROGRAM
        case "rtsp":
            # One TCP connection passes NAT and firewalls, and loses nothing: asked for first. Cameras that know only UDP
            # say so (RFC 2326, 461 Unsupported Transport), and are asked for that then.
            flags += ["-rtsp_flags", "prefer_tcp", "-timeout", timeout]
        case "rtmp" | "rtmps":
            # Never a recording of the same name.
            flags += ["-rtmp_live", "live", "-rw_timeout", timeout]
        case "udp" | "srt":
            flags += _ONE_PROGRAM
    return flags


def _input(job: Job, source: SourceInput, plan: StreamPlan, lesson: Adjustments) -> list[str]:
    flags = [
        # The watchdog is faster than this time-out, which is for its absence.
        *request_flags(source, job.start_limit_s + 1.0, lesson.is_hls),
        # Codec parameters are known after the first keyframe; a stream that is announced and never sent must not hold
        # up the start for the default of 5 s (7 s for MPEG-TS). Where the first keyframe takes longer, it is waited for.
        *("-analyzeduration", f"{round(look_s(job, plan, lesson) * 1e6)}"),
        # Frames read to guess a frame rate: a copy needs none, and at a live source they take as long as they last.
        *("-fpsprobesize", "0"),
    ]
    if lesson.is_hls or is_playlist(source):
        flags += [
            # So many of the newest segments: what a player wants to begin with, and what a swap has missed.
            *("-live_start_index", str(-job.backlog_segments)),
            # A segment that fails once is asked for again; a hole is worse than the moment that this takes.
            *("-seg_max_retry", "2"),
        ]
    if plan.paced:
        flags += [
            # A file comes as fast as the network; it is played in real time.
            *("-readrate", "1"),
            # What is taken of a live playlist: enough to start a player with.
            *("-readrate_initial_burst", f"{job.backlog_segments * job.segment_s:g}"),
        ]
        if source.scheme in ("http", "https"):
            # A server that tires of a slow reader is asked again from the same byte. Live sources get no second
            # connection: the next source is faster, and a provider counts connections.
            flags += ["-reconnect", "1", "-reconnect_delay_max", "2"]
    return [*flags, "-i", source.url]


def is_playlist(source: SourceInput) -> bool:
    """Whether the address is, by its name, an HLS playlist's."""
    path = source.url.partition("?")[0].lower()
    return source.scheme in ("http", "https") and path.endswith((".m3u8", ".m3u"))


def is_transport_stream(source: SourceInput) -> bool:
    """Whether the address is likely, by its name, an MPEG transport stream's: many providers' have no ending at all."""
    name = source.url.partition("?")[0].rpartition("/")[2].lower()
    return source.scheme in ("http", "https") and (name.endswith(".ts") or "." not in name)


def _silence(channels: int) -> list[str]:
    layout = "mono" if channels == 1 else "stereo" if channels == 2 else f"{channels}c"
    return ["-f", "lavfi", "-i", f"anullsrc=channel_layout={layout}:sample_rate={SAMPLE_RATE_HZ}"]


def _mapping(plan: StreamPlan) -> list[str]:
    program = "" if plan.program is None else f"p:{plan.program}:"
    flags = []
    if plan.video != "drop":
        # The first picture that moves (V: no cover art), where there is one: radio has none.
        flags += ["-map", f"0:{program}V:0?"]
    if plan.audio == "silence":
        # The silence ends with the picture.
        flags += ["-map", "1:a:0", "-shortest"]
    elif plan.audio != "drop":
        flags += ["-map", f"0:{program}a:{plan.audio_track}?"]
    # No subtitles, no data: players of a plain HLS variant have no use for them, and sparse streams hold up a muxer.
    return [*flags, "-sn", "-dn"]


def _video_flags(video: str, segment_s: float) -> list[str]:
    match video:
        case "drop":
            return ["-vn"]
        case "copy":
            return ["-c:v", "copy"]
        case _:
            return [
                *("-c:v", ENCODERS[video]),
                # Real time on a share of a core.
                *("-preset", "veryfast" if video == "h264" else "ultrafast"),
                # No frames held back: what the source has sent is what can be listed.
                *("-tune", "zerolatency"),
                # Constant quality, but never more than a segment's upload allows for.
                *("-crf", "23", "-maxrate", "6M", "-bufsize", "6M"),
                # A keyframe where each segment is to be cut, and no others.
                *("-force_key_frames", f"expr:gte(t,n_forced*{segment_s:g})", "-sc_threshold", "0"),
                # 8 bit 4:2:0: what every player decodes.
                *("-pix_fmt", "yuv420p"),
                # Broadcast is often interlaced; progressive frames pass untouched.
                *("-vf", "yadif=deint=interlaced"),
            ]


def _audio_flags(plan: StreamPlan) -> list[str]:
    match plan.audio:
        case "drop":
            return ["-an"]
        case "copy":
            return ["-c:a", "copy"]
        case "silence":
            return ["-c:a", "aac", "-b:a", "32k"]
        case _:
            return [
                *("-c:a", "aac", "-b:a", f"{64 * plan.channels}k"),
                *("-ac", str(plan.channels), "-ar", str(SAMPLE_RATE_HZ)),
                # Holes in the sound become silence, so that it stays with the picture.
                *("-af", "aresample=async=1"),
            ]


def _output() -> list[str]:
    return [
        *("-f", "mpegts"),
        # Each packet at once: what is in the pipe can be listed, what is in FFmpeg's buffer cannot.
        *("-flush_packets", "1"),
        # Audio frames share a PES packet for 0.1 s (half of this) instead of paying a packet's padding each.
        *("-muxdelay", "0.2", "-muxpreload", "0"),
        # A segment starts with tables of the agent's making; FFmpeg's own every 2 s are enough to read along.
        *("-pat_period", "2"),
        # Where one stream falls silent, the other waits this long for it and no longer (default 10 s: a stall).
        *("-max_interleave_delta", "1000000"),
        "pipe:1",
    ]
