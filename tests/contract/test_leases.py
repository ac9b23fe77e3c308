"""Leases, sharing and limits: one meaning of `ports.Sessions`, in memory, on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace

from orchestrator.adapters.sql import open_tables
from orchestrator.core.model import SHARED, ChannelPolicy, Decision, Desired, Ended, EndReason
from orchestrator.core.session.limits import Limits
from orchestrator.errors import InvalidInput, LimitReached, NotFound, Stale, ViewerLimitReached
from orchestrator.ports import FRESH_S, LEASE_KEPT_S, Lease, SessionRow, Tables
from tests.contract.test_tables import a_channel, a_session


async def shared(tables: Tables, channel_id: str, viewer: str, now: float = 1000.0, **more: Any) -> tuple[SessionRow, bool]:
    return await tables.sessions.request(channel_id, viewer, f"hash of {viewer}", now, shared=True, **more)


async def holders(tables: Tables, session_id: str, since: float = 0.0) -> int:
    return (await tables.sessions.viewers({session_id}, since)).get(session_id, 0)


# --- leases -----------------------------------------------------------------------------------------------------------


async def test_a_lease_is_found_by_its_token_alone(tables: Tables) -> None:
    channel, _ = await a_channel(tables)
    session = await a_session(tables, channel.id, "alice")
    assert (await tables.sessions.get(session.id)).lease is None
    assert (await tables.sessions.get(session.id, "another")).lease is None
    assert (await tables.sessions.get(session.id, "hash")).lease == Lease(viewer="alice", token_hash="hash", renewed_at=1000.0)


async def test_one_viewer_renews_its_own_lease_and_everybody_s_is_renewed_without_one(tables: Tables) -> None:
    channel, _ = await a_channel(tables)
    row, _ = await shared(tables, channel.id, "alice")
    await shared(tables, channel.id, "bob", 1001.0)
    session_id = row.session.id
    await tables.sessions.renew(session_id, 1010.0, "alice")
    assert (await tables.sessions.get(session_id, "hash of alice")).renewed_at == 1010.0
    assert await holders(tables, session_id, since=1005.0) == 1
    await tables.sessions.renew(session_id, 1020.0)
    assert await holders(tables, session_id, since=1015.0) == 2
    assert (await tables.sessions.get(session_id)).session == row.session, "renewing does not touch the version"
    for call in (tables.sessions.renew(session_id, 1.0, "carol"), tables.sessions.renew("s-none", 1.0, "alice")):
        with pytest.raises(NotFound):
            await call


async def test_renewals_name_every_session_that_has_not_ended(tables: Tables) -> None:
    channel, _ = await a_channel(tables)
    one, two, three = [await a_session(tables, channel.id, viewer) for viewer in ("alice", "bob", "carol")]
    await tables.sessions.renew(two.id, 1005.0, "bob")
    await tables.sessions.commit(three, Decision(session=replace(three, state=Ended(0.0))), 1006.0)
    found = await tables.sessions.renewals()
    assert found.last_at == {one.id: 1000.0, two.id: 1005.0}
    assert found.written_at is None
    for now in (1007.0, 1009.0):
        await tables.sessions.can_renew(now)
        assert (await tables.sessions.renewals()).written_at == now


# --- sharing ----------------------------------------------------------------------------------------------------------


async def test_all_viewers_of_a_shared_channel_have_one_session_and_each_its_own_lease(tables: Tables) -> None:
    channel, _ = await a_channel(tables)
    first, new = await shared(tables, channel.id, "alice")
    assert new
    assert first.session.viewer == SHARED
    second, new = await shared(tables, channel.id, "bob", 1001.0)
    assert not new
    assert second.session == first.session
    assert second.lease == Lease(viewer="bob", token_hash="hash of bob", renewed_at=1001.0)
    again, _ = await shared(tables, channel.id, "bob", 1002.0)
    assert again.renewed_at == 1002.0
    assert await holders(tables, first.session.id) == 2
    assert len(await tables.sessions.unended()) == 1


async def test_two_hundred_at_once_share_one_session(tables: Tables) -> None:
    channel, _ = await a_channel(tables)
    answers = await asyncio.gather(*(shared(tables, channel.id, f"v{n}") for n in range(200)))
    assert len({row.session.id for row, _ in answers}) == 1
    assert [new for _, new in answers].count(True) == 1
    assert await holders(tables, answers[0][0].session.id) == 200


async def test_two_api_processes_give_the_viewers_of_a_channel_one_session(database_url: str) -> None:
    apis = [open_tables(database_url) for _ in range(3)]
    try:
        channel, _ = await a_channel(apis[0])
        asked = (shared(api, channel.id, f"v{n}-{api_number}") for n in range(10) for api_number, api in enumerate(apis))
        answers = await asyncio.gather(*asked)
        assert len({row.session.id for row, _ in answers}) == 1
        assert [new for _, new in answers].count(True) == 1
        assert await holders(apis[0], answers[0][0].session.id) == 30
    finally:
        for api in apis:
            await api.close()


async def test_a_policy_that_changes_leaves_sessions_as_they_are(tables: Tables) -> None:
    channel, _ = await a_channel(tables)
    own = await a_session(tables, channel.id, "alice")
    together, new = await shared(tables, channel.id, "alice")
    assert new
    assert together.session.id != own.id
    back, new = await tables.sessions.request(channel.id, "alice", "hash", 1001.0)
    assert not new
    assert back.session.id == own.id
    assert len(await tables.sessions.unended()) == 2


async def test_who_leaves_takes_only_its_lease_and_the_last_one_stops_the_session(tables: Tables) -> None:
    channel, _ = await a_channel(tables)
    row, _ = await shared(tables, channel.id, "alice")
    await shared(tables, channel.id, "bob")
    session_id = row.session.id
    await tables.sessions.leave(session_id, "alice")
    assert (await tables.sessions.get(session_id, "hash of alice")).lease is None
    assert (await tables.sessions.get(session_id)).session == row.session
    await tables.sessions.leave(session_id, "bob")
    stopping = await tables.sessions.get(session_id, "hash of bob")
    assert stopping.lease is not None, "who was last may still hear of the end"
    assert stopping.session == replace(row.session, desired=Desired.STOP, end_reason=EndReason.STOPPED, version=1)
    for viewer in ("alice", "carol"):
        with pytest.raises(NotFound):
            await tables.sessions.leave(session_id, viewer)
    with pytest.raises(NotFound):
        await tables.sessions.leave("s-none", "alice")


async def test_all_leave_at_once_and_the_session_stops(tables: Tables) -> None:
    channel, _ = await a_channel(tables)
    answers = [await shared(tables, channel.id, f"v{n}") for n in range(20)]
    session_id = answers[0][0].session.id
    await asyncio.gather(*(tables.sessions.leave(session_id, f"v{n}") for n in range(20)))
    assert (await tables.sessions.get(session_id)).session.desired is Desired.STOP
    assert await holders(tables, session_id) == 1


async def test_who_joins_what_nobody_has_renewed_lately_makes_a_decision_to_end_it_stale(tables: Tables) -> None:
    channel, _ = await a_channel(tables)
    row, _ = await shared(tables, channel.id, "alice")
    fresh, _ = await shared(tables, channel.id, "bob", 1000.0 + FRESH_S)
    assert fresh.session.version == row.session.version
    await shared(tables, channel.id, "carol", 1000.0 + 3 * FRESH_S)
    with pytest.raises(Stale):
        await tables.sessions.commit(row.session, Decision(session=replace(row.session, desired=Desired.STOP)), 1060.0)


async def test_leases_that_ran_out_long_ago_are_forgotten_when_somebody_joins(tables: Tables) -> None:
    channel, _ = await a_channel(tables)
    row, _ = await shared(tables, channel.id, "alice")
    later = 1000.0 + LEASE_KEPT_S
    await shared(tables, channel.id, "bob", later)
    assert await holders(tables, row.session.id) == 2
    await shared(tables, channel.id, "carol", later + 1.0)
    assert await holders(tables, row.session.id) == 2
    assert (await tables.sessions.get(row.session.id, "hash of alice")).lease is None


# --- limits -----------------------------------------------------------------------------------------------------------


async def test_each_limit_is_named_where_it_is_reached_and_nothing_is_written(tables: Tables) -> None:
    one, _ = await a_channel(tables)
    two, _ = await a_channel(tables, slug="two")
    await a_session(tables, one.id, "alice")
    cases = (
        (Limits(max_sessions=1), "max_sessions", "bob", two.id),
        (Limits(max_sessions_per_channel=1), "max_sessions_per_channel", "bob", one.id),
        (Limits(max_sessions_per_viewer=1), "max_sessions_per_viewer", "alice", two.id),
        (Limits(node_cpus=0.03), "node_cpus", "bob", two.id),
        (Limits(node_memory_mb=80.0), "node_memory_mb", "bob", two.id),
    )
    for limits, name, viewer, channel_id in cases:
        with pytest.raises(LimitReached) as refused:
            await tables.sessions.request(channel_id, viewer, "hash", 1001.0, limits=limits)
        assert refused.value.limit == name
        assert isinstance(refused.value, ViewerLimitReached) is (name == "max_sessions_per_viewer")
    assert len(await tables.sessions.recent()) == 1
    for limits in (Limits(max_sessions=2), Limits(max_sessions_per_channel=1), Limits(node_cpus=0.04, node_memory_mb=90.0)):
        row, new = await tables.sessions.request(two.id, "bob", "hash", 1001.0, limits=limits)
        assert new
        await tables.sessions.stop(row.session.id, EndReason.STOPPED)


async def test_a_transcoded_session_takes_more_of_the_node(tables: Tables) -> None:
    copied, _ = await a_channel(tables)
    transcoded, _ = await a_channel(tables, slug="two")
    await tables.catalogue.update_channel(replace(transcoded, policy=ChannelPolicy(profile="h264")))
    limits = Limits(node_cpus=1.05)
    await tables.sessions.request(transcoded.id, "alice", "hash", 1000.0, profile="h264", limits=limits)
    with pytest.raises(LimitReached, match=r"1\.00 of 1\.05 cores"):
        await tables.sessions.request(transcoded.id, "bob", "hash", 1000.0, profile="h264", limits=limits)
    for viewer in ("bob", "carol"):
        await tables.sessions.request(copied.id, viewer, "hash", 1000.0, limits=limits)
    with pytest.raises(LimitReached):
        await tables.sessions.request(copied.id, "dave", "hash", 1000.0, limits=limits)
    await tables.catalogue.delete_channel(transcoded.id)  # what is known of its session is that it runs
    await tables.sessions.request(copied.id, "dave", "hash", 1000.0, limits=limits)


async def test_who_joins_needs_no_place(tables: Tables) -> None:
    channel, _ = await a_channel(tables)
    other, _ = await a_channel(tables, slug="other")
    full = Limits(max_sessions=2, max_sessions_per_viewer=1, max_sessions_per_channel=1, node_cpus=0.04)
    row, _ = await shared(tables, channel.id, "alice", limits=full)
    joined, new = await shared(tables, channel.id, "bob", limits=full)
    assert (joined.session.id, new) == (row.session.id, False)
    own, _ = await tables.sessions.request(other.id, "carol", "hash", 1000.0, limits=full)
    again, new = await tables.sessions.request(other.id, "carol", "hash", 1000.0, limits=full)
    assert (again.session.id, new) == (own.session.id, False)


async def test_what_a_viewer_shares_counts_as_long_as_it_is_held(tables: Tables) -> None:
    channel, _ = await a_channel(tables)
    other, _ = await a_channel(tables, slug="other")
    limits = Limits(max_sessions_per_viewer=1, lease_s=60.0)
    await shared(tables, channel.id, "alice")
    await shared(tables, channel.id, "bob", 1050.0)
    with pytest.raises(ViewerLimitReached):
        await tables.sessions.request(other.id, "bob", "hash", 1070.0, limits=limits)
    _, new = await tables.sessions.request(other.id, "alice", "hash", 1070.0, limits=limits)
    assert new, "its lease of the shared one has run out"


async def test_a_place_that_was_given_up_is_free(tables: Tables) -> None:
    channel, _ = await a_channel(tables)
    first = await a_session(tables, channel.id, "alice")
    await tables.sessions.stop(first.id, EndReason.STOPPED)
    _, new = await tables.sessions.request(channel.id, "bob", "hash", 1001.0, limits=Limits(max_sessions=1))
    assert new


async def test_of_many_at_once_one_gets_the_last_place(tables: Tables) -> None:
    channel, _ = await a_channel(tables)
    await asyncio.gather(*(a_session(tables, channel.id, f"before-{n}") for n in range(3)))
    asked = (tables.sessions.request(channel.id, f"v{n}", "hash", 1000.0, limits=Limits(max_sessions=4)) for n in range(20))
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert sum(isinstance(answer, LimitReached) for answer in answers) == 19
    assert len(await tables.sessions.unended()) == 4


async def test_of_many_at_once_what_sql_cannot_hold_fails_alone(database_url: str) -> None:
    tables = open_tables(database_url)
    try:
        channel, _ = await a_channel(tables)
        viewers = [f"v{n}" for n in range(9)] + ["half\ud800"]
        asked = (tables.sessions.request(channel.id, viewer, "hash", 1000.0) for viewer in viewers)
        *good, bad = await asyncio.gather(*asked, return_exceptions=True)
        assert isinstance(bad, InvalidInput)
        assert {row.session.viewer for row, new in good if new} == set(viewers[:-1])  # type: ignore[misc]
    finally:
        await tables.close()


async def test_who_no_longer_waits_costs_the_others_nothing(database_url: str) -> None:
    tables = open_tables(database_url)
    try:
        channel, _ = await a_channel(tables)
        asked = [asyncio.ensure_future(tables.sessions.request(channel.id, f"v{n}", "hash", 1000.0)) for n in range(6)]
        await asyncio.sleep(0)
        for gone in asked[:3]:
            gone.cancel()
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert [isinstance(each, asyncio.CancelledError) for each in answers] == [True] * 3 + [False] * 3
        assert all(new for _, new in answers[3:])  # type: ignore[misc]
    finally:
        await tables.close()


async def test_of_two_api_processes_one_gives_the_last_place(database_url: str) -> None:
    apis = [open_tables(database_url) for _ in range(3)]
    try:
        channel, _ = await a_channel(apis[0])
        limits = Limits(max_sessions=5, node_cpus=10.0)
        asked = (
            api.sessions.request(channel.id, f"v{n}-{number}", "hash", 1000.0, limits=limits)
            for n in range(10)
            for number, api in enumerate(apis)
        )
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert sum(isinstance(answer, LimitReached) for answer in answers) == 25
        assert len(await apis[0].sessions.unended()) == 5
    finally:
        for api in apis:
            await api.close()


async def test_what_runs_and_who_holds_it(tables: Tables) -> None:
    own = (await tables.sessions.request("c-1", "alice", "hash", 100.0))[0].session
    shared = (await tables.sessions.request("c-2", "alice", "hash", 100.0, shared=True))[0].session
    await tables.sessions.request("c-2", "bob", "other", 150.0, shared=True)
    assert await tables.sessions.runs("c-1", "alice")
    assert await tables.sessions.runs("c-2", SHARED)
    assert not await tables.sessions.runs("c-2", "alice"), "it has none of its own there"
    assert not await tables.sessions.runs("c-1", "bob")

    named = {("c-1", "alice"), ("c-2", "alice"), ("c-2", "bob"), ("c-2", "carol"), ("c-3", "alice")}
    assert await tables.sessions.held(named, 90.0) == {("c-1", "alice"), ("c-2", "alice"), ("c-2", "bob")}
    assert await tables.sessions.held(named, 120.0) == {("c-2", "bob")}
    assert await tables.sessions.held(set(), 0.0) == frozenset()
    await tables.sessions.leave(shared.id, "alice")
    await tables.sessions.stop(own.id, EndReason.STOPPED)
    assert await tables.sessions.held(named, 90.0) == {("c-2", "bob")}
    assert not await tables.sessions.runs("c-1", "alice")
