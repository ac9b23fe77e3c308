"""One meaning of `ports.Journal`, in memory, on SQLite and on PostgreSQL; and what a late commit does to readers."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from sqlalchemy import create_engine, text

from orchestrator.adapters.sql import open_tables
from orchestrator.core.model import (
    SLATE,
    AttemptEnded,
    AttemptLive,
    AttemptStarted,
    Cause,
    Channel,
    Decision,
    Ended,
    Event,
    EventType,
    Happened,
    Record,
    Session,
)
from orchestrator.core.presentation.day_history import Run
from orchestrator.core.presentation.journal import JournalEntry, position, settled
from orchestrator.ports import ChannelRow, NewSource, Tables
from tests.postgres_server import PostgresServer
from tests.records import record
from tests.words import why

LIVE, SWITCH = Happened(EventType.SESSION_LIVE), Happened(EventType.STREAM_SWITCH, {"reason": "killed"})


async def a_channel(tables: Tables, slug: str = "news", number: int | None = None) -> Channel:
    channel = Channel(id="", slug=slug, name=slug, number=number)
    return await tables.catalogue.add_channel(channel, [NewSource(url=f"http://source.test/{n}") for n in range(2)])


async def a_session(tables: Tables, channel: Channel, viewer: str = "alice", at: float = 1000.0) -> Session:
    row, _ = await tables.sessions.request(channel.id, viewer, "hash", at)
    return row.session


async def tell(tables: Tables, session: Session, at: float, *records: Record) -> None:
    await record(tables, session.id, records, at)


async def end(tables: Tables, session: Session, at: float, unavailable_since: float | None = None) -> None:
    before = (await tables.sessions.get(session.id)).session
    after = replace(before, state=Ended(at, unavailable_since))
    await tables.sessions.commit(before, Decision(session=after, records=(Happened(EventType.SESSION_ENDED),)), at)


def told(entries: tuple[JournalEntry, ...]) -> list[tuple[str, int]]:
    return [(entry.event.session_id, entry.event.id) for entry in entries]


async def test_events_of_all_sessions_stand_in_one_order_and_are_read_on_from_any_place(tables: Tables) -> None:
    news, sport = await a_channel(tables), await a_channel(tables, "sport")
    one, two = await a_session(tables, news), await a_session(tables, sport)
    assert await tables.journal.entries(0) == await tables.journal.newest() == ()
    await tell(tables, one, 1.0, LIVE)
    await tell(tables, two, 2.0, LIVE, SWITCH)
    await tell(tables, one, 3.0, SWITCH)
    entries = await tables.journal.entries(0)
    assert told(entries) == [(one.id, 1), (two.id, 1), (two.id, 2), (one.id, 2)]
    assert [entry.channel_id for entry in entries] == [news.id, sport.id, sport.id, news.id]
    assert [entry.event.type for entry in entries] == [LIVE.type, LIVE.type, SWITCH.type, SWITCH.type]
    cursors = [entry.cursor for entry in entries]
    assert cursors == sorted(set(cursors))
    assert await tables.journal.entries(cursors[1]) == entries[2:]
    assert await tables.journal.entries(0, limit=3) == entries[:3]
    assert await tables.journal.entries(cursors[-1]) == ()
    assert await tables.journal.newest(2) == entries[2:]
    assert (await tables.sessions.events(one.id)) == (entries[0].event, entries[3].event)


async def test_a_cursor_is_never_given_twice(tables: Tables) -> None:
    channel = await a_channel(tables)
    one = await a_session(tables, channel)
    await tell(tables, one, 1.0, LIVE)
    await end(tables, one, 2.0)
    last = (await tables.journal.newest())[-1].cursor
    while await tables.operation.forget_ended(10.0, 100):
        pass
    assert await tables.journal.entries(0) == ()
    two = await a_session(tables, channel, "bob")
    await tell(tables, two, 3.0, LIVE)
    (entry,) = await tables.journal.entries(last)
    assert entry.cursor > last


async def test_a_channels_events_are_read_newest_first(tables: Tables) -> None:
    news, sport = await a_channel(tables), await a_channel(tables, "sport")
    one, other = await a_session(tables, news), await a_session(tables, sport)
    two = await a_session(tables, news, "bob")
    await tell(tables, one, 1.0, LIVE)
    await tell(tables, other, 2.0, LIVE)
    await tell(tables, two, 3.0, LIVE, SWITCH)
    events = await tables.journal.of_channel(news.id)
    assert [(event.session_id, event.id) for event in events] == [(two.id, 2), (two.id, 1), (one.id, 1)]
    assert await tables.journal.of_channel(news.id, 1) == events[:1]
    assert await tables.journal.of_channel("c-none") == ()


async def test_deliveries_are_what_has_been_since_then(tables: Tables) -> None:
    news, sport = await a_channel(tables), await a_channel(tables, "sport")
    long_ago, running, over = (
        await a_session(tables, news, "alice", 10.0),
        await a_session(tables, news, "bob", 20.0),
        await a_session(tables, sport, "carol", 30.0),
    )
    a, _ = await tables.catalogue.sources(news.id)
    await end(tables, long_ago, 90.0)
    await tell(tables, running, 50.0, AttemptStarted(1, a.id, why("requested")))
    await tell(tables, running, 60.0, AttemptLive(1, a.id), LIVE)
    await tell(
        tables,
        running,
        120.0,
        AttemptEnded(1, 13, why("source stalled", of_end=True)),
        AttemptStarted(2, SLATE, why("source stalled")),
        SWITCH,
    )
    await end(tables, over, 130.0, unavailable_since=125.0)
    (first, second) = sorted(await tables.journal.deliveries(100.0), key=lambda each: each.created_at)
    assert (first.channel_id, first.created_at, first.ended_at, first.unavailable_since) == (news.id, 20.0, None, None)
    assert first.runs == (
        Run(source_id=a.id, started_at=50.0, first_segment_at=60.0, ended_at=120.0, end_cause=Cause.SOURCE_STALLED),
        Run(source_id=SLATE, started_at=120.0),
    )
    assert [(event.type, event.at) for event in first.events] == [(SWITCH.type, 120.0)]
    assert (second.channel_id, second.ended_at, second.unavailable_since) == (sport.id, 130.0, 125.0)
    assert await tables.journal.deliveries(100.0, news.id) == (first,)
    (later,) = await tables.journal.deliveries(200.0)
    assert later.runs == first.runs[1:]
    assert later.events == ()


async def test_the_whole_catalogue_is_every_channel_with_what_belongs_to_it(tables: Tables) -> None:
    assert await tables.catalogue.whole() == ()
    last, first = await a_channel(tables, "last"), await a_channel(tables, "first", 1)
    off = await a_channel(tables, "off", 2)
    off = await tables.catalogue.update_channel(replace(off, enabled=False))
    await tables.catalogue.set_failovers(last.id, [off.id, first.id])
    assert await tables.catalogue.whole() == (
        ChannelRow(first, await tables.catalogue.sources(first.id), ()),
        ChannelRow(off, await tables.catalogue.sources(off.id), ()),
        ChannelRow(last, await tables.catalogue.sources(last.id), (off.id, first.id)),
    )


async def test_a_commit_that_comes_late_is_missed_by_no_reader(postgres: PostgresServer) -> None:
    """Two transactions write at once; the one that took the lower cursor commits last."""
    url = postgres.database()
    tables = open_tables(url)
    channel = await a_channel(tables)
    early, late = await a_session(tables, channel), await a_session(tables, channel, "bob")
    await tell(tables, early, 1000.0, LIVE)
    begun = position(await tables.journal.newest(), 1000.0)
    engine = create_engine(url)
    with engine.connect() as slow:
        slow.execute(text("INSERT INTO events VALUES (:id, 7, 'stream.switch', 1001.0, '{}')"), {"id": late.id})
        slow.execute(text("INSERT INTO journal (session_id, event_id) VALUES (:id, 7)"), {"id": late.id})
        await tell(tables, early, 1001.1, SWITCH)
        seen = await tables.journal.entries(begun)
        assert told(seen) == [(early.id, 2)]
        assert settled(seen, begun, 1001.2) == ()
        assert position(await tables.journal.newest(), 1001.2) == begun
        slow.commit()
    engine.dispose()
    assert told(tuple(settled(await tables.journal.entries(begun), begun, 1001.3))) == [(late.id, 7), (early.id, 2)]
    await tables.close()


def entry(cursor: int, at: float) -> JournalEntry:
    return JournalEntry(cursor, "c-1", Event(id=1, session_id="s-1", type=LIVE.type, at=at))


@pytest.mark.parametrize(
    ("cursors", "now", "count"),
    [
        ([], 100.0, 0),
        ([5, 6, 7], 100.0, 3),
        ([5, 7], 100.0, 1),
        ([6], 100.0, 0),
        ([5, 7, 8], 104.9, 1),
        ([5, 7, 8], 105.0, 3),  # what stands behind the gap is old: nothing comes any more
    ],
)
def test_a_reader_stops_before_a_gap_that_may_still_be_filled(cursors: list[int], now: float, count: int) -> None:
    entries = [entry(cursor, 100.0) for cursor in cursors]
    assert list(settled(entries, 4, now)) == entries[:count]


def test_who_begins_now_begins_behind_what_is_settled() -> None:
    assert position([], 100.0) == 0
    assert position([entry(9, 100.0)], 100.0) == 9
    assert position([entry(3, 50.0), entry(4, 100.0), entry(6, 100.0)], 101.0) == 4
    assert position([entry(3, 50.0), entry(4, 100.0), entry(6, 100.0)], 106.0) == 6
