"""The log on its way to the store: seconds old while the attempt runs, whole at its end, and in nobody's way."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from tests.support import eventually_sync
from tests.transcoder.publish.test_store import Server, job
from tests.transcoder.publish.test_store import server as server
from transcoder.publish import log_upload
from transcoder.publish.attempt_log import AttemptLog
from transcoder.publish.log_upload import LogUpload


@pytest.fixture(autouse=True)
def _no_thread_is_left_over() -> Iterator[None]:
    yield
    eventually_sync(lambda: all(thread.name != "log-lane" for thread in threading.enumerate()), timeout_s=3.0)


def documents(server: Server) -> list[bytes]:
    return [body for method, _, _, body in server.asked if method == "PUT"]


def test_it_is_sent_while_the_attempt_runs_and_only_when_it_has_news(server: Server) -> None:
    log = AttemptLog()
    lane = LogUpload(job(server.url), log, 100.0)
    lane.look(102.0)
    log("first media")
    lane.look(101.9)
    assert server.asked == [], "neither without news nor in the first moments"
    lane.look(102.0)
    eventually_sync(lambda: lane._stored == 1)
    assert b"first media" in documents(server)[-1]
    lane.look(150.0)
    log("30 segments listed", news=False)
    lane.look(200.0)
    assert len(documents(server)) == 1, "a healthy attempt's log is quiet"
    log("source falters")
    log("and again")
    lane.look(200.0)
    eventually_sync(lambda: lane._stored == 3)
    assert b"30 segments listed" in documents(server)[-1], "what is no news goes along"
    log("too soon")
    lane.look(209.9)
    lane.finish()
    sent = documents(server)
    assert len(sent) == 3
    assert sent[-1] == log.document()
    assert server.connections == 1


def test_an_attempt_that_was_quiet_to_its_end_is_sent_then(server: Server) -> None:
    log = AttemptLog()
    lane = LogUpload(job(server.url), log, 100.0)
    log("asked to end")
    lane.finish()
    assert documents(server) == [log.document()]


def test_what_the_store_did_not_take_is_sent_again(server: Server) -> None:
    log = AttemptLog()
    lane = LogUpload(job(server.url), log, 100.0)
    log("first media")
    server.answer = 503, {}, b""
    lane.look(102.0)
    eventually_sync(lambda: len(documents(server)) == 1)
    server.answer = 200, {}, b""
    eventually_sync(lane._documents.empty)
    lane.look(111.9)
    assert len(documents(server)) == 1
    lane.look(112.0)
    eventually_sync(lambda: lane._stored == 1)
    lane.finish()


def test_the_last_one_wins_over_one_that_is_slow(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first upload is still on its way when the attempt ends: the last comes behind it, never before."""
    monkeypatch.setattr(log_upload, "_UPLOAD_S", 5.0)
    held = threading.Event()
    server.answers = lambda: held.wait(5.0)
    log = AttemptLog()
    lane = LogUpload(job(server.url), log, 100.0)
    log("first media")
    lane.look(102.0)
    eventually_sync(lambda: len(documents(server)) == 1)
    log("asked to end")
    threading.Timer(0.1, held.set).start()
    lane.finish()
    assert len(documents(server)) == 2
    assert documents(server)[-1] == log.document()


def test_a_store_that_hangs_holds_up_neither_the_attempt_nor_its_end_for_long(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_upload, "_UPLOAD_S", 0.2)
    held = threading.Event()
    server.answers = lambda: held.wait(5.0)
    log = AttemptLog()
    lane = LogUpload(job(server.url), log, 100.0)
    started_s = time.monotonic()
    for n in range(50):
        log("line")
        lane.look(102.0 + 10 * n)
    assert time.monotonic() - started_s < 0.2
    lane.finish()
    assert time.monotonic() - started_s < 1.5
    held.set()
