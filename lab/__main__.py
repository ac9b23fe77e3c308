"""`python -m lab`: serves synthetic live sources until SIGINT or SIGTERM and prints their addresses as JSON Lines."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
from pathlib import Path

from lab.serving.server import Lab

_NAMES = "abcdefgh"


def main() -> None:
    """Parse the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m lab", description="Synthetic live sources with faults on demand.")
    parser.add_argument("--port", type=int, default=0, help="the first source's port; 0: the kernel chooses")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--sources", type=int, default=2, choices=range(1, len(_NAMES) + 1), metavar="1..8")
    parser.add_argument(
        "--only",
        choices=tuple(_NAMES),
        metavar="NAME",
        help="serve only this source, with the look that it has among all of them",
    )
    parser.add_argument("--bitrate", type=_bits_per_s, default=400_000, help="of the video, e.g. 1500k")
    parser.add_argument("--segment-s", type=float, default=2.0, help="segment length in seconds")
    parser.add_argument("--control", action="store_true", help="also serve POST /_control/{name}")
    parser.add_argument("--cache-dir", type=Path, help="directory in which media are cached")
    parser.add_argument("--ffmpeg", help="the FFmpeg binary")
    parser.add_argument("--until-stdin-closes", action="store_true", help="also end when standard input is closed")
    asyncio.run(_serve(parser.parse_args()))


async def _serve(asked: argparse.Namespace) -> None:
    end = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, end.set)
    if asked.until_stdin_closes:
        loop.add_reader(0, lambda: end.set() if not os.read(0, 4096) else None)
    lab = Lab(
        asked.cache_dir,
        tuple(_NAMES) if asked.only else tuple(_NAMES[: asked.sources]),
        only=asked.only,
        segment_s=asked.segment_s,
        bitrate_bps=asked.bitrate,
        host=asked.host,
        port=asked.port,
        control=asked.control,
        ffmpeg=asked.ffmpeg,
    )
    async with lab:
        for source in lab.sources:
            urls = {name: getattr(source, name) for name in ("hls_url", "multivariant_url", "ts_url", "vod_url", "mp4_url")}
            print(json.dumps({"name": source.name, "base_url": source.base_url, **urls}), flush=True)
        if lab.control_url:
            print(json.dumps({"control_url": lab.control_url}), flush=True)
        await end.wait()


def _bits_per_s(text: str) -> int:
    factor = {"k": 1_000, "M": 1_000_000}.get(text[-1:], 1)
    return int(float(text.rstrip("kM")) * factor)


if __name__ == "__main__":
    main()
