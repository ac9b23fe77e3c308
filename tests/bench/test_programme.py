"""The pictures say what a swap did to the programme."""

from __future__ import annotations

import pytest

from bench.programme import skipped_s
from lab import Recipe, default_ffmpeg
from lab.media.loop import Loop, default_cache_dir, make


@pytest.fixture(scope="module")
def loops() -> tuple[Loop, Loop]:
    return make(Recipe(picture=0), default_cache_dir(), default_ffmpeg()), make(
        Recipe(picture=1), default_cache_dir(), default_ffmpeg()
    )


@pytest.mark.parametrize(("old", "new", "skipped"), [(3, 4, 0.0), (3, 5, 2.0), (3, 3, -2.0), (11, 12, 0.0), (12, 11, -4.0)])
def test_programme_between_two_sources(loops: tuple[Loop, Loop], old: int, new: int, skipped: float) -> None:
    first, second = loops
    assert skipped_s(first.segment(old, 0), second.segment(new, 0)) == pytest.approx(skipped)


def test_media_without_a_picture_say_nothing() -> None:
    with pytest.raises(ValueError, match="no frame"):
        skipped_s(b"\x00" * 188, b"\x00" * 188)
