"""A job that the agent would refuse never becomes a container: the orchestrator, its tables and its log, with time made up."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from orchestrator.control import job
from orchestrator.core.model import Media, Phase, SourceStatus
from tests.orchestrator.simulated.world import World
from transcoder.ending import Ending

BAD = "bad job: expected.channels is not a whole number"


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it once was: of a source without a channel count, a null where a number belongs."""

    def expected(media: Media | None) -> dict[str, Any] | None:
        return None if media is None else {"video": media.video, "audio": media.audio, "channels": None}

    monkeypatch.setattr(job, "expected", expected)


@pytest.mark.usefixtures("broken")
def test_it_is_told_once_and_nothing_runs_in_a_loop(caplog: pytest.LogCaptureFixture) -> None:
    with World("a") as world:
        session_id = world.request()
        world.until(lambda: world.session(session_id).phase is Phase.UNAVAILABLE, 5.0)
        world.pass_s(600.0)
        assert world.runtime.launches == [], "no container is started for it"
        rows = world.run(world.tables.sessions.attempts(session_id))
        assert {(row.exit_code, row.end_reason) for row in rows if row.ended_at} == {(Ending.BAD_JOB, BAD)}
        assert len(rows) < 10, "in ten minutes"
        assert world.row("a").status is SourceStatus.HEALTHY
        refused = world.run(world.tables.operation.refused_jobs(0.0))
        assert {row.end_reason for row in refused} == {BAD}
    told = [record for record in caplog.records if record.levelno == logging.ERROR and BAD in record.getMessage()]
    assert len(told) == 1


def test_another_source_plays_and_the_refused_one_is_not_failed_back_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the first source alone: as where its probe has not heard any audio."""
    whole = job.expected
    with World("a", "b") as world:
        first = world.row("a").url
        launched = job.launch

        def launch(session: Any, source: Any, *rest: Any, **more: Any) -> Any:
            bad = source is not None and source.url == first
            monkeypatch.setattr(job, "expected", (lambda media: {"channels": None}) if bad else whole)
            return launched(session, source, *rest, **more)

        monkeypatch.setattr(job, "launch", launch)
        session_id = world.live()
        assert world.playing(session_id) == "b"
        world.pass_s(900.0)
        assert world.playing(session_id) == "b"
        assert len(world.run(world.tables.sessions.attempts(session_id))) == 2
