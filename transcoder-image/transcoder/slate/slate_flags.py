"""FFmpeg's flags for the slate: a still picture with a light that moves along a rail, and a quiet tone, in real time.

Rules: the slate needs very little CPU, because it may play for hours in many sessions at once. FFmpeg reads nothing but the
agent's own picture, whatever a channel is called.
"""

from os import memfd_create, write

from transcoder.ffmpeg.stream_plan import ENCODERS, SAMPLE_RATE_HZ
from transcoder.slate.picture import RAIL_HEIGHT, RAIL_LEFT, RAIL_TOP, RAIL_WIDTH, render

_FPS = 10  # whole frames in a segment, and less than half of the work of 25
_SAMPLES = 4800  # in each of the generator's frames of sound: ten a second, instead of 47
_LIGHT_WIDTH = 44
_LIGHT = "0x9DB7F5"
_STEP = 1  # samples of chroma, two of luma, that the light moves per frame: whole ones, or it would tremble

_pictures: dict[str, int] = {}  # by title: the file descriptor of what was drawn, for FFmpeg's every start


def input_flags(title: str, burst_s: float) -> list[str]:
    """The generator of picture and tone; `burst_s` of it come at once."""
    return [
        # In real time: a generator would otherwise run as fast as the CPU allows.
        *("-readrate", "1"),
        # At first a burst, like a source's backlog: media for the time since the last source failed. They are dated
        # before the present, so nothing runs ahead of the clock.
        *("-readrate_initial_burst", f"{burst_s:g}"),
        # Every parameter is known from the first frame: none are read ahead to find them out.
        *("-fpsprobesize", "0"),
        # Picture and tone in one input, so that they stay in step.
        *("-f", "lavfi", "-i", f"{_picture(_drawn(title))}[out0];{_tone()}[out1]"),
    ]


def _drawn(title: str) -> int:
    """A file descriptor that FFmpeg inherits: no name in any file system, and nothing to clean up."""
    if title not in _pictures:
        descriptor = memfd_create("slate", 0)
        picture = render(title)
        while picture:
            picture = picture[write(descriptor, picture) :]
        _pictures[title] = descriptor
    return _pictures[title]


def _picture(descriptor: int) -> str:
    way = (RAIL_WIDTH - _LIGHT_WIDTH) // (2 * _STEP)
    glide = f"{RAIL_LEFT}+{2 * _STEP}*abs(mod(n\\,{2 * way})-{way})"
    return (
        # The title has already been drawn, so no text from outside is in the graph. Converted once, then the frame repeats.
        f"movie=/proc/self/fd/{descriptor}:f=ppm_pipe,format=yuv420p,loop=loop=-1:size=1,"
        f"setpts=N/({_FPS}*TB),fps={_FPS}[still];"
        # The moving light distinguishes a slate from a frozen player.
        f"color=c={_LIGHT}:s={_LIGHT_WIDTH}x{RAIL_HEIGHT}:r={_FPS},format=yuv420p[light];"
        f"[still][light]overlay=x={glide}:y={RAIL_TOP}"
    )


def _tone() -> str:
    # 36 dB down: audible, so that nobody looks for a broken cable, but too quiet to wake anybody.
    tone = f"sine=frequency=330:sample_rate={SAMPLE_RATE_HZ}:samples_per_frame={_SAMPLES}"
    return f"{tone},volume=0.2,aformat=channel_layouts=stereo"


def video_flags(video: str, segment_s: float) -> list[str]:
    """`video`: the codec that the session sends, or "drop"."""
    if video == "drop":
        return ["-vn"]
    flags = [
        *("-c:v", ENCODERS[video]),
        # The fastest settings suffice: almost every block is unchanged.
        *("-preset", "ultrafast"),
        # No frames held back, and no threads that wait for each other.
        *("-tune", "zerolatency", "-threads", "1"),
        # Banding is more visible in a dark gradient; so simple a picture needs only a few kbit/s even at this quality.
        *("-crf", "24", "-maxrate", "800k", "-bufsize", "800k"),
        # A keyframe where each segment is to be cut, and no others: they are most of the work.
        *("-force_key_frames", f"expr:gte(t,n_forced*{segment_s:g})", "-sc_threshold", "0"),
        # At each of these keyframes a player can join.
        *("-forced-idr", "1"),
        # 8 bit 4:2:0, which every player decodes.
        *("-pix_fmt", "yuv420p"),
    ]
    if video == "hevc":
        # The encoder's own log lines are not needed; an open group of pictures could refer to pictures that are not listed.
        # One thread, as above: this encoder has a pool of its own.
        flags += ["-x265-params", "log-level=error:open-gop=0:scenecut=0:pools=none:frame-threads=1:wpp=0"]
    return flags


def audio_flags(audio: str, channels: int) -> list[str]:
    """`audio`: "drop" where the session sends none."""
    if audio == "drop":
        return ["-an"]
    return [
        # A tone needs no search for the best coding, and few bits.
        *("-c:a", "aac", "-aac_coder", "fast", "-b:a", f"{24 * channels}k"),
        # As many channels as the session has been sending, because a change of their number can stop a player.
        *("-ac", str(channels), "-ar", str(SAMPLE_RATE_HZ)),
    ]
