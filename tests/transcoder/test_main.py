"""How the agent begins: what it imports before FFmpeg runs, and what it says of a job that it refuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.transcoder.test_job import GOOD
from transcoder.ending import Ending
from transcoder.job import BadJob, parse

_HOME = Path(__file__).parents[2] / "transcoder-image"
_PYTHON = (sys.executable, "-S", "-s", "-P")


def run(*arguments: str, job: str = "") -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(_HOME), "TRANSCODER_JOB": job}
    return subprocess.run([*_PYTHON, *arguments], env=environment, capture_output=True, text=True, timeout=30, check=False)


def test_little_is_imported_before_ffmpeg_is_started() -> None:
    done = run("-c", "import sys, transcoder.__main__; print(*sorted(sys.modules))")
    imported = done.stdout.split()
    assert [name for name in imported if name.startswith("transcoder.")] == [
        "transcoder.__main__",
        "transcoder.bucket",
        "transcoder.ending",
        "transcoder.ffmpeg",
        "transcoder.ffmpeg.command_line",
        "transcoder.ffmpeg.process",
        "transcoder.ffmpeg.source_options",
        "transcoder.ffmpeg.stream_plan",
        "transcoder.fields",
        "transcoder.input",
        "transcoder.job",
        "transcoder.orders",
    ]
    slow = {
        "http",
        "ssl",
        "socket",
        "selectors",
        "threading",
        "queue",
        "datetime",
        "urllib",
        "urllib.parse",
        "logging",
        "subprocess",
    }
    assert slow.isdisjoint(imported)


@pytest.mark.parametrize(
    "job",
    [
        json.dumps(GOOD | {"profile": "s3cret"}),
        json.dumps({name: value for name, value in GOOD.items() if name != "window_s"}),
        json.dumps(GOOD | {"s3cret_field": 1}),
        json.dumps(GOOD | {"source": {"url": "file:///s3cret", "user_agent": None, "headers": {}}}),
        "s3cret",
        "",
    ],
)
def test_a_refused_job_is_named_for_people_and_in_json(job: str) -> None:
    done = run("-m", "transcoder", job=job)
    assert done.returncode == Ending.BAD_JOB
    with pytest.raises(BadJob) as refusal:
        parse(job)
    assert done.stderr.splitlines() == [f"bad job: {refusal.value}", json.dumps({"bad_job": str(refusal.value)})]
    assert "s3cret" not in done.stderr.replace("s3cret_field", ""), "a field is named, no value is quoted"


def test_a_plan_that_cannot_be_made_is_a_refused_job_too() -> None:
    done = run("-m", "transcoder", job=json.dumps(GOOD | {"expected": {"video": None, "audio": None, "channels": 0}}))
    assert done.returncode == Ending.BAD_JOB
    assert json.loads(done.stderr.splitlines()[-1]) == {"bad_job": "neither video nor audio"}
