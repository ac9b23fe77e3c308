"""Channels and sources: made, read, changed, ordered, probed, deleted."""

from __future__ import annotations

import httpx
import pytest

from orchestrator.core.bounds import slug_of
from orchestrator.core.model import Cause, Media, Why
from orchestrator.ports import ProbeResult
from tests.api.stage import SOURCES, Stage
from tests.api.test_bad_input import assert_problem
from tests.fakes.event_bus import FakeEventBus
from tests.fakes.prober import FakeProber
from tests.fakes.tables import FakeTables


async def test_a_channel_is_created_with_its_sources_in_order(admin: httpx.AsyncClient) -> None:
    answer = await admin.post("/v1/channels", json={"slug": "news", "name": "News", "number": 7, "sources": SOURCES})
    channel = answer.json()
    assert answer.status_code == 201
    assert (channel["slug"], channel["name"], channel["number"], channel["enabled"]) == ("news", "News", 7, True)
    assert [(source["priority"], source["url"], source["status"]) for source in channel["sources"]] == [
        (1, SOURCES[0]["url"], "unknown"),
        (2, SOURCES[1]["url"], "unknown"),
    ]
    assert channel["sources"][0]["headers"] == {"Referer": "http://one.test/"}
    assert channel["sources"][1]["user_agent"] == "VLC/3.0"
    for name in ("news", channel["id"]):
        assert (await admin.get(f"/v1/channels/{name}")).json() == channel


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Das Erste HD", "das-erste-hd"),
        ("Télé+ 24", "tele-24"),
        ("中央电视台", "channel"),
        ("--", "channel"),
        ("A" * 200, "a" * 48),
    ],
)
def test_a_slug_is_made_from_the_name(name: str, slug: str) -> None:
    assert slug_of(name) == slug


async def test_made_slugs_get_out_of_each_others_way_and_given_ones_do_not(
    admin: httpx.AsyncClient, tables: FakeTables
) -> None:
    slugs = [(await admin.post("/v1/channels", json={"name": "News"})).json()["slug"] for _ in range(3)]
    assert slugs == ["news", "news-2", "news-3"]
    assert_problem(await admin.post("/v1/channels", json={"name": "News", "slug": "news"}), 409)
    assert len(await tables.catalogue.channels()) == 3


async def test_only_what_is_given_changes(admin: httpx.AsyncClient, stage: Stage) -> None:
    before = await stage.channel(number=7, group="Information")
    after = (
        await admin.patch("/v1/channels/news", json={"name": "World news", "number": None, "policy": {"profile": "h264"}})
    ).json()
    assert after["updated_at"] >= before["updated_at"]
    policy = before["policy"] | {"profile": "h264"}
    changed = {"name": "World news", "number": None, "policy": policy, "updated_at": after["updated_at"]}
    assert after == before | changed
    await stage.channel(slug="sport", name="Sport")
    assert_problem(await admin.patch("/v1/channels/news", json={"slug": "sport"}), 409)
    assert_problem(await admin.patch("/v1/channels/news", json={"name": None}), 422, "name")
    assert_problem(await admin.patch("/v1/channels/news", json={"enabled": "no"}), 422, "enabled")
    assert (await admin.get("/v1/channels/news")).json() == after


async def test_what_becomes_of_hevc_is_a_policy(admin: httpx.AsyncClient, stage: Stage) -> None:
    assert (await stage.channel())["policy"]["hevc"] == "copy"
    changed = await admin.patch("/v1/channels/news", json={"policy": {"hevc": "h264"}})
    assert (changed.json()["policy"]["hevc"], changed.json()["policy"]["profile"]) == ("h264", "copy")
    assert_problem(await admin.patch("/v1/channels/news", json={"policy": {"hevc": "vp9"}}), 422, "policy.hevc")


async def test_channels_are_paged_and_searched(admin: httpx.AsyncClient, stage: Stage) -> None:
    for number in range(5):
        await stage.channel(slug=f"news-{number}", name=f"News {number}", number=5 - number)
    seen: list[str] = []
    after: str | None = None
    while True:
        page = (await admin.get("/v1/channels", params={"limit": 2} | ({"after": after} if after else {}))).json()
        seen += [channel["slug"] for channel in page["items"]]
        if (after := page["next"]) is None:
            break
    assert seen == ["news-4", "news-3", "news-2", "news-1", "news-0"]
    found = (await admin.get("/v1/channels", params={"search": "News 3"})).json()
    assert [channel["slug"] for channel in found["items"]] == ["news-3"]


async def test_a_deleted_channel_is_gone_with_its_sources(admin: httpx.AsyncClient, stage: Stage) -> None:
    channel = await stage.channel()
    answer = await admin.delete("/v1/channels/news")
    assert (answer.status_code, answer.content) == (204, b"")
    assert_problem(await admin.get("/v1/channels/news"), 404)
    assert_problem(await admin.get(f"/v1/sources/{channel['sources'][0]['id']}"), 404)
    assert_problem(await admin.delete("/v1/channels/news"), 404)


async def test_sources_are_added_ordered_and_deleted(admin: httpx.AsyncClient, stage: Stage) -> None:
    await stage.channel()
    added = await admin.post("/v1/channels/news/sources", json={"url": "rtmp://three.test/live", "priority": 1})
    assert added.status_code == 201 and added.json()["priority"] == 1
    last = (await admin.post("/v1/channels/news/sources", json={"url": "srt://:9000"})).json()
    listed = (await admin.get("/v1/channels/news/sources")).json()
    ids = [source["id"] for source in listed]
    assert ids[0] == added.json()["id"] and ids[-1] == last["id"]
    ordered = (await admin.put("/v1/channels/news/sources", json={"source_ids": ids[::-1]})).json()
    assert [(source["id"], source["priority"]) for source in ordered] == list(zip(ids[::-1], (1, 2, 3, 4), strict=True))
    for wrong in (ids[1:], [*ids, ids[0]], [*ids[1:], "x-unknown"], "x-1"):
        assert_problem(await admin.put("/v1/channels/news/sources", json={"source_ids": wrong}), 422, "source_ids")
    assert (await admin.delete(f"/v1/sources/{last['id']}")).status_code == 204
    left = (await admin.get("/v1/channels/news/sources")).json()
    assert [source["priority"] for source in left] == [1, 2, 3]


async def test_a_channel_has_at_most_64_sources(admin: httpx.AsyncClient, stage: Stage, tables: FakeTables) -> None:
    channel = await stage.channel(sources=[{"url": f"http://{n}.test/"} for n in range(64)])
    assert_problem(await admin.post("/v1/channels/news/sources", json={"url": "http://a.test/"}), 422, "sources")
    assert len(await tables.catalogue.sources(channel["id"])) == 64


async def test_a_source_is_changed(admin: httpx.AsyncClient, stage: Stage) -> None:
    source = (await stage.channel())["sources"][1]
    path = f"/v1/sources/{source['id']}"
    assert (await admin.get(path)).json() == source
    assert (await admin.patch(path, json={"enabled": False})).json() == source | {"status": "disabled"}
    assert (await admin.patch(path, json={"enabled": True})).json() == source
    changed = (await admin.patch(path, json={"url": "http://four.test/", "user_agent": "", "headers": {"A": "b"}})).json()
    assert changed == source | {"url": "http://four.test/", "user_agent": None, "headers": {"A": "b"}}
    assert (await admin.patch(path, json={})).json() == changed
    assert_problem(await admin.patch(path, json={"status": "healthy"}), 422, "status")


async def test_a_probe_is_recorded(admin: httpx.AsyncClient, stage: Stage, prober: FakeProber) -> None:
    source = (await stage.channel())["sources"][0]
    path = f"/v1/sources/{source['id']}"
    prober.results[source["url"]] = ProbeResult.fails(Why(Cause.UNREADABLE, "404 Not Found"))
    failed = (await admin.post(f"{path}/probe")).json()
    assert (failed["status"], failed["last_failure_reason"]) == ("problematic", "404 Not Found")
    assert [each["id"] for each in (await admin.get("/v1/sources?status=problematic")).json()] == [source["id"]]
    prober.results[source["url"]] = ProbeResult(Media(video="h264", audio="aac", channels=2, width=640, height=360))
    works = (await admin.post(f"{path}/probe")).json()
    assert (works["status"], works["media"]["video"], works["media"]["width"]) == ("recovered", "h264", 640)
    assert works["last_checked_at"].endswith("Z")
    assert (await admin.get("/v1/sources")).json() == []
    assert_problem(await admin.post("/v1/sources/x-unknown/probe"), 404)


@pytest.mark.parametrize("gone", ["disabled", "deleted"])
async def test_the_end_of_a_channel_is_told_to_its_sessions_at_once(
    admin: httpx.AsyncClient, stage: Stage, bus: FakeEventBus, tables: FakeTables, gone: str
) -> None:
    """Its viewers do not look at a still picture until the orchestrator has found out by itself."""
    channel = await stage.channel()
    await stage.channel(slug="sport", name="Sport")
    ended, others = [await stage.session(slug) for slug in ("news", "sport")]
    bus.nudged.clear()
    await admin.patch("/v1/channels/news", json={"name": "News 24"})
    assert bus.nudged == [], "a name ends nothing"
    if gone == "disabled":
        await admin.patch("/v1/channels/news", json={"enabled": False})
    else:
        await admin.delete(f"/v1/channels/{channel['id']}")
    assert bus.nudged == [ended["id"]] != [others["id"]]
    bus.refusing = True
    assert (await admin.delete("/v1/channels/sport")).status_code == 204, "Redis is a hint"
