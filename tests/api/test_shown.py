"""`shown`: what viewers see, in the session's answer and in the overview."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from msgspec.structs import replace

from api.session.views import Shown, shown_by
from orchestrator.core.model import SLATE, Attempt, Phase, Session
from tests.api.stage import Stage
from tests.fakes.tables import FakeTables

SESSION = Session(id="s-1", channel_id="c-1", viewer="alice", created_at=0.0)
SOURCE = Attempt(3, "x-1", 10.0)
STARTED_SLATE = Attempt(2, SLATE, 5.0)
LISTED_SLATE = Attempt(2, SLATE, 5.0, 6.0)


@pytest.mark.parametrize(
    ("phase", "attempt", "previous", "shown"),
    [
        (Phase.REQUESTED, None, None, Shown.NOTHING),
        (Phase.STARTING, SOURCE, None, Shown.NOTHING),
        (Phase.LIVE, SOURCE, None, Shown.SOURCE),
        (Phase.SWITCHING, SOURCE, Attempt(1, "x-2", 0.0, 1.0), Shown.SOURCE),
        (Phase.UNAVAILABLE, None, None, Shown.NOTHING),
        (Phase.UNAVAILABLE, STARTED_SLATE, None, Shown.NOTHING),
        (Phase.UNAVAILABLE, LISTED_SLATE, None, Shown.SLATE),
        (Phase.UNAVAILABLE, SOURCE, LISTED_SLATE, Shown.SLATE),
        (Phase.UNAVAILABLE, SOURCE, None, Shown.NOTHING),
        (Phase.ENDED, None, None, Shown.NOTHING),
    ],
)
def test_what_viewers_see(phase: Phase, attempt: Attempt | None, previous: Attempt | None, shown: Shown) -> None:
    assert shown_by(replace(SESSION, phase=phase, attempt=attempt, previous=previous)) is shown


async def test_the_answers_say_it(admin: httpx.AsyncClient, stage: Stage, tables: FakeTables) -> None:
    async def said() -> tuple[str, str]:
        session: dict[str, Any] = (await admin.get(f"/v1/sessions/{session_id}")).json()
        overview: dict[str, Any] = (await admin.get("/v1/overview")).json()
        return session["shown"], overview["sessions"][0]["shown"]

    await stage.channel()
    session_id = (await stage.session())["id"]
    assert await said() == ("nothing", "nothing")
    await stage.go_live(session_id)
    assert await said() == ("source", "source")
    row = tables.sessions._rows[session_id]
    unavailable = replace(row.session, phase=Phase.UNAVAILABLE, attempt=SOURCE, previous=LISTED_SLATE)
    tables.sessions._rows[session_id] = replace(row, session=unavailable)
    assert await said() == ("slate", "slate")
