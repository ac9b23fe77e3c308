"""One meaning of `ports.Operation`, in memory, on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from msgspec.structs import replace

from orchestrator.adapters.sql import open_tables
from orchestrator.core.model import (
    AttemptEnded,
    AttemptStarted,
    Cause,
    Channel,
    Decision,
    Ended,
    EndReason,
    EventType,
    Happened,
    Media,
    Record,
    SourceFailed,
    SourceStatus,
    Why,
)
from orchestrator.core.session.operator_switch import SAME
from orchestrator.errors import LimitReached, NotFound, Stale
from orchestrator.migrations import head
from orchestrator.ports import NewSource, OrchestratorRow, ProbeResult, Tables
from tests.records import record
from tests.support import eventually
from tests.words import why

# --- orchestrators ----------------------------------------------------------------------------------------------------


def orchestrator(name: str, seen_at: float, started_at: float = 100.0) -> OrchestratorRow:
    return OrchestratorRow(id=name, node=f"node-of-{name}", started_at=started_at, seen_at=seen_at)


async def test_an_orchestrator_is_seen_as_long_as_it_says_so(tables: Tables) -> None:
    assert await tables.operation.orchestrators() == ()
    await tables.operation.announce(orchestrator("one", 100.0))
    await tables.operation.announce(orchestrator("two", 101.0))
    await tables.operation.announce(orchestrator("one", 103.0))
    assert await tables.operation.orchestrators() == (orchestrator("one", 103.0), orchestrator("two", 101.0))


async def test_who_leaves_is_gone_and_may_leave_twice(tables: Tables) -> None:
    await tables.operation.announce(orchestrator("one", 100.0))
    await tables.operation.leave("one")
    await tables.operation.leave("one")
    assert await tables.operation.orchestrators() == ()


async def test_who_was_killed_is_forgotten_a_day_later(tables: Tables) -> None:
    await tables.operation.announce(orchestrator("killed", 100.0))
    await tables.operation.announce(orchestrator("soon", 100.0 + 3600.0))
    assert len(await tables.operation.orchestrators()) == 2
    await tables.operation.announce(orchestrator("later", 100.0 + 25 * 3600.0))
    assert [row.id for row in await tables.operation.orchestrators()] == ["later", "soon"]


# --- jobs that the agent refused --------------------------------------------------------------------------------------


async def test_refused_jobs_are_found_the_newest_first(tables: Tables) -> None:
    row, _ = await tables.sessions.request("c", "alice", "hash", 10.0)
    for number, exit_code in ((1, 31), (2, 137), (3, 31), (4, None)):
        records: tuple[Record, ...] = (
            AttemptStarted(number, "x-1", why("requested")),
            AttemptEnded(number, exit_code, why(f"bad job: {number}", of_end=True)),
        )
        await record(tables, row.session.id, records, 10.0 * number)
    assert [each.end_reason for each in await tables.operation.refused_jobs(0.0)] == ["bad job: 3", "bad job: 1"]
    assert [each.number for each in await tables.operation.refused_jobs(20.0)] == [3]


# --- the leader -------------------------------------------------------------------------------------------------------


async def test_one_orchestrator_has_the_lease_and_the_next_one_when_it_has_run_out(tables: Tables) -> None:
    assert await tables.operation.leader() is None
    first = await tables.operation.lead("one", "here", 0.6)
    assert (first.id, first.node, first.refused) == ("one", "here", None)
    assert 0.0 < first.left_s <= 0.6
    other = await tables.operation.lead("two", "there", 60.0)
    assert (other.id, other.expires_at) == ("one", first.expires_at), "who asks does not lengthen it"

    renewed = await tables.operation.lead("one", "here", 0.6)
    assert renewed.expires_at > first.expires_at

    async def two_leads() -> bool:
        return (await tables.operation.lead("two", "there", 60.0)).id == "two"

    await eventually(two_leads)
    late = await tables.operation.lead("one", "here", 0.6)
    assert (late.id, late.node) == ("two", "there"), "it had it, and has it no more"
    await tables.operation.step_down("one")
    leader = await tables.operation.leader()
    assert leader is not None and leader.id == "two"


async def test_a_lease_that_was_given_back_is_anybodys(tables: Tables) -> None:
    await tables.operation.lead("one", "here", 60.0)
    await tables.operation.step_down("one")
    await tables.operation.step_down("one")
    assert await tables.operation.leader() is None
    assert (await tables.operation.lead("two", "there", 60.0)).id == "two"


async def test_whose_lease_was_taken_over_is_not_seen_any_more(tables: Tables) -> None:
    await tables.operation.announce(orchestrator("killed", 100.0))
    await tables.operation.lead("killed", "here", 0.05)

    async def next_leads() -> bool:
        return (await tables.operation.lead("next", "here", 60.0)).id == "next"

    await eventually(next_leads)
    assert await tables.operation.orchestrators() == ()


async def test_the_lease_of_one_that_has_ended_counts_no_more(tables: Tables) -> None:
    await tables.operation.lead("killed", "here", 60.0, process="boot namespace 7 100")
    seen = await tables.operation.lead("next", "here", 60.0, process="boot namespace 8 200")
    assert (seen.id, seen.process) == ("killed", "boot namespace 7 100")
    assert (await tables.operation.lead("late", "here", 60.0, ended="somebody else")).id == "killed"
    assert (await tables.operation.lead("next", "here", 60.0, process="boot namespace 8 200", ended="killed")).id == "next"
    late = await tables.operation.lead("late", "here", 60.0, ended="killed")
    assert (late.id, late.process) == ("next", "boot namespace 8 200"), "of two who have seen it end, one comes first"


async def test_the_leaders_row_names_who_was_refused(tables: Tables) -> None:
    await tables.operation.note_refusal("two", "there")
    assert await tables.operation.leader() is None
    await tables.operation.lead("one", "here", 60.0)
    await tables.operation.note_refusal("one", "here")
    await tables.operation.note_refusal("two", "there")
    await tables.operation.lead("one", "here", 60.0)
    leader = await tables.operation.leader()
    assert leader is not None and leader.refused is not None
    assert (leader.refused.id, leader.refused.node) == ("two", "there")
    assert 0.0 <= leader.refused.ago_s < 10.0


async def test_of_many_who_ask_at_once_one_leads(tables: Tables) -> None:
    async def ask(name: str) -> str | None:
        try:
            return (await tables.operation.lead(name, "here", 60.0)).id
        except Stale:
            return None  # another one has written the first row

    said = set(await asyncio.gather(*(ask(f"o-{n}") for n in range(8)))) - {None}
    assert len(said) == 1


async def test_the_clock_was_set_back(database_url: str) -> None:
    """A lease that would hold for hours was written before that."""
    opened = open_tables(database_url)
    try:
        await opened.operation.lead("killed", "here", 3600.0)
        assert (await opened.operation.lead("next", "here", 4.0)).id == "next"
    finally:
        await opened.close()


# --- drain ------------------------------------------------------------------------------------------------------------


async def test_while_it_drains_no_session_starts_and_a_running_one_is_joined(tables: Tables) -> None:
    running, _ = await tables.sessions.request("c", "alice", "hash", 10.0)
    assert await tables.operation.draining_since() is None
    await tables.operation.drain(20.0)
    await tables.operation.drain(30.0)
    assert await tables.operation.draining_since() == 20.0
    with pytest.raises(LimitReached) as refused:
        await tables.sessions.request("c", "bob", "hash", 31.0)
    assert (refused.value.limit, refused.value.retry_after_s) == ("draining", 30.0)
    assert len(await tables.sessions.recent()) == 1
    joined, is_new = await tables.sessions.request("c", "alice", "hash", 32.0)
    assert (joined.session.id, is_new) == (running.session.id, False)

    await tables.operation.drain(None)
    await tables.operation.drain(None)
    assert await tables.operation.draining_since() is None
    _, is_new = await tables.sessions.request("c", "bob", "hash", 40.0)
    assert is_new


# --- intent -----------------------------------------------------------------------------------------------------------


async def test_a_fresh_attempt_on_the_same_source_is_a_word_of_its_own(tables: Tables) -> None:
    row, _ = await tables.sessions.request("c", "alice", "hash", 10.0)
    await tables.sessions.switch(row.session.id, SAME)
    after = (await tables.sessions.get(row.session.id)).session
    assert (after.switch_to, after.version) == ("same", row.session.version + 1)


# --- since when a source fails ----------------------------------------------------------------------------------------


async def test_since_when_a_source_has_failed_without_a_break(tables: Tables) -> None:
    channel = Channel(id="", slug="news", name="News")
    added = await tables.catalogue.add_channel(channel, [NewSource(url="http://a.test/")])
    source_id = (await tables.catalogue.sources(added.id))[0].id
    session_id = (await tables.sessions.request(added.id, "alice", "hash", 1.0))[0].session.id

    async def since() -> float | None:
        return (await tables.catalogue.source(source_id)).problematic_since

    assert await since() is None
    await record(tables, session_id, [SourceFailed(source_id, why("404"))], 10.0)
    assert await since() == 10.0
    await tables.catalogue.record_probe(source_id, ProbeResult.fails(Why(Cause.UNREADABLE, "404")), 20.0)
    await record(tables, session_id, [SourceFailed(source_id, why("404"))], 30.0)
    assert await since() == 10.0, "it has not worked in between"
    found = await tables.catalogue.record_probe(source_id, ProbeResult(Media(video="h264")), 40.0)
    assert found.status is SourceStatus.RECOVERED
    await tables.catalogue.record_probe(source_id, ProbeResult.fails(Why(Cause.UNREADABLE, "404")), 50.0)
    assert await since() == 50.0


# --- rows and history -------------------------------------------------------------------------------------------------


async def test_ids_with_a_row_are_known_however_many_are_asked_for(tables: Tables) -> None:
    ids = {(await tables.sessions.request("c", f"viewer-{n}", "hash", 1.0))[0].session.id for n in range(3)}
    assert await tables.operation.known(()) == frozenset()
    asked = ids | {f"s-nobody-{n}" for n in range(1500)}
    assert await tables.operation.known(asked) == ids


async def ended(tables: Tables, viewer: str, ended_at: float, *, events: int = 2, attempts: int = 1) -> str:
    """A session that ended then, with so much history."""
    session = (await tables.sessions.request("c", viewer, "hash", 1.0))[0].session
    records: list[Record] = [AttemptStarted(n + 1, "x", why("requested")) for n in range(attempts)]
    records += [Happened(EventType.STREAM_SWITCH)] * events
    over = replace(session, state=Ended(ended_at))
    await tables.sessions.commit(session, Decision(session=over, records=tuple(records)), ended_at)
    return session.id


async def test_history_goes_by_whole_sessions_that_ended_long_ago(tables: Tables) -> None:
    old = await ended(tables, "old", 100.0)
    recent = await ended(tables, "recent", 500.0)
    running = (await tables.sessions.request("c", "running", "hash", 1.0))[0].session
    await record(tables, running.id, [Happened(EventType.STREAM_SWITCH), AttemptStarted(1, "x", why("old"))], 2.0)

    assert await tables.operation.forget_ended(400.0, 1000) == 4, "two events, an attempt, a session"
    assert await tables.operation.forget_ended(400.0, 1000) == 0
    with pytest.raises(NotFound):
        await tables.sessions.get(old)
    assert await tables.sessions.events(old) == ()
    assert await tables.sessions.attempts(old) == ()
    for kept in (recent, running.id):
        assert (await tables.sessions.get(kept)).session.id == kept
        assert len(await tables.sessions.events(kept)) > 0
        assert len(await tables.sessions.attempts(kept)) == 1


async def test_much_history_goes_in_parts_and_the_session_last(tables: Tables) -> None:
    for n in range(5):
        await ended(tables, f"viewer-{n}", 100.0 + n, events=40, attempts=20)
    parts = []
    while part := await tables.operation.forget_ended(1000.0, 50):
        parts.append(part)
    assert sum(parts) == 5 * (40 + 20 + 1)
    assert len(parts) >= 5
    assert await tables.sessions.recent() == ()


async def test_the_versions_of_what_has_not_ended(tables: Tables) -> None:
    assert await tables.sessions.versions() == {}
    await ended(tables, "over", 100.0)
    running = (await tables.sessions.request("c", "running", "hash", 1.0))[0].session
    stopping = (await tables.sessions.request("c", "stopping", "hash", 1.0))[0].session
    await tables.sessions.stop(stopping.id, EndReason.STOPPED)
    unended = {each.id: each.version for each in await tables.sessions.unended()}
    assert await tables.sessions.versions() == unended == {running.id: 0, stopping.id: 1}


async def test_the_schemas_revision_is_this_releases(tables: Tables) -> None:
    assert await tables.operation.revision() == head()


@pytest.mark.parametrize("engine", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
async def test_a_database_in_which_nothing_was_migrated_has_no_revision(
    engine: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    postgresql = engine == "postgresql"
    url = request.getfixturevalue("postgres").database(migrated=False) if postgresql else f"sqlite:///{tmp_path}/empty.db"
    opened = open_tables(url)
    try:
        assert await opened.operation.revision() is None
    finally:
        await opened.close()
