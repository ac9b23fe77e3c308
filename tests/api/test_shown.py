"""`shown`: what viewers see, in the session's answer and in the overview."""

from __future__ import annotations

from typing import Any

import httpx
from msgspec.structs import replace

from orchestrator.core.model import SLATE, Attempt, Cause, Unavailable, Why
from tests.api.stage import Stage
from tests.fakes.tables import FakeTables


async def test_the_answers_say_it(admin: httpx.AsyncClient, stage: Stage, tables: FakeTables) -> None:
    async def answered() -> tuple[str, str]:
        session: dict[str, Any] = (await admin.get(f"/v1/sessions/{session_id}")).json()
        overview: dict[str, Any] = (await admin.get("/v1/overview")).json()
        return session["shown"], overview["sessions"][0]["shown"]

    await stage.channel()
    session_id = (await stage.session())["id"]
    assert await answered() == ("nothing", "nothing")
    await stage.go_live(session_id)
    assert await answered() == ("source", "source")
    row = tables.sessions._rows[session_id]
    unavailable = Unavailable(
        since=10.0, why=Why(Cause.SOURCE_STALLED), from_source_id="x-1", retry_at=12.0,
        trying=Attempt.on(3, "x-1", 10.0), shown=Attempt.on(2, SLATE, 5.0, 6.0),
    )  # fmt: skip
    tables.sessions._rows[session_id] = replace(row, session=replace(row.session, state=unavailable))
    assert await answered() == ("slate", "slate")
