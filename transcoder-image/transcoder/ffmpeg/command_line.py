"""Builds FFmpeg's command line for one job and one stream plan. The reason for each flag stands above it.

FFmpeg writes one MPEG-TS to its standard output; the agent cuts it into segments.
"""

from typing import NamedTuple

from transcoder.ffmpeg.source_options import is_playlist, request_options, without
from transcoder.ffmpeg.stream_plan import ENCODERS, LOOK_S, SAMPLE_RATE_HZ, StreamPlan
from transcoder.input import Input, SlateInput, SourceInput
from transcoder.job import Job

OPTIONAL = frozenset(
    (
        *("-seg_max_retry", "-extension_picky", "-readrate_initial_burst"),
        *("-live_start_index", "-allowed_extensions", "-scan_all_pmts"),
    )
)
"""Options that a session can do without. Older versions of FFmpeg do not know them, and neither do some formats; an attempt
whose FFmpeg refuses one starts it again without."""

_MARGIN_S = 0.5  # FFmpeg begins to send this long before the limit for the first media


class Adjustments(NamedTuple):
    """What this attempt's next start of FFmpeg does differently, because of what an earlier one reported.

    `lacks`: those of `OPTIONAL` that this FFmpeg, or this format, does not know. `is_hls`: the source is HLS, although its
    address, media type or segments are not named as FFmpeg expects. `slow`: the picture's size was not known in time.
    """

    lacks: frozenset[str] = frozenset()
    is_hls: bool = False
    slow: bool = False


NO_ADJUSTMENTS = Adjustments()


def longest_look_s(start_limit_s: float) -> float:
    """How long FFmpeg may look for streams, where the first media may take `start_limit_s`."""
    return max(LOOK_S, start_limit_s - _MARGIN_S)


def look_s(job: Job, plan: StreamPlan, adjustments: Adjustments) -> float:
    """How long FFmpeg looks for streams in this start."""
    return max(plan.look_s, longest_look_s(job.start_limit_s)) if adjustments.slow else plan.look_s


def ffmpeg_argv(ffmpeg: str, job: Job, input: Input, plan: StreamPlan, adjustments: Adjustments = NO_ADJUSTMENTS) -> list[str]:
    """The whole command line. `ffmpeg`: the binary's name or path."""
    return [ffmpeg, *without(adjustments.lacks, _arguments(job, input, plan, adjustments))]


def _arguments(job: Job, input: Input, plan: StreamPlan, adjustments: Adjustments) -> list[str]:
    source = input.source
    if isinstance(source, SlateInput):
        from transcoder.slate import slate_flags  # draws the picture: an ordinary start does not wait for its import

        input_flags = slate_flags.input_flags(source.title, job.backlog_segments * job.segment_s)
        video_flags = slate_flags.video_flags(plan.video, job.segment_s)
        audio_flags = slate_flags.audio_flags(plan.audio, plan.channels)
    else:
        input_flags = _input_flags(job, source, plan, adjustments)
        video_flags = _video_flags(plan.video, job.segment_s)
        audio_flags = _audio_flags(plan)
    return [
        # Lines of a log, not a terminal's status: no banner, no statistics, nothing read from standard input. Each line names
        # its level; at "info" FFmpeg reports which streams it found.
        *("-hide_banner", "-nostats", "-nostdin", "-loglevel", "level+info"),
        *input_flags,
        *(_silence(plan.channels) if plan.audio == "silence" else ()),
        *_mapping(plan),
        *video_flags,
        *audio_flags,
        *_output(),
    ]


def _input_flags(job: Job, source: SourceInput, plan: StreamPlan, adjustments: Adjustments) -> list[str]:
    flags = [
        # The watchdog is faster than this time-out, which is for a connection that the watchdog no longer sees.
        *request_options(source, job.start_limit_s + 1.0, adjustments.is_hls),
        # Codec parameters are known after the first keyframe. A stream that is announced and never sent must not hold up the
        # start for the default of 5 s (7 s for MPEG-TS). Where the first keyframe takes longer, `Adjustments.slow` waits for
        # it.
        *("-analyzeduration", f"{round(look_s(job, plan, adjustments) * 1e6)}"),
        # Frames read to guess a frame rate: a copy needs none, and at a live source reading them takes as long as they last.
        *("-fpsprobesize", "0"),
    ]
    if adjustments.is_hls or is_playlist(source):
        flags += [
            # How many of the newest segments to begin with: enough for a player's buffer and for what a swap has missed.
            *("-live_start_index", str(-job.backlog_segments)),
            # A segment that fails once is requested again; a hole is worse than the moment that this takes.
            *("-seg_max_retry", "2"),
        ]
    if plan.paced:
        flags += [
            # A file comes as fast as the network; it is played in real time.
            *("-readrate", "1"),
            # As much at once as is taken of a live playlist: enough to start a player with.
            *("-readrate_initial_burst", f"{job.backlog_segments * job.segment_s:g}"),
        ]
        if source.scheme in ("http", "https"):
            # A server that closes on a slow reader is asked again from the same byte. Live sources get no second connection:
            # the next source is faster, and a provider counts connections.
            flags += ["-reconnect", "1", "-reconnect_delay_max", "2"]
    return [*flags, "-i", source.url]


def _silence(channels: int) -> list[str]:
    layout = "mono" if channels == 1 else "stereo" if channels == 2 else f"{channels}c"
    return ["-f", "lavfi", "-i", f"anullsrc=channel_layout={layout}:sample_rate={SAMPLE_RATE_HZ}"]


def _mapping(plan: StreamPlan) -> list[str]:
    program = "" if plan.program is None else f"p:{plan.program}:"
    flags = []
    if plan.video != "drop":
        # The first video stream that is no cover art (V), where there is one: radio has none.
        flags += ["-map", f"0:{program}V:0?"]
    if plan.audio == "silence":
        # The silence ends with the picture.
        flags += ["-map", "1:a:0", "-shortest"]
    elif plan.audio != "drop":
        flags += ["-map", f"0:{program}a:{plan.audio_track}?"]
    # No subtitles, no data: players of a plain HLS variant do not use them, and sparse streams hold up a muxer.
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
                # No frames are held back, so that everything the source has sent can be listed.
                *("-tune", "zerolatency"),
                # Constant quality, but never more than a segment's upload allows for.
                *("-crf", "23", "-maxrate", "6M", "-bufsize", "6M"),
                # A keyframe where each segment is to be cut, and no others.
                *("-force_key_frames", f"expr:gte(t,n_forced*{segment_s:g})", "-sc_threshold", "0"),
                # 8 bit 4:2:0, which every player decodes.
                *("-pix_fmt", "yuv420p"),
                # Broadcast is often interlaced; progressive frames pass unchanged.
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
        # Each packet is written at once: media in the pipe can be listed, media in FFmpeg's buffer cannot.
        *("-flush_packets", "1"),
        # Audio frames share a PES packet for 0.1 s (half of this) instead of paying a packet's padding each.
        *("-muxdelay", "0.2", "-muxpreload", "0"),
        # A segment starts with tables that the agent writes; FFmpeg's own every 2 s are enough for the segmenter to read.
        *("-pat_period", "2"),
        # Where one stream falls silent, the other waits this long for it and no longer (the default of 10 s would be a stall).
        *("-max_interleave_delta", "1000000"),
        "pipe:1",
    ]
