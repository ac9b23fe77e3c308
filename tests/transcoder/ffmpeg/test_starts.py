"""Where FFmpeg is started, the limits on openings hold: for new legs and in place, by provider, with orders only."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from tests.transcoder.test_job import GOOD
from transcoder.ffmpeg.starts import FfmpegStarts
from transcoder.ffmpeg.stream_plan import USUAL, plan
from transcoder.input import Input
from transcoder.job import Job, parse

PLAN = plan("copy", USUAL, None)


def job_with_orders() -> Job:
    job: dict[str, Any] = copy.deepcopy(GOOD)
    source, expected = job.pop("source"), job.pop("expected")
    providers = {"a": "p", "b": "p", "c": "q"}
    job["orders"] = {
        "version": 1,
        "inputs": [{"id": n, "provider": of, "source": source, "expected": expected} for n, of in providers.items()],
        "play": {"request": 1, "input": "a"},
        "unattended_s": 60,
    }
    job["store"]["reports"] = {"url": "http://store/bucket", "fields": {}, "prefix": "inbox/s-7f3a.3."}
    job["store"]["orders"] = {"get": "http://store/o?g"}
    return parse(json.dumps(job))


@pytest.fixture
def ffmpeg(tmp_path: Path) -> str:
    idle = tmp_path / "ffmpeg"
    idle.write_text("#!/bin/sh\nexec sleep 60\n")
    idle.chmod(0o755)
    return str(idle)


class Starts(FfmpegStarts):
    """Ends what it has started."""

    def starts(self, input: Input, now_s: float) -> bool:
        process = self.start(input, PLAN, now_s)
        if process is not None:
            process.stop()
        return process is not None


def made(job: Job, ffmpeg: str) -> Starts:
    return Starts(job, ffmpeg, 100.0)


@pytest.fixture
def ordered(ffmpeg: str) -> tuple[Starts, Input, Input, Input]:
    job = job_with_orders()
    assert job.orders is not None
    a, b, c = job.orders.inputs
    return made(job, ffmpeg), a, b, c


def test_all_starts_of_a_provider_count_also_the_first(ordered: tuple[Starts, Input, Input, Input]) -> None:
    starts, a, b, c = ordered
    assert [starts.starts(each, 101.0) for each in (a, b, a, b)] == [True, True, True, False]
    assert starts.starts(c, 101.0), "another provider"
    assert not starts.starts(a, 109.9)
    assert starts.starts(a, 110.0)


def test_a_new_leg_leaves_an_opening_for_its_correction(ordered: tuple[Starts, Input, Input, Input]) -> None:
    starts, a, b, _ = ordered
    assert starts.starts(a, 101.0)
    assert starts.starts(b, 102.0)
    assert starts.opens_at_s(b, 103.0, corrects=False) == 110.0
    assert starts.opens_at_s(b, 103.0, corrects=True) == 103.0


def test_a_provider_that_refuses_the_account_is_not_opened_for_a_minute_not_even_in_place(
    ordered: tuple[Starts, Input, Input, Input],
) -> None:
    starts, a, b, c = ordered
    starts.answered(a, 403, 101.0)
    starts.answered(c, 404, 101.0)
    starts.answered(c, None, 101.0)
    assert not starts.starts(b, 160.9)
    assert starts.starts(c, 102.0)
    assert starts.starts(b, 161.0)


def test_without_orders_nothing_is_limited(ffmpeg: str) -> None:
    job = parse(json.dumps(GOOD))
    starts = made(job, ffmpeg)
    starts.answered(job.first, 403, 100.0)
    assert all(starts.starts(job.first, 100.0) for _ in range(14))
