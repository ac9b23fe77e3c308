"""Draws the slate's still picture: the channel's name, large, and below it a line which says that the programme will go on.

It is drawn here because the static FFmpeg has no drawtext. It is calm and dark, because it may be shown for hours in a dark
room. FFmpeg moves a light over it (slate_flags.py), along the rail that is drawn here.
"""

from typing import NamedTuple

from transcoder.slate.lettering import CAP, Glyph, Point, drawable, glyphs

WIDTH, HEIGHT = 640, 360
RAIL_LEFT, RAIL_TOP, RAIL_WIDTH, RAIL_HEIGHT = 220, 212, 200, 2  # even numbers: chroma is halved

_SENTENCE = "We'll be right back"
_TOP, _BOTTOM = (22, 27, 42), (9, 11, 19)  # of the background; the rest has the least contrast that is readable
_LETTERS = (233, 237, 245)
_QUIET = (137, 148, 172)
_RAIL = (45, 53, 74)

_TITLE_WIDTH = 540
_TITLE_BASE = 178  # the last line's baseline
_TITLE_HEIGHTS = (54, 46, 40, 34)  # of capitals: on one line, as large as it fits ...
_TWO_LINES_HEIGHT = 30  # ... else on two lines ...
_LEADING = 2.1
_LEAST_HEIGHT = 22  # ... and smaller still, before anything is cut
_SENTENCE_BASE, _SENTENCE_HEIGHT = 252, 11
_WEIGHT = 0.15  # a stroke's width, of a capital's height
_TRACKING, _WIDE_TRACKING = 1.9, 3.2  # between letters, in units; small capitals want more


class _Line(NamedTuple):
    text: str
    height: float


def render(title: str) -> bytes:
    """The picture as a binary PPM (P6)."""
    pixels = _background()
    _box(pixels, RAIL_LEFT, RAIL_TOP, RAIL_WIDTH, RAIL_HEIGHT, _RAIL)
    sentence = drawable(_SENTENCE)
    name = drawable(title)
    lines = _fitted(name or sentence)
    for n, line in enumerate(lines):
        base = _TITLE_BASE - (len(lines) - 1 - n) * line.height * _LEADING
        _write(pixels, line.text, base, line.height, _TRACKING, _LETTERS)
    if name:
        _write(pixels, sentence, _SENTENCE_BASE, _SENTENCE_HEIGHT, _WIDE_TRACKING, _QUIET)
    return b"P6 %d %d 255\n" % (WIDTH, HEIGHT) + pixels


def _fitted(text: str) -> list[_Line]:
    """The title on one line or two, none of them too wide; cut where nothing else helps."""
    for height in _TITLE_HEIGHTS:
        if _width(text, height) <= _TITLE_WIDTH:
            return [_Line(text, height)]
    for height in range(_TWO_LINES_HEIGHT, _LEAST_HEIGHT - 1, -2):
        if halves := _halves(text, height):
            return [_Line(half, height) for half in halves]
    first, rest = _first_line(text, _LEAST_HEIGHT)
    lines = [first, _cut(rest, _LEAST_HEIGHT)] if rest else [first]
    return [_Line(each, _LEAST_HEIGHT) for each in lines]


def _halves(text: str, height: float) -> list[str]:
    """Two lines as equal as words allow; none where one of them is too wide."""
    words = text.split(" ")
    splits = [(" ".join(words[:n]), " ".join(words[n:])) for n in range(1, len(words))]
    widths = [(max(_width(first, height), _width(second, height)), first, second) for first, second in splits]
    best = min(widths, default=None)
    return [best[1], best[2]] if best and best[0] <= _TITLE_WIDTH else []


def _first_line(text: str, height: float) -> tuple[str, str]:
    """As many words as fit, or as much of one word that does not; and the rest."""
    words = text.split(" ")
    fit = [n for n in range(1, len(words)) if _width(" ".join(words[:n]), height) <= _TITLE_WIDTH]
    if fit:
        return " ".join(words[: fit[-1]]), " ".join(words[fit[-1] :])
    return _cut(text, height), ""


def _cut(text: str, height: float) -> str:
    if _width(text, height) <= _TITLE_WIDTH:
        return text
    while text and _width(text + "…", height) > _TITLE_WIDTH:
        text = text[:-1]
    return text.rstrip() + "…"


def _width(text: str, height: float) -> float:
    return (sum(glyph.width for glyph in glyphs(text, _TRACKING)) - _TRACKING) * height / CAP


def _background() -> bytearray:
    pixels = bytearray()
    for y in range(HEIGHT):
        down = y / (HEIGHT - 1)
        pixels += bytes(round(top + (bottom - top) * down) for top, bottom in zip(_TOP, _BOTTOM, strict=True)) * WIDTH
    return pixels


def _box(pixels: bytearray, left: int, top: int, width: int, height: int, colour: tuple[int, int, int]) -> None:
    for y in range(top, top + height):
        at = 3 * (y * WIDTH + left)
        pixels[at : at + 3 * width] = bytes(colour) * width


def _write(pixels: bytearray, text: str, base: float, height: float, tracking: float, colour: tuple[int, int, int]) -> None:
    """One line of a `drawable` text, centred."""
    letters: list[Glyph] = glyphs(text, tracking)
    scale = height / CAP
    x = (WIDTH - (sum(letter.width for letter in letters) - tracking) * scale) / 2
    radius = max(0.7, height * _WEIGHT / 2)
    covered: dict[int, float] = {}
    for letter in letters:
        for stroke in letter.strokes:
            points = [(x + at * scale, base - up * scale) for at, up in stroke]
            for start, end in zip(points, points[1:] or points, strict=len(points) == 1):
                _cover(covered, start, end, radius)
        x += letter.width * scale
    for at, share in covered.items():
        for n, value in enumerate(colour, 3 * at):
            pixels[n] += round((value - pixels[n]) * share)


def _cover(covered: dict[int, float], start: Point, end: Point, radius: float) -> None:
    """A piece of a stroke with round ends: how much of each pixel it covers, by how far that is from its middle line."""
    (ax, ay), (bx, by) = start, end
    dx, dy = bx - ax, by - ay
    length2 = dx * dx + dy * dy or 1.0
    reach = radius + 0.5
    for y in range(max(0, int(min(ay, by) - reach)), min(HEIGHT - 1, int(max(ay, by) + reach) + 1) + 1):
        for x in range(max(0, int(min(ax, bx) - reach)), min(WIDTH - 1, int(max(ax, bx) + reach) + 1) + 1):
            px, py = x + 0.5 - ax, y + 0.5 - ay
            along = min(1.0, max(0.0, (px * dx + py * dy) / length2))
            share = reach - ((px - along * dx) ** 2 + (py - along * dy) ** 2) ** 0.5
            if share > 0.0:
                at = y * WIDTH + x
                if share > covered.get(at, 0.0):
                    covered[at] = min(1.0, share)
