"""Draws each source's test picture, and reads from a decoded frame which source and which moment of the programme it shows.

For people, each source has its own test picture, hue and big letter, and a box that moves, so that a frozen picture is visible.
For machines there are two narrow bands at the bottom: the upper one has the number of the frame in the loop as twelve black or
white boxes (lowest bit first); the lower one has one solid colour that identifies the source. They survive transcoding and any
change of resolution, so a test can tell from one decoded frame which source plays, and count what a swap repeated or skipped.
"""

from __future__ import annotations

from typing import NamedTuple

BITS = 12

BAND_COLOURS: tuple[tuple[int, int, int], ...] = (
    (200, 30, 30),
    (30, 170, 30),
    (30, 30, 200),
    (200, 200, 30),
    (200, 30, 200),
    (30, 200, 200),
    (230, 230, 230),
    (20, 20, 20),
)

_BASES = ("testsrc2", "smptehdbars", "testsrc", "rgbtestsrc")

# Letters A b C d E F G H on a seven-segment display; its segments are named a (top), then clockwise, g (middle).
_LETTERS = ("abcefg", "cdefg", "adef", "bcdeg", "adefg", "aefg", "acdef", "bcefg")

# x, y, width, height of each segment in a cell of 4 x 7 units
_SEGMENTS = {
    "a": (0, 0, 4, 1),
    "b": (3, 0, 1, 4),
    "c": (3, 3, 1, 4),
    "d": (0, 6, 4, 1),
    "e": (0, 3, 1, 4),
    "f": (0, 0, 1, 4),
    "g": (0, 3, 4, 1),
}

# What `marks` reads: `ffmpeg -i URL -vf MARKS_FILTER -pix_fmt rgb24 -f rawvideo -` gives MARKS_BYTES a frame.
MARKS_FILTER = f"crop=iw:4*trunc(ih/32):0:ih-4*trunc(ih/32),scale={BITS}:2:flags=area,setsar=1"
MARKS_BYTES = BITS * 2 * 3


class Mark(NamedTuple):
    """Read from one decoded frame: the number of the source's picture and the frame's number in the loop."""

    picture: int
    frame: int


def graph(picture: int, *, width: int, height: int, fps: int, first_frame: int, loop_frames: int) -> str:
    """The libavfilter graph of picture number `picture`; frame `first_frame` of its output is number 0 of the loop."""
    base = _BASES[picture % len(_BASES)]
    hue = 40 * picture
    band = height // 32 * 2
    unit = height // 16
    boxes = [_box(width // 2 - 3 * unit, height // 5 - unit, 6 * unit, 9 * unit, "black@0.6")]
    boxes += [
        _box(width // 2 - 2 * unit + x * unit, height // 5 + y * unit, w * unit, h * unit, "white")
        for x, y, w, h in (_SEGMENTS[name] for name in _LETTERS[picture])
    ]
    boxes.append(_box(0, height - 2 * band, width, band, "black"))
    counted = f"mod(n+{loop_frames - first_frame % loop_frames}\\,{loop_frames})"
    for bit in range(BITS):
        left, right = width * bit // BITS, width * (bit + 1) // BITS
        lit = f"mod(floor({counted}/{1 << bit})\\,2)"
        boxes.append(_box(left, height - 2 * band, right - left, band, "white", lit))
    boxes.append(_box(0, height - band, width, band, "0x{:02X}{:02X}{:02X}".format(*BAND_COLOURS[picture])))
    size = f"size={width}x{height}:rate={fps}"
    return (
        f"{base}={size},format=yuv420p,hue=h={hue}[still];"
        f"color=c=white:size={2 * unit}x{2 * unit}:rate={fps}[mover];"
        f"[still][mover]overlay=x=mod(n*4\\,W):y={unit}:format=yuv420,{','.join(boxes)}"
    )


def marks(rgb: bytes) -> list[Mark]:
    """Read the raw RGB output of MARKS_FILTER: one mark for each complete frame in it."""
    whole = len(rgb) - len(rgb) % MARKS_BYTES
    return [_mark(rgb[at : at + MARKS_BYTES]) for at in range(0, whole, MARKS_BYTES)]


def picture_of_colour(red: int, green: int, blue: int) -> int:
    """The picture number whose band colour is nearest to this one (a pixel of the lowest 32nd of a frame)."""

    def distance(number: int) -> int:
        return sum((a - b) ** 2 for a, b in zip(BAND_COLOURS[number], (red, green, blue), strict=True))

    return min(range(len(BAND_COLOURS)), key=distance)


def _mark(rgb: bytes) -> Mark:
    counter, band = rgb[: BITS * 3], rgb[BITS * 3 :]
    frame = sum(1 << bit for bit in range(BITS) if counter[bit * 3 + 1] >= 128)
    red, green, blue = (sum(band[channel::3]) // BITS for channel in range(3))
    return Mark(picture_of_colour(red, green, blue), frame)


def _box(x: int, y: int, width: int, height: int, colour: str, lit: str | None = None) -> str:
    box = f"drawbox=x={x}:y={y}:w={width}:h={height}:color={colour}:t=fill"
    return box if lit is None else f"{box}:enable={lit}"
