"""What is concluded from ffprobe's standard error."""

from __future__ import annotations

import pytest

from orchestrator.adapters.ffmpeg.failure_reasons import Next, read_failure
from orchestrator.core.model import Cause


@pytest.mark.parametrize(
    ("said", "cause", "then"),
    [
        ("[error] srt://host: Protocol not found", Cause.UNPLAYABLE, Next.NO_VERDICT),
        ("[error] Invalid data found when processing input", Cause.UNPLAYABLE, Next.ASK_THE_SERVER),
        ("[error] Connection refused", Cause.UNREACHABLE, Next.NOTHING),
        ("[warning] HTTP error 404 Not Found\n[error] Invalid data found", Cause.REFUSES, Next.NOTHING),
        ("[error] something new", Cause.UNREADABLE, Next.NOTHING),
        ("", Cause.UNPLAYABLE, Next.NOTHING),
    ],
)
def test_a_message_gives_a_cause_and_what_is_done_next(said: str, cause: Cause, then: Next) -> None:
    reading = read_failure(said)
    assert reading is not None
    assert (reading.why.cause, reading.next) == (cause, then)


def test_a_killed_ffprobe_says_nothing() -> None:
    assert read_failure(None) is None
