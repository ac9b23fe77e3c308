"""Posters: one picture for each segment, however many look."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from litestar import Litestar

from api.console import thumbnails
from tests.api.conftest import SETTINGS
from tests.api.stage import Stage, rewire
from tests.api.test_overview import listed
from tests.fakes.event_bus import FakeEventBus
from tests.fakes.frames import FakeFrames
from tests.fakes.object_store import FakeObjectStore
from tests.fakes.tables import FakeTables
from transcoder import bucket


@pytest.fixture(autouse=True)
def _every_look_is_a_new_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thumbnails, "_MAX_AGE_S", -1.0)


def stored(store: FakeObjectStore, session_id: str, n: int, media: bytes) -> None:
    store.put(bucket.segment_key(session_id, 1, n), media)


@pytest.fixture
async def session(stage: Stage, store: FakeObjectStore) -> dict[str, Any]:
    await stage.channel()
    session = await stage.session()
    listed(store, session["id"], 3)
    stored(store, session["id"], 2, FakeFrames.PICTURE + b"two")
    return session


def path(session: dict[str, Any]) -> str:
    return f"/v1/sessions/{session['id']}/poster.jpg"


async def test_it_is_a_picture_of_the_newest_listed_segment(
    admin: httpx.AsyncClient, session: dict[str, Any], store: FakeObjectStore, frames: FakeFrames
) -> None:
    answer = await admin.get(path(session))
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["cache-control"] == "private, max-age=5"
    assert b"two" in answer.content
    again = await admin.get(path(session), headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert frames.made == 1
    stored(store, session["id"], 3, FakeFrames.PICTURE + b"three")
    listed(store, session["id"], 4)
    newer = await admin.get(path(session), headers={"If-None-Match": answer.headers["etag"]})
    assert newer.status_code == 200
    assert b"three" in newer.content
    assert newer.headers["etag"] != answer.headers["etag"]


async def test_many_who_look_make_one_picture(admin: httpx.AsyncClient, session: dict[str, Any], frames: FakeFrames) -> None:
    answers = await asyncio.gather(*(admin.get(path(session)) for _ in range(20)))
    assert {answer.status_code for answer in answers} == {200}
    assert frames.made == 1


async def test_a_segment_without_a_picture_shows_the_one_before(
    admin: httpx.AsyncClient, session: dict[str, Any], store: FakeObjectStore, frames: FakeFrames
) -> None:
    first = await admin.get(path(session))
    stored(store, session["id"], 3, b"in the middle of a group")
    listed(store, session["id"], 4)
    for _ in range(2):
        answer = await admin.get(path(session))
        assert (answer.content, answer.headers["etag"]) == (first.content, first.headers["etag"])
    assert frames.made == 2


async def test_where_none_can_be_made_the_old_one_is_shown(
    admin: httpx.AsyncClient, session: dict[str, Any], store: FakeObjectStore, frames: FakeFrames
) -> None:
    frames.refusing = True
    refused = await admin.get(path(session))
    assert refused.status_code == 503
    assert refused.headers["content-type"] == "application/problem+json"
    frames.refusing = False
    first = await admin.get(path(session))
    frames.refusing = True
    stored(store, session["id"], 3, FakeFrames.PICTURE + b"three")
    listed(store, session["id"], 4)
    assert (await admin.get(path(session))).content == first.content
    frames.refusing = False
    assert b"three" in (await admin.get(path(session))).content


async def test_a_session_without_a_picture_has_none(
    admin: httpx.AsyncClient, stage: Stage, store: FakeObjectStore, frames: FakeFrames
) -> None:
    await stage.channel()
    nothing, sound, gone = [await stage.session() for _ in range(3)]
    listed(store, sound["id"])
    stored(store, sound["id"], 2, b"sound alone")
    listed(store, gone["id"])
    for session in (nothing, sound, gone):
        assert (await admin.get(path(session))).status_code == 404
    assert frames.made == 1


async def test_the_session_s_own_token_opens_it_and_another_does_not(
    client: httpx.AsyncClient, session: dict[str, Any], stage: Stage
) -> None:
    other = await stage.session()
    assert (await client.get(path(session), params={"token": session["token"]})).status_code == 200
    assert (await client.get(path(session), params={"token": other["token"]})).status_code == 401


async def test_an_api_without_ffmpeg_has_none(
    app: Litestar, admin: httpx.AsyncClient, session: dict[str, Any], tables: FakeTables, store: FakeObjectStore
) -> None:
    rewire(app, SETTINGS, tables, FakeEventBus(), store, lambda: 0.0)
    assert (await admin.get(path(session))).status_code == 404


async def test_a_store_that_does_not_answer_is_said(
    admin: httpx.AsyncClient, session: dict[str, Any], store: FakeObjectStore
) -> None:
    store.refusing = True
    assert (await admin.get(path(session))).status_code == 503
