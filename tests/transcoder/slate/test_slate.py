"""The slate's letters, its picture and FFmpeg's flags for it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.transcoder.test_job import GOOD
from transcoder.ffmpeg.command_line import ffmpeg_argv
from transcoder.ffmpeg.stream_plan import GENERATED, assumed_streams, plan
from transcoder.input import Streams
from transcoder.job import Job, parse
from transcoder.slate.lettering import CAP, drawable, glyphs
from transcoder.slate.picture import HEIGHT, RAIL_LEFT, RAIL_TOP, WIDTH, render

HOME = Path(__file__).parents[3] / "transcoder-image"


def job(title: str = "News") -> Job:
    return parse(json.dumps(GOOD | {"source": {"slate": {"title": title}}, "expected": None}))


def argv(sending: Streams | None = None, title: str = "News") -> list[str]:
    return ffmpeg_argv("ffmpeg", job(title), job(title).first, plan("copy", GENERATED, sending))


def rows_with_letters(picture: bytes) -> list[int]:
    """Where something bright stands."""
    pixels = picture[-3 * WIDTH * HEIGHT :]
    return [y for y in range(HEIGHT) if max(pixels[3 * WIDTH * y : 3 * WIDTH * (y + 1)]) > 120]


def columns_with_letters(picture: bytes) -> tuple[int, int]:
    pixels = picture[-3 * WIDTH * HEIGHT :]
    bright = {at // 3 % WIDTH for at, value in enumerate(pixels) if value > 120}
    return min(bright), max(bright)


# --- letters ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("News 24", "NEWS 24"),
        ("  News \n\t 24\u00a0", "NEWS 24"),
        ("Première", "PREMIE\u0300RE"),
        ("Straße", "STRASSE"),
        ("Łódź Ørsted Þór", "ŁO\u0301DZ\u0301 ØRSTED ÞO\u0301R"),
        ("Первый канал", "ΠEPBЫИ\u0306 KAHAЛ"),
        ("Ελλάδα", "EΛΛA\u0301ΔA"),
        ("ＴＶ１", "TV1"),
        ("“Now” — it’s", '"NOW" – IT\'S'),
        ("中文 TV", "TV"),
        ("📺 Kino", "KINO"),
        ("中文电视", ""),
        ("قناة", ""),
        ("\u0301a", "A"),
        ("", ""),
    ],
)
def test_what_of_a_text_can_be_drawn(text: str, expected: str) -> None:
    assert drawable(text) == expected


def test_every_letter_stands_in_its_room() -> None:
    text = drawable(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 ÄÉÎÑÇŐŲȘ БДЖЗИЛУЦЧШЩЪЫЬЭЮЯЄ ΓΔΘΛΞΠΣΦΨΩ .,:;!?'\"-–+=/\\|_()[]<>*#%&@€$…·•ÆŒØŁĐÞ"
    )
    for glyph in glyphs(text, 1.0):
        assert glyph.width >= 1.0
        for x, y in (point for stroke in glyph.strokes for point in stroke):
            assert -1.5 <= x <= glyph.width + 0.5
            assert -2.3 <= y <= CAP + 3.0


def test_marks_stand_over_their_letters() -> None:
    plain, marked = glyphs("O", 1.0), glyphs(drawable("Ö"), 1.0)
    assert len(plain) == len(marked) == 1
    assert marked[0].width == plain[0].width
    assert marked[0].strokes[: len(plain[0].strokes)] == plain[0].strokes
    dots = [stroke[0] for stroke in marked[0].strokes[len(plain[0].strokes) :]]
    assert [y > CAP for _, y in dots] == [True, True]
    assert sum(x for x, _ in dots) / 2 == pytest.approx(3.1)


# --- the picture ------------------------------------------------------------------------------------------------------


@given(st.text(max_size=250))
def test_any_title_gives_a_picture_of_the_same_size_that_holds_it(title: str) -> None:
    picture = render(title)
    assert picture.startswith(b"P6 640 360 255\n")
    assert len(picture) == len(b"P6 640 360 255\n") + 3 * WIDTH * HEIGHT
    rows = rows_with_letters(picture)
    assert rows, "at least the sentence is there"
    assert 40 < rows[0] <= rows[-1] < HEIGHT - 40


def test_the_name_is_large_and_the_sentence_small_and_below() -> None:
    rows = rows_with_letters(render("News"))
    title = [y for y in rows if y < RAIL_TOP]
    sentence = [y for y in rows if y > RAIL_TOP]
    assert len(title) > 50
    assert 8 < len(sentence) < 16
    left, right = columns_with_letters(render("News"))
    assert abs((left + right) / 2 - WIDTH / 2) < 4, "in the middle"


def test_where_nothing_of_a_name_can_be_drawn_the_sentence_stands_in_its_place() -> None:
    rows = rows_with_letters(render("中文电视"))
    assert [y for y in rows if y < RAIL_TOP]
    assert not [y for y in rows if y > RAIL_TOP + 10]


@pytest.mark.parametrize("title", ["Das Erste HD Backup of the whole Region", "W" * 200, "a very long name " * 12])
def test_a_long_name_is_wrapped_or_cut(title: str) -> None:
    left, right = columns_with_letters(render(title))
    assert left > 40
    assert right < WIDTH - 40


def test_drawing_is_fast() -> None:
    """While it is drawn, viewers wait: well under a second, however long the name."""
    code = "import time; from transcoder.slate.picture import render; a = time.process_time(); render('Wide Öß ' * 25); "
    code += "print(time.process_time() - a)"
    done = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(HOME)}, capture_output=True, check=True)
    assert float(done.stdout) < 0.5, "0.05 s on a machine that does nothing else"


# --- flags ------------------------------------------------------------------------------------------------------------


def test_it_encodes_what_the_session_sends() -> None:
    line = argv()
    assert line[line.index("-c:v") + 1] == "libx264"
    assert line[line.index("-c:a") + 1] == "aac"
    assert line[line.index("-ac") + 1] == "2"
    hevc = argv(Streams("hevc", "aac", 6))
    assert hevc[hevc.index("-c:v") + 1] == "libx265"
    assert hevc[hevc.index("-ac") + 1] == "6"
    assert "-an" in argv(Streams("h264", None, 0))
    radio = argv(Streams(None, "aac", 1))
    assert "-vn" in radio
    assert radio[radio.index("-ac") + 1] == "1"


def test_it_is_taken_for_what_it_is_whatever_is_expected() -> None:
    assert assumed_streams(job().first) == GENERATED
    assert assumed_streams(job().first._replace(expected=Streams("hevc", "ac3", 6))) == GENERATED
    for profile in ("copy", "h264"):
        assert plan(profile, GENERATED, None)[:3] == ("h264", "aac", 2)


def test_it_runs_in_real_time_after_what_a_source_would_have_had() -> None:
    line = argv()
    assert line.index("-readrate") < line.index("-i")
    assert line[line.index("-readrate_initial_burst") + 1] == "10"  # five segments of two seconds
    assert "expr:gte(t,n_forced*2)" in line


def test_nothing_of_a_title_reaches_the_command_line() -> None:
    title = "x[out0];movie=/etc/passwd'\\,%{pts}"
    line = argv(title=title)
    graph = line[line.index("-i") + 1]
    assert re.sub(r"/proc/self/fd/\d+", "", graph) == re.sub(r"/proc/self/fd/\d+", "", argv(title="News")[line.index("-i") + 1])
    assert "passwd" not in " ".join(line)
    assert f"x={RAIL_LEFT}" in graph


def test_an_address_starts_without_any_of_it() -> None:
    code = (
        "import sys; from transcoder.job import parse; from transcoder.ffmpeg.command_line import ffmpeg_argv; "
        "from transcoder.ffmpeg.stream_plan import assumed_streams, plan; "
        "job = parse(sys.stdin.read()); ffmpeg_argv('ffmpeg', job, job.first, plan('copy', assumed_streams(job.first), None)); "
        "print(sorted(name for name in sys.modules if 'slate' in name or 'lettering' in name or name == 'unicodedata'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps(GOOD).encode(),
        env={"PYTHONPATH": str(HOME)},
        capture_output=True,
        check=True,
    )
    assert done.stdout.strip() == b"[]"
