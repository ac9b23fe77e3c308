"""Synthetic live sources with faults on demand, for `make demo`, the tests and the benchmarks.

In process::

    async with Lab(cache_dir, names=("a", "b"), segment_s=2.0, bitrate_bps=400_000) as lab:
        lab["a"].hls_url, .multivariant_url, .ts_url, .vod_url, .mp4_url
        lab["a"].fault = LabFault.FROZEN          # at once, for open connections too; None: no fault
        lab["a"].inject(LabFault.TRICKLE, 16_000) # with a number (bytes/s or seconds, see LabFault)
        lab["a"].requests, .last_request          # how many; the last one's method, path, headers

From code without an event loop, or to keep the load out of one's own process (it ends with the process that started it)::

    with LabProcess(sources=2) as lab:                # "a", "b"
        lab["a"].hls_url
        lab["a"].fault = LabFault.REFUSE

From a shell: `python -m lab --sources 2 --control`, then `POST {control_url}/a` with `{"fault": "trickle", "amount": 16000}` or
`{"fault": null}`; `GET` returns the state.

Each source listens on its own port. All sources use the same clock (Unix time), so they show the same moment of the programme:
segment k, with media sequence number k, is available from (k + 1) * segment_s on. Timestamps are continuous over the seams of
the loop. Frames carry machine-readable marks: decode with `-vf MARKS_FILTER -pix_fmt rgb24 -f rawvideo -` and pass the bytes to
`marks`.

Other media: `Lab(recipes={"b": Recipe(video="hevc", audio="ac3", channels=6, width=320, height=180, segment_s=10, gop_s=2)})`.
FFmpeg makes media once; they are cached. RTMP: `async with rtmp_source(lab["a"].loop, default_ffmpeg()) as url`.
"""

from lab.lab_process import LabProcess
from lab.media.loop import Recipe, default_ffmpeg
from lab.media.picture import MARKS_FILTER, Mark, marks, picture_of_colour
from lab.serving.rtmp import rtmp_source
from lab.serving.server import Lab
from lab.serving.source import LabFault, LabSource

__all__ = [
    "MARKS_FILTER",
    "Lab",
    "LabFault",
    "LabProcess",
    "LabSource",
    "Mark",
    "Recipe",
    "default_ffmpeg",
    "marks",
    "picture_of_colour",
    "rtmp_source",
]
