"""What a swap did to the programme, read off the pictures: the lab's sources are in step, and each frame says its number."""

from __future__ import annotations

import subprocess

from lab import MARKS_FILTER, Recipe, default_ffmpeg, marks
from lab.media.loop import FPS


def skipped_s(old: bytes, new: bytes) -> float:
    """Programme between the last frame of `old` and the first of `new` (MPEG-TS); negative where it is repeated. Raises
    ValueError where one of them shows no frame."""
    before, after = _frames(old), _frames(new)
    if not before or not after:
        raise ValueError("no frame can be decoded")
    loop = Recipe().loop_s * FPS
    return ((after[0] - before[-1] - 1 + loop // 2) % loop - loop // 2) / FPS


def _frames(media: bytes) -> list[int]:
    command = [default_ffmpeg(), "-hide_banner", "-loglevel", "quiet", "-f", "mpegts", "-i", "pipe:0", "-an"]
    command += ["-vf", MARKS_FILTER, "-fps_mode", "passthrough", "-pix_fmt", "rgb24", "-f", "rawvideo", "pipe:1"]
    return [mark.frame for mark in marks(subprocess.run(command, input=media, stdout=subprocess.PIPE, check=False).stdout)]
