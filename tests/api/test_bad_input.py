"""What cannot be accepted: a problem document with the field's name, nothing stored, nothing started."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.api.stage import SOURCES, Stage
from tests.fakes.event_bus import FakeEventBus
from tests.fakes.tables import FakeTables

GOOD = {"slug": "news", "name": "News", "sources": SOURCES}


def source(**members: Any) -> dict[str, Any]:
    return {**GOOD, "sources": [{"url": "http://one.test/"}, {"url": "http://two.test/", **members}]}


BAD_CHANNELS: list[tuple[str, Any, str]] = [
    ("not an object", ["news"], "body"),
    ("null", None, "body"),
    ("name missing", {"slug": "news"}, "name"),
    ("name empty", {**GOOD, "name": ""}, "name"),
    ("name blank", {**GOOD, "name": "   "}, "name"),
    ("name a number", {**GOOD, "name": 7}, "name"),
    ("name too long", {**GOOD, "name": "n" * 201}, "name"),
    ("name with a line break", {**GOOD, "name": "News\n"}, "name"),
    ("name with a NUL", {**GOOD, "name": "Ne\0ws"}, "name"),
    ("slug with capitals", {**GOOD, "slug": "News"}, "slug"),
    ("slug with a line break", {**GOOD, "slug": "news\n"}, "slug"),
    ("slug that climbs", {**GOOD, "slug": "../news"}, "slug"),
    ("slug empty", {**GOOD, "slug": ""}, "slug"),
    ("slug too long", {**GOOD, "slug": "n" * 64}, "slug"),
    ("number a text", {**GOOD, "number": "7"}, "number"),
    ("number beyond SQL", {**GOOD, "number": 1 << 70}, "number"),
    ("number negative", {**GOOD, "number": -1}, "number"),
    ("enabled a text", {**GOOD, "enabled": "true"}, "enabled"),
    ("group too long", {**GOOD, "group": "g" * 201}, "group"),
    ("logo too long", {**GOOD, "logo": "http://logo.test/" + "l" * 4096}, "logo"),
    ("unknown member", {**GOOD, "colour": "red"}, "colour"),
    ("unknown profile", {**GOOD, "policy": {"profile": "av1"}}, "policy.profile"),
    ("unknown policy", {**GOOD, "policy": {"speed": 1}}, "policy.speed"),
    ("sources a text", {**GOOD, "sources": "http://one.test/"}, "sources"),
    ("too many sources", {**GOOD, "sources": [{"url": "http://one.test/"}] * 65}, "sources"),
    ("source a text", {**GOOD, "sources": ["http://one.test/"]}, "sources[0]"),
    ("url missing", {**GOOD, "sources": [{"url": "http://one.test/"}, {}]}, "sources[1].url"),
    ("url null", source(url=None), "sources[1].url"),
    ("url empty", source(url=""), "sources[1].url"),
    ("url too long", source(url="http://two.test/" + "u" * 4096), "sources[1].url"),
    ("url with a space", source(url="http://two.test/a b"), "sources[1].url"),
    ("url with a line break", source(url="http://two.test/\r\nX-Evil: 1"), "sources[1].url"),
    ("url without scheme", source(url="two.test/live.m3u8"), "sources[1].url"),
    ("url without host", source(url="http:///live.m3u8"), "sources[1].url"),
    ("url with a bad port", source(url="http://two.test:70000/"), "sources[1].url"),
    ("url with a broken address", source(url="http://[::1/live"), "sources[1].url"),
    ("file", source(url="file:///etc/passwd"), "sources[1].url"),
    ("concat", source(url="concat:http://a|http://b"), "sources[1].url"),
    ("data", source(url="data:video/mp2t;base64,AAAA"), "sources[1].url"),
    ("pipe", source(url="pipe:0"), "sources[1].url"),
    ("subfile", source(url="subfile,,start,0,end,9,,:http://two.test/"), "sources[1].url"),
    ("user agent with a line break", source(user_agent="VLC\r\nX-Evil: 1"), "sources[1].user_agent"),
    ("user agent too long", source(user_agent="u" * 501), "sources[1].user_agent"),
    ("headers a list", source(headers=["A: b"]), "sources[1].headers"),
    ("header name with a space", source(headers={"A b": "c"}), "sources[1].headers"),
    ("header name with a colon", source(headers={"A:": "c"}), "sources[1].headers"),
    ("header name too long", source(headers={"A" * 65: "c"}), "sources[1].headers"),
    ("header with a line break", source(headers={"A": "b\r\nX-Evil: 1"}), "sources[1].headers"),
    ("header a number", source(headers={"A": 1}), "sources[1].headers"),
    ("header too long", source(headers={"A": "b" * 4097}), "sources[1].headers"),
    ("too many headers", source(headers={f"A{n}": "b" for n in range(33)}), "sources[1].headers"),
    ("unknown member of a source", source(priority=1), "sources[1].priority"),
]


def assert_problem(answer: httpx.Response, status: int, field: str | None = None) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert problem["status"] == status
    assert problem["title"]
    assert problem["type"].startswith("urn:hls-failover:problem:")
    assert problem["instance"] == answer.request.url.path
    assert problem.get("field") == field
    assert "Traceback" not in answer.text
    return problem


@pytest.mark.parametrize(("body", "field"), [pytest.param(body, field, id=what) for what, body, field in BAD_CHANNELS])
async def test_a_bad_channel_is_refused_by_field_and_not_stored(
    admin: httpx.AsyncClient, tables: FakeTables, body: Any, field: str
) -> None:
    assert_problem(await admin.post("/v1/channels", json=body), 422, field)
    assert await tables.catalogue.channels() == ()


@pytest.mark.parametrize(
    ("url", "code", "allowed"),
    [
        ("ftp://two.test/1.ts", "scheme", ["http", "https", "rtmp", "rtmps", "rtp", "rtsp", "srt", "udp"]),
        ("http:///live.m3u8", "no-host", None),
        ("http://two.test:70000/", "not-an-address", None),
        ("http://two.test/a b", "characters", None),
    ],
)
async def test_a_program_reads_what_is_wrong_as_a_code(
    admin: httpx.AsyncClient, url: str, code: str, allowed: list[str] | None
) -> None:
    problem = assert_problem(await admin.post("/v1/channels", json=source(url=url)), 422, "sources[1].url")
    assert (problem["code"], problem.get("allowed")) == (code, allowed)


async def test_an_unknown_provider_has_a_code_and_a_message_of_the_decoder_has_none(admin: httpx.AsyncClient) -> None:
    unknown = assert_problem(await admin.post("/v1/channels", json=source(provider_id="p-none")), 422, "sources[1].provider_id")
    assert unknown["code"] == "no-provider"
    assert "code" not in assert_problem(await admin.post("/v1/channels", json=source(url=7)), 422, "sources[1].url")


@pytest.mark.parametrize(
    "body",
    [b"{", b"{nope", b"\xff\xfe", b'{"name": "\\ud800"}', b'{"name": "News"} x', b"[" * 100_000, b'{"name":' * 100_000],
    ids=["cut off", "no member", "no UTF-8", "lone surrogate", "trailing", "deep list", "deep object"],
)
async def test_what_is_not_json_is_refused(admin: httpx.AsyncClient, tables: FakeTables, body: bytes) -> None:
    answer = await admin.post("/v1/channels", content=body, headers={"content-type": "application/json"})
    assert answer.status_code in (400, 422)
    assert answer.headers["content-type"] == "application/problem+json"
    assert "title" in answer.json()
    assert await tables.catalogue.channels() == ()


async def test_malformed_json_says_so(admin: httpx.AsyncClient) -> None:
    problem = assert_problem(await admin.post("/v1/channels", content=b'{"name": "News",}'), 400)
    assert "not JSON" in problem["detail"]


async def test_a_missing_body_is_named(admin: httpx.AsyncClient) -> None:
    assert_problem(await admin.post("/v1/channels"), 422, "body")


async def test_a_body_beyond_all_measure_is_not_read(admin: httpx.AsyncClient, tables: FakeTables) -> None:
    assert_problem(await admin.post("/v1/channels", content=b"x" * (2 << 20)), 413)
    assert await tables.catalogue.channels() == ()


async def test_a_refused_address_is_not_repeated(admin: httpx.AsyncClient) -> None:
    answer = await admin.post("/v1/channels", json=source(url="file://user:secret@host/"))
    assert "secret" not in answer.text


@pytest.mark.parametrize("change", [{"url": "file:///etc/passwd"}, {"url": "gopher://one.test/"}])
async def test_a_source_cannot_be_changed_to_a_refused_scheme(
    admin: httpx.AsyncClient, stage: Stage, tables: FakeTables, change: dict[str, Any]
) -> None:
    source_id = (await stage.channel())["sources"][0]["id"]
    assert_problem(await admin.patch(f"/v1/sources/{source_id}", json=change), 422, "url")
    assert (await tables.catalogue.source(source_id)).url == SOURCES[0]["url"]


async def test_a_bad_source_is_not_added(admin: httpx.AsyncClient, stage: Stage, tables: FakeTables) -> None:
    channel = await stage.channel()
    assert_problem(await admin.post("/v1/channels/news/sources", json={"url": "file:///etc/passwd"}), 422, "url")
    assert_problem(await admin.post("/v1/channels/news/sources", json={"url": "http://a/", "priority": 0}), 422, "priority")
    assert len(await tables.catalogue.sources(channel["id"])) == 2


@pytest.mark.parametrize("channel", ["nowhere", "c-0", "%00", "a%20b", "n" * 500, "..%2f..%2fetc"])
async def test_an_unknown_channel_is_404(client: httpx.AsyncClient, admin: httpx.AsyncClient, channel: str) -> None:
    for call in (
        admin.post(f"/v1/channels/{channel}/sessions", json={}),
        admin.get(f"/v1/channels/{channel}"),
        admin.delete(f"/v1/channels/{channel}"),
        admin.get(f"/stream/channel/{channel}/request"),
        client.get(f"/watch/{channel}"),
        client.get(f"/watch/{channel}.m3u8"),
        client.post(f"/watch/{channel}/session"),
    ):
        answer = await call
        assert answer.status_code == 404, (answer.request.url, answer.text)
        assert answer.headers["content-type"] == "application/problem+json"


async def test_a_channel_without_sources_starts_nothing(
    admin: httpx.AsyncClient, client: httpx.AsyncClient, stage: Stage, tables: FakeTables, bus: FakeEventBus
) -> None:
    await stage.channel(sources=[])
    for answer in (
        await admin.post("/v1/channels/news/sessions"),
        await admin.get("/stream/channel/news/request"),
        await client.get("/watch/news.m3u8"),
        await client.post("/watch/news/session"),
    ):
        problem = assert_problem(answer, 409)
        assert problem["detail"] == "the channel has no source"
    assert await tables.sessions.recent() == ()


async def test_a_disabled_channel_starts_nothing(admin: httpx.AsyncClient, stage: Stage, tables: FakeTables) -> None:
    await stage.channel(enabled=False)
    problem = assert_problem(await admin.post("/v1/channels/news/sessions", json={"viewer": "alice"}), 409)
    assert problem["detail"] == "the channel is disabled"
    assert await tables.sessions.recent() == ()


async def test_a_channel_with_disabled_sources_alone_starts_nothing(
    admin: httpx.AsyncClient, stage: Stage, tables: FakeTables
) -> None:
    for each in (await stage.channel())["sources"]:
        assert (await admin.patch(f"/v1/sources/{each['id']}", json={"enabled": False})).json()["status"] == "disabled"
    assert_problem(await admin.post("/v1/channels/news/sessions"), 409)
    assert await tables.sessions.recent() == ()


@pytest.mark.parametrize(
    ("body", "field"),
    [({"viewer": 7}, "viewer"), ({"viewer": ""}, "viewer"), ({"viewer": "v" * 201}, "viewer"), ({"viewer": "a\nb"}, "viewer"),
     ({"wait": 5}, "wait"), ([], "body")],
)  # fmt: skip
async def test_a_bad_session_request_starts_nothing(
    admin: httpx.AsyncClient, stage: Stage, tables: FakeTables, body: Any, field: str
) -> None:
    await stage.channel()
    assert_problem(await admin.post("/v1/channels/news/sessions", json=body), 422, field)
    assert await tables.sessions.recent() == ()


@pytest.mark.parametrize("query", ["limit=x", "limit=0", "limit=100000", "limit=-1"])
async def test_a_bad_parameter_is_named(admin: httpx.AsyncClient, query: str) -> None:
    assert_problem(await admin.get(f"/v1/channels?{query}"), 422, "limit")


async def test_a_page_after_nothing_is_refused(admin: httpx.AsyncClient) -> None:
    assert_problem(await admin.get("/v1/channels?after=c-unknown"), 422, "after")
    assert_problem(await admin.get("/v1/channels?after=%00"), 422, "after")


async def test_unknown_routes_and_methods_are_problems(admin: httpx.AsyncClient) -> None:
    assert_problem(await admin.get("/nowhere"), 404)
    answer = await admin.put("/v1/channels", json={})
    assert_problem(answer, 405)
    assert set(answer.headers["allow"].split(", ")) == {"GET", "OPTIONS", "POST"}
    answer = await admin.put("/v1/channels/news", json={})
    assert_problem(answer, 405)
    assert set(answer.headers["allow"].split(", ")) == {"DELETE", "GET", "OPTIONS", "PATCH"}
