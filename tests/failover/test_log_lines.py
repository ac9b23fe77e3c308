"""The log lines of a process: in the JSON form each line is one object, whatever is logged; no line contains an account."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from structlog.contextvars import bound_contextvars

from failover.log_lines import LogStream, json_lines, text_lines
from orchestrator.migrations import upgrade
from tests.api.stage import KEY
from tests.support import eventually


def record(message: object, *arguments: object, exc_info: Any = None) -> logging.LogRecord:
    made = logging.LogRecord("api.app", logging.ERROR, __file__, 1, message, arguments, exc_info)
    made.created = 1_700_000_000.25
    return made


def raised(error: Exception) -> Any:
    try:
        raise error
    except Exception:
        return sys.exc_info()


@pytest.mark.parametrize(
    "said", ['a "quoted" word', "two\nlines", "\r\x00\x1b[31m\u2028\x85", "\ud800 alone", "{'not': json}", "\\", ""]
)
def test_whatever_is_said_is_one_object_in_one_line(said: str) -> None:
    line = json_lines().format(record("%s", said))
    assert len(line.splitlines()) == 1
    assert json.loads(line) == {"at": "2023-11-14T22:13:20.250Z", "level": "ERROR", "logger": "api.app", "message": said}


def test_a_traceback_is_a_field() -> None:
    line = json_lines().format(record("it failed", exc_info=raised(ValueError('no "number"\nin it'))))
    assert len(line.splitlines()) == 1
    found = json.loads(line)
    assert (found["message"], found["error"]) == ("it failed", "ValueError")
    assert found["traceback"].startswith("Traceback (most recent call last):\n")
    assert found["traceback"].endswith('ValueError: no "number"\nin it')


def test_a_line_whose_arguments_do_not_fit_is_a_line() -> None:
    assert "%d of" in json.loads(json_lines().format(record("%d of", "three")))["message"]


def test_bound_fields_are_in_each_line() -> None:
    with bound_contextvars(session="s-1", attempt=3, source="http://tv.test/live/joe/hunter2/1.ts"):
        line = json.loads(json_lines().format(record("not stopped: %s", "no answer")))
        text = text_lines().format(record("not stopped: %s", "no answer"))
    assert (line["session"], line["attempt"], line["source"]) == ("s-1", 3, "http://tv.test/...")
    assert line["message"] == "not stopped: no answer"
    assert (
        text
        == "2023-11-14T22:13:20.250Z ERROR   api.app: not stopped: no answer attempt=3 session=s-1 source=http://tv.test/..."
    )
    assert "session" not in json.loads(json_lines().format(record("later")))


def test_text_from_outside_cannot_look_like_a_line_of_its_own() -> None:
    with bound_contextvars(request="a\nb"):
        line = text_lines().format(
            record("http://tv.test/1.ts says %s", "no\n2023-11-14T22:13:20.250Z INFO all is well\x1b[2J")
        )
    assert len(line.splitlines()) == 1
    assert "http://tv.test/... says no\\n2023" in line
    assert "request=a\\nb" in line
    assert "\x1b" not in line


@pytest.mark.parametrize("form", [json_lines(), text_lines()], ids=["json", "text"])
def test_no_account_in_a_line_nor_in_its_traceback(form: logging.Formatter) -> None:
    url = "http://tv.test/live/joe/hunter2/1.ts"
    line = form.format(record("probe of %s", url, exc_info=raised(OSError(f"cannot open {url}"))))
    assert "joe" not in line and "hunter2" not in line
    assert line.count("http://tv.test/...") >= 2


def test_what_is_printed_is_said_line_by_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    stream = LogStream(logging.getLogger("failover.serve"))
    for text in ("API  http://a:1\nruntime", "  docker\n", "\n"):
        stream.write(text)
    assert caplog.messages == ["API  http://a:1", "runtime  docker"]


# --- processes --------------------------------------------------------------------------------------------------------


def environ(directory: Path, **more: str) -> dict[str, str]:
    """Redis, the store and the engine are where nobody listens."""
    own = {
        "FAILOVER_DATABASE_URL": f"sqlite:///{directory}/failover.db",
        "FAILOVER_REDIS_URL": "redis://127.0.0.1:1",
        "FAILOVER_S3_ENDPOINT": "http://127.0.0.1:1",
        "FAILOVER_S3_ACCESS_KEY": "access",
        "FAILOVER_S3_SECRET_KEY": "secret",
        "FAILOVER_ADMIN_KEY": KEY,
        "FAILOVER_PORT": "0",
        "FAILOVER_RUNTIME": "process",
        "FAILOVER_LOG_FORMAT": "json",
    }
    return {name: value for name, value in os.environ.items() if not name.startswith("FAILOVER_")} | own | more


async def spoken(*command: str, env: dict[str, str], until: str = "") -> list[dict[str, Any]]:
    """What it says until it ends, or until it is ended once it has said a line with `until` in it. Fails where a line is not
    JSON."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, env=env, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    lines: list[bytes] = []

    async def read() -> None:
        assert process.stderr is not None
        async for line in process.stderr:
            lines.append(line)  # noqa: PERF401  # as they come

    reading = asyncio.create_task(read())
    try:
        await eventually(lambda: process.returncode is not None or (until and until in str(lines)), timeout_s=60)
        if process.returncode is None:
            process.terminate()
        async with asyncio.timeout(30):
            await process.wait()
            await reading
    finally:
        if process.returncode is None:
            process.kill()
        await asyncio.gather(reading, return_exceptions=True)
    return [json.loads(line) for line in lines]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("part", "said"),
    [("api", "API on http://127.0.0.1"), ("orchestrator", "Redis does not answer")],
    ids=["api", "orchestrator"],
)
async def test_every_part_says_json_and_nothing_else(tmp_path: Path, part: str, said: str) -> None:
    env = environ(tmp_path, FAILOVER_HOST="127.0.0.1")
    upgrade(env["FAILOVER_DATABASE_URL"])
    found = await spoken("-m", "failover", part, env=env, until=said)
    assert any(said in each["message"] for each in found), found
    assert {"at", "level", "logger", "message"} <= set.intersection(*(set(each) for each in found))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variable", "text"), [("FAILOVER_S3_SECRET_KEY", ""), ("FAILOVER_PORT", "eighty"), ("FAILOVER_PROT", "80")]
)
async def test_what_keeps_a_part_from_starting_is_json_too(tmp_path: Path, variable: str, text: str) -> None:
    found = await spoken("-m", "failover", "api", env=environ(tmp_path, **{variable: text}))
    assert [(each["level"], variable in each["message"]) for each in found] == [("ERROR", True)]


@pytest.mark.slow
async def test_wrong_usage_is_json_too(tmp_path: Path) -> None:
    found = await spoken("-m", "failover", "api", "--prot", "80", env=environ(tmp_path))
    assert [(each["level"], "unrecognized arguments: --prot" in each["message"]) for each in found] == [("ERROR", True)]


CRASHES = """
import asyncio, logging, sys, threading, warnings
from failover import log_lines
from orchestrator.app.settings import read
import os
log_lines.begin(read(os.environ))
warnings.warn("an old\\nway")
thread = threading.Thread(target=lambda: 1 / 0)
thread.start()
thread.join()
logging.getLogger("uvicorn.error").error("Exception in ASGI application\\n", exc_info=ValueError("http://tv.test/live/joe/hunter2"))
raise RuntimeError("the end: \\"http://tv.test/live/joe/hunter2\\"")
"""


@pytest.mark.slow
async def test_warnings_threads_libraries_and_the_end_by_an_exception_are_json(tmp_path: Path) -> None:
    found = await spoken("-c", CRASHES, env=environ(tmp_path))
    assert [each.get("error") for each in found] == [None, "ZeroDivisionError", "ValueError", "RuntimeError"]
    assert "hunter2" not in str(found)
