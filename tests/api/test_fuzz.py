"""Whatever is sent, it is never our own fault: a property over every route, with a key, on real SQL."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.app import create_app
from orchestrator.adapters.sql import open_tables
from orchestrator.app.settings import Settings
from tests.api.stage import KEY, ORIGIN, SOURCES, calling
from tests.fakes.event_bus import FakeEventBus
from tests.fakes.object_store import FakeObjectStore
from tests.sqlite_file import migrated

TEXT = st.one_of(st.text(max_size=40), st.sampled_from(["news", "news", "http://a/", "\0", "\r\n", "\ud800", "a" * 5000]))
NUMBER = st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False))
NAME = st.sampled_from(
    ["slug", "name", "number", "group", "logo", "enabled", "policy", "profile", "sources", "url", "user_agent", "headers",
     "priority", "viewer", "source_id", "source_ids", "channels"]
)  # fmt: skip
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBER, TEXT),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.one_of(NAME, TEXT), inner, max_size=5)),
    max_leaves=12,
)
BODY = st.one_of(JSON.map(lambda value: json.dumps(value).encode()), st.binary(max_size=60))
REQUEST = st.sampled_from(
    ["POST /v1/channels", "PATCH /v1/channels/{}", "GET /v1/channels/{}", "DELETE /v1/channels/{}", "GET /v1/channels?limit={}",
     "GET /v1/channels?after={}", "GET /v1/channels?search={}", "POST /v1/channels/{}/sources", "PUT /v1/channels/{}/sources",
     "PUT /v1/channels/{}/failovers", "PUT /v1/channels/news/failovers",
     "PATCH /v1/sources/{}", "GET /v1/sources?status={}", "POST /v1/channels/{}/sessions", "GET /v1/sessions?phase={}",
     "GET /v1/sessions/{}", "POST /v1/sessions/{}/switch", "GET /v1/sessions/{}/history?after={}",
     "GET /v1/sessions/{}/attempts/{}/log", "GET /v1/sessions/{}/attempts/1/log?lines={}",
     "GET /v1/sessions/{}/poster.jpg", "POST /console/login", "PUT /v1/drain", "GET /v1/channels/{}/history",
     "GET /watch/{}", "GET /assets/{}", "GET /stream/channel/{}/request?viewer={}",
     "GET /{}"]
)  # fmt: skip


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    url = migrated(tmp_path)
    tables = open_tables(url)
    app = create_app(Settings(admin_key=KEY, origin_url=ORIGIN), tables, FakeEventBus(), FakeObjectStore(), time.time)
    async with calling(app, Authorization=f"Bearer {KEY}", Prefer="wait=0") as client:
        yield client
    await tables.close()


@given(request=REQUEST, name=TEXT, body=BODY)
@settings(max_examples=settings().max_examples * 4, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_no_input_is_our_fault(client: httpx.AsyncClient, request: str, name: str, body: bytes) -> None:
    await client.post("/v1/channels", json={"slug": "news", "name": "News", "sources": SOURCES})
    method, _, path = request.partition(" ")
    path = path.replace("{}", quote(name.encode("utf-8", "surrogatepass"), safe=""))
    answer = await client.request(method, path, content=body if method != "GET" else None)
    assert answer.status_code < 500, answer.text
    if answer.status_code >= 400:
        problem = answer.json()
        assert problem["status"] == answer.status_code and problem["title"]
        assert answer.headers["content-type"] == "application/problem+json"
