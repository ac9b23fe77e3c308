"""Failover channels over HTTP: set, read, refused; a running session may be switched to what stands behind its channel."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.api.stage import Stage
from tests.api.test_bad_input import assert_problem
from tests.fakes.tables import FakeTables

PATH = "/v1/channels/news/failovers"


async def three(stage: Stage) -> list[dict[str, Any]]:
    return [await stage.channel(slug=slug, name=slug.title()) for slug in ("news", "sport", "weather")]


def named(channel: dict[str, Any]) -> dict[str, Any]:
    return {name: channel[name] for name in ("id", "slug", "name")}


async def test_failover_channels_are_set_by_slug_or_id_and_read_back_in_order(admin: httpx.AsyncClient, stage: Stage) -> None:
    news, sport, weather = await three(stage)
    assert (await admin.get(PATH)).json() == {"channels": []}
    answer = await admin.put(PATH, json={"channels": ["weather", sport["id"]]})
    assert answer.status_code == 200
    assert answer.json() == {"channels": [named(weather), named(sport)]}
    assert (await admin.get(f"/v1/channels/{news['id']}/failovers")).json() == answer.json()
    assert (await admin.put(PATH, json={"channels": ["sport"]})).json() == {"channels": [named(sport)]}
    assert (await admin.put(PATH, json={"channels": []})).json() == {"channels": []}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"channels": ["news"]}, "channels"),
        ({"channels": ["sport", "news"]}, "channels"),
        ({"channels": ["sport", "sport"]}, "channels"),
        ({"channels": ["nobody"]}, "channels"),
        ({"channels": ["../sport"]}, "channels"),
        ({"channels": [""]}, "channels"),
        ({"channels": ["s" * 65]}, "channels"),
        ({"channels": ["sport"] * 17}, "channels"),
        ({"channels": "sport"}, "channels"),
        ({"channels": [7]}, "channels"),
        ({"channels": None}, "channels"),
        ({}, "channels"),
        ({"channels": [], "more": 1}, "more"),
        ([], "body"),
    ],
)
async def test_a_list_that_makes_no_sense_is_refused_and_changes_nothing(
    admin: httpx.AsyncClient, stage: Stage, body: Any, field: str
) -> None:
    await three(stage)
    before = (await admin.put(PATH, json={"channels": ["weather"]})).json()
    problem = assert_problem_of(await admin.put(PATH, json=body), field)
    assert problem["detail"]
    assert (await admin.get(PATH)).json() == before


def assert_problem_of(answer: httpx.Response, field: str) -> dict[str, Any]:
    """The field, or a member of it."""
    assert answer.status_code == 422, answer.text
    named_field: str = answer.json()["field"]
    assert named_field.partition("[")[0] == field
    return assert_problem(answer, 422, named_field)


async def test_one_channel_under_two_names_stands_there_twice(admin: httpx.AsyncClient, stage: Stage) -> None:
    _, sport, _ = await three(stage)
    assert_problem(await admin.put(PATH, json={"channels": ["sport", sport["id"]]}), 422, "channels")


async def test_an_unknown_channel_has_no_failover_channels(admin: httpx.AsyncClient) -> None:
    assert_problem(await admin.get(PATH), 404)
    assert_problem(await admin.put(PATH, json={"channels": []}), 404)


async def test_failover_channels_are_the_operators_business(client: httpx.AsyncClient, stage: Stage) -> None:
    await three(stage)
    assert_problem(await client.get(PATH), 401)
    assert_problem(await client.put(PATH, json={"channels": ["sport"]}), 401)


async def test_a_session_may_be_switched_to_a_source_behind_its_channel(
    admin: httpx.AsyncClient, stage: Stage, tables: FakeTables
) -> None:
    _, sport, weather = await three(stage)
    await admin.put(PATH, json={"channels": ["sport"]})
    session = await stage.session()
    await stage.go_live(session["id"])
    path = f"/v1/sessions/{session['id']}/switch"
    behind, elsewhere = sport["sources"][0]["id"], weather["sources"][0]["id"]
    assert (await admin.post(path, json={"source_id": behind})).status_code == 202
    assert (await tables.sessions.get(session["id"])).session.switch_to == behind
    assert_problem(await admin.post(path, json={"source_id": elsewhere}), 422, "source_id")


@pytest.mark.usefixtures("prober")
async def test_a_source_says_how_it_has_failed_and_since_when_it_is_healthy(admin: httpx.AsyncClient, stage: Stage) -> None:
    source = (await stage.channel())["sources"][0]
    assert (source["failures_in_a_row"], source["healthy_since"]) == (0, None)
    probed = (await admin.post(f"/v1/sources/{source['id']}/probe")).json()
    assert probed["healthy_since"] == probed["last_checked_at"]
