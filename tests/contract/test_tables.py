"""One meaning of `ports.Catalogue` and `ports.Sessions`, in memory, on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
import re
import time
from itertools import pairwise

import pytest
from msgspec.structs import fields, replace

from orchestrator.core.bounds import LINE_UP
from orchestrator.core.catalogue.failover_channels import Signature, signature
from orchestrator.core.model import (
    SLATE,
    Attempt,
    AttemptEnded,
    AttemptLive,
    AttemptStarted,
    AttemptSteady,
    Cause,
    Channel,
    ChannelPolicy,
    Decision,
    Desired,
    Ended,
    EndReason,
    Event,
    EventType,
    Happened,
    Leg,
    LegsChanged,
    Live,
    Media,
    Phase,
    Record,
    ReportRead,
    Session,
    Source,
    SourceFailed,
    SourceStatus,
    Starting,
    State,
    SwapBackoff,
    Switching,
    Unavailable,
    Why,
)
from orchestrator.errors import AlreadyExists, InvalidInput, NotFound, Stale
from orchestrator.ports import AttemptRow, Lease, NewSource, ProbeResult, Tables
from tests.records import record
from tests.words import why

MEDIA = Media(video="h264", audio="aac", channels=2, width=1280, height=720, bitrate_bps=1_500_000, cadence_s=2.0)


def news(*names: str) -> list[NewSource]:
    return [NewSource(url=f"http://source.test/{name}.m3u8") for name in names]


def named(slug: str, number: int | None = None, name: str | None = None) -> Channel:
    return Channel(id="", slug=slug, name=name or slug, number=number)


async def a_channel(tables: Tables, *names: str, slug: str = "news") -> tuple[Channel, tuple[Source, ...]]:
    channel = await tables.catalogue.add_channel(named(slug), news(*names or ("a", "b")))
    return channel, await tables.catalogue.sources(channel.id)


async def a_session(tables: Tables, channel_id: str, viewer: str = "viewer") -> Session:
    row, new = await tables.sessions.request(channel_id, viewer, "hash", 1000.0)
    assert new
    return row.session


def letters(sources: tuple[Source, ...]) -> str:
    return "".join(source.url.removesuffix(".m3u8")[-1] for source in sources)


# --- channels ---------------------------------------------------------------------------------------------------------


async def test_a_channel_is_read_back_as_it_was_added_by_id_and_by_slug(tables: Tables) -> None:
    given = Channel(
        id="ignored",
        slug="news-1",
        name="Новости “1”",
        number=7,
        group="News",
        logo="http://logo.test/1.png",
        tvg_id="news.one",
        tvg_name="News One",
        enabled=False,
        policy=ChannelPolicy(profile="h264"),
        active_source_id="ignored",
        created_at=1.0,
        updated_at=1.0,
    )
    before = time.time()
    added = await tables.catalogue.add_channel(given, news("a"))
    assert added.id != "ignored"
    assert before <= added.created_at == added.updated_at <= time.time()
    assert added == replace(given, id=added.id, active_source_id=None, created_at=added.created_at, updated_at=added.created_at)
    assert await tables.catalogue.channel(added.id) == added
    assert await tables.catalogue.channel("news-1") == added


async def test_ids_are_safe_in_urls_and_container_names(tables: Tables) -> None:
    channel, (source,) = await a_channel(tables, "a")
    session = await a_session(tables, channel.id)
    ids = (channel.id, source.id, session.id)
    assert [each[:2] for each in ids] == ["c-", "x-", "s-"]
    assert all(re.fullmatch(r"[a-z]-[0-9a-z]{1,20}", each) for each in ids)


async def test_an_unknown_channel_is_not_found(tables: Tables) -> None:
    channel, _ = await a_channel(tables)
    gone = replace(channel, id="c-none", slug="other")
    for call in (
        tables.catalogue.channel("c-none"),
        tables.catalogue.update_channel(gone),
        tables.catalogue.delete_channel("c-none"),
        tables.catalogue.add_source("c-none", news("a")[0]),
        tables.catalogue.order_sources("c-none", []),
    ):
        with pytest.raises(NotFound):
            await call
    assert await tables.catalogue.sources("c-none") == ()


async def test_a_slug_is_taken_once(tables: Tables) -> None:
    one, _ = await a_channel(tables, slug="one")
    two, _ = await a_channel(tables, slug="two")
    with pytest.raises(AlreadyExists):
        await tables.catalogue.add_channel(named("one"), news("z"))
    with pytest.raises(AlreadyExists):
        await tables.catalogue.update_channel(replace(two, slug="one"))
    assert await tables.catalogue.channels() == (one, two)  # and nothing of the refused was kept


async def test_an_update_writes_what_may_be_edited_and_nothing_else(tables: Tables) -> None:
    channel, sources = await a_channel(tables)
    session = await a_session(tables, channel.id)
    await record(tables, session.id, [AttemptLive(1, sources[0].id)], 5.0)
    edited = replace(channel, slug="renamed", name="New", number=3, enabled=False, policy=ChannelPolicy(profile="h264"))
    updated = await tables.catalogue.update_channel(replace(edited, active_source_id=None, created_at=0.0))
    assert updated == replace(edited, active_source_id=sources[0].id, updated_at=updated.updated_at)
    assert updated.updated_at >= channel.updated_at
    assert await tables.catalogue.channel("renamed") == updated
    assert await tables.catalogue.update_channel(updated) == replace(
        updated, updated_at=(await tables.catalogue.channel(channel.id)).updated_at
    )  # its own slug is free to itself


async def test_channels_are_paged_by_number_then_name_with_the_unnumbered_last(tables: Tables) -> None:
    for slug, number, name in (
        ("e", None, "Zoo"),
        ("a", 2, "B"),
        ("b", 1, "Z"),
        ("c", 2, "A"),
        ("d", None, "Älpler"),
        ("f", None, "Alp"),
        ("g", None, "alp"),
    ):
        await tables.catalogue.add_channel(named(slug, number, name), [])
    in_order = ["b", "c", "a", "f", "e", "g", "d"]
    assert [channel.slug for channel in await tables.catalogue.channels()] == in_order
    paged: list[str] = []
    after = None
    while page := await tables.catalogue.channels(limit=2, after=after):
        assert len(page) <= 2
        paged += [channel.slug for channel in page]
        after = page[-1].id
    assert paged == in_order


async def test_a_page_after_a_channel_that_has_gone_is_refused(tables: Tables) -> None:
    with pytest.raises(InvalidInput, match="after"):
        await tables.catalogue.channels(after="c-none")


@pytest.mark.parametrize(
    ("search", "found"),
    [("éCL", "a"), ("sport", "ab"), ("100%", "b"), ("_", "c"), ("42", "c"), ("grou", "c"), ("tvg", "b"), ("nothing", "")],
)
async def test_a_search_looks_at_every_name_and_ignores_case(tables: Tables, search: str, found: str) -> None:
    for channel in (
        named("a", name="Éclair Sport"),
        replace(named("b", name="100% SPORT"), tvg_id="TVG.b"),
        replace(named("c", 42, name="under_score"), group="Group"),
    ):
        await tables.catalogue.add_channel(channel, [])
    assert "".join(sorted(channel.slug for channel in await tables.catalogue.channels(search=search))) == found


async def test_a_deleted_channel_takes_its_sources_and_leaves_its_sessions(tables: Tables) -> None:
    channel, sources = await a_channel(tables)
    other, _ = await a_channel(tables, slug="other")
    session = await a_session(tables, channel.id)
    await record(tables, session.id, [AttemptStarted(1, sources[0].id, why("requested")), AttemptLive(1, sources[0].id)], 5.0)
    await tables.catalogue.delete_channel(channel.id)
    assert await tables.catalogue.channels() == (other,)
    with pytest.raises(NotFound):
        await tables.catalogue.source(sources[0].id)
    before, session = session, (await tables.sessions.get(session.id)).session
    assert session == replace(before, version=1)
    assert [each.source_id for each in await tables.sessions.attempts(session.id)] == [sources[0].id]
    # and the session can still be brought to its end
    ended = replace(session, state=Ended(9.0), end_reason=EndReason.CHANNEL_DELETED)
    failed = (
        SourceFailed(sources[0].id, why("gone")),
        AttemptLive(1, sources[0].id),
        AttemptEnded(1, 0, why("gone", of_end=True)),
    )
    await tables.sessions.commit(session, Decision(session=ended, records=failed), 9.0)
    assert await tables.sessions.unended() == ()


# --- sources ----------------------------------------------------------------------------------------------------------


async def test_sources_come_in_the_order_given(tables: Tables) -> None:
    given = NewSource(url="rtmp://user:pass@source.test/live", user_agent="VLC/3", headers={"Referer": "http://é.test"})
    channel = await tables.catalogue.add_channel(named("news"), [given, *news("b", "c")])
    first, second, third = await tables.catalogue.sources(channel.id)
    assert first == Source(
        id=first.id,
        channel_id=channel.id,
        url=given.url,
        priority=1,
        user_agent="VLC/3",
        headers={"Referer": "http://é.test"},
    )
    assert (second.priority, third.priority) == (2, 3)
    assert await tables.catalogue.source(first.id) == first


@pytest.mark.parametrize(
    ("priority", "order"), [(None, "abcz"), (1, "zabc"), (2, "azbc"), (4, "abcz"), (99, "abcz"), (-3, "zabc")]
)
async def test_a_source_is_added_at_a_place(tables: Tables, priority: int | None, order: str) -> None:
    channel, _ = await a_channel(tables, "a", "b", "c")
    other, _ = await a_channel(tables, "a", "b", "c", slug="other")
    added = await tables.catalogue.add_source(channel.id, news("z")[0], priority)
    sources = await tables.catalogue.sources(channel.id)
    assert letters(sources) == order
    assert [source.priority for source in sources] == [1, 2, 3, 4]
    assert added in sources
    assert [source.priority for source in await tables.catalogue.sources(other.id)] == [1, 2, 3]


async def test_sources_are_put_in_order(tables: Tables) -> None:
    channel, (a, b, c) = await a_channel(tables, "a", "b", "c")
    ordered = await tables.catalogue.order_sources(channel.id, [c.id, a.id, b.id])
    assert letters(ordered) == "cab"
    assert [source.priority for source in ordered] == [1, 2, 3]
    assert await tables.catalogue.sources(channel.id) == ordered


async def test_an_order_names_each_source_exactly_once(tables: Tables) -> None:
    channel, (a, b) = await a_channel(tables, "a", "b")
    _, (foreign, _) = await a_channel(tables, "x", "y", slug="other")
    for wrong in ([], [a.id], [a.id, a.id], [a.id, b.id, b.id], [a.id, foreign.id], [a.id, b.id, foreign.id]):
        with pytest.raises(InvalidInput, match="source_ids"):
            await tables.catalogue.order_sources(channel.id, wrong)
    assert letters(await tables.catalogue.sources(channel.id)) == "ab"


async def test_a_deleted_source_closes_its_gap_and_is_active_no_more(tables: Tables) -> None:
    channel, (a, b, c) = await a_channel(tables, "a", "b", "c")
    session = await a_session(tables, channel.id)
    await record(tables, session.id, [AttemptLive(1, b.id)], 5.0)
    await tables.catalogue.delete_source(b.id)
    assert await tables.catalogue.sources(channel.id) == (a, replace(c, priority=2))
    assert (await tables.catalogue.channel(channel.id)).active_source_id is None
    for call in (
        tables.catalogue.delete_source(b.id),
        tables.catalogue.source(b.id),
        tables.catalogue.update_source(b.id, url="http://z.test"),
        tables.catalogue.record_probe(b.id, ProbeResult(MEDIA), 6.0),
    ):
        with pytest.raises(NotFound):
            await call


async def test_an_update_of_a_source_changes_what_is_given_alone(tables: Tables) -> None:
    _, (a, _) = await a_channel(tables)
    seen = await tables.catalogue.record_probe(a.id, ProbeResult(MEDIA), 5.0)
    assert await tables.catalogue.update_source(a.id) == seen
    assert await tables.catalogue.update_source(a.id, url=a.url) == seen
    agent = await tables.catalogue.update_source(a.id, user_agent="VLC")
    assert agent == replace(seen, user_agent="VLC")
    headers = await tables.catalogue.update_source(a.id, headers={"X": "1"})
    assert headers == replace(agent, headers={"X": "1"})
    bare = await tables.catalogue.update_source(a.id, headers={}, user_agent="")
    assert bare == seen


async def test_a_changed_address_is_unknown_and_nothing_has_been_seen_there(tables: Tables) -> None:
    _, (a, b) = await a_channel(tables)
    await tables.catalogue.record_probe(a.id, ProbeResult(MEDIA), 5.0)
    changed = await tables.catalogue.update_source(a.id, url="http://other.test")
    assert (changed.url, changed.status, changed.media) == ("http://other.test", SourceStatus.UNKNOWN, None)
    await tables.catalogue.update_source(b.id, enabled=False)
    assert (await tables.catalogue.update_source(b.id, url="http://b.test")).status is SourceStatus.DISABLED
    both = await tables.catalogue.update_source(b.id, url="http://c.test", enabled=True)
    assert both.status is SourceStatus.UNKNOWN


async def test_a_disabled_source_stays_disabled_until_it_is_enabled(tables: Tables) -> None:
    channel, (a, _) = await a_channel(tables)
    session = await a_session(tables, channel.id)
    assert (await tables.catalogue.update_source(a.id, enabled=False)).status is SourceStatus.DISABLED
    await tables.catalogue.record_probe(a.id, ProbeResult(MEDIA), 1.0)
    await tables.catalogue.record_probe(a.id, ProbeResult.fails(Why(Cause.UNREADABLE, "404 Not Found")), 2.0)
    await record(tables, session.id, [SourceFailed(a.id, why("stalled"), stalled=True)], 3.0)
    await record(tables, session.id, [AttemptLive(1, a.id)], 4.0)
    disabled = await tables.catalogue.source(a.id)
    assert disabled.status is SourceStatus.DISABLED
    assert (disabled.media, disabled.stall_count, disabled.last_checked_at) == (MEDIA, 1, 4.0)
    assert await tables.catalogue.problematic_sources() == ()
    assert (await tables.catalogue.update_source(a.id, enabled=True)).status is SourceStatus.UNKNOWN


async def test_a_probe_without_a_verdict_says_nothing_of_the_source(tables: Tables) -> None:
    _, (a, _) = await a_channel(tables)
    nothing = ProbeResult.fails(Why(Cause.UNREADABLE, "SRT: this FFmpeg does not speak the protocol"), verdict=False)
    assert await tables.catalogue.record_probe(a.id, nothing, 5.0) == replace(a, last_checked_at=5.0)
    failed = await tables.catalogue.record_probe(a.id, ProbeResult.fails(Why(Cause.UNREADABLE, "no answer")), 6.0)
    again = await tables.catalogue.record_probe(a.id, nothing, 7.0)
    assert again == replace(failed, status=SourceStatus.UNKNOWN, last_checked_at=7.0), "only an attempt can tell"
    await tables.probes.ask([a.id], 8.0)
    await tables.catalogue.record_probe(a.id, nothing, 9.0)
    answer = (await tables.probes.answers([a.id]))[a.id]
    assert answer is not None
    assert answer.refused == nothing.reason


async def test_a_probe_tells_how_a_source_is(tables: Tables) -> None:
    channel, (a, b) = await a_channel(tables)
    healthy = await tables.catalogue.record_probe(a.id, ProbeResult(MEDIA), 5.0)
    assert healthy == replace(
        a, status=SourceStatus.HEALTHY, media=MEDIA, last_checked_at=5.0, healthy_since=5.0, healthy_at=5.0
    )
    again = await tables.catalogue.record_probe(a.id, ProbeResult(MEDIA), 5.5)
    assert again == replace(healthy, last_checked_at=5.5, healthy_at=5.5)
    failed = await tables.catalogue.record_probe(a.id, ProbeResult.fails(Why(Cause.REFUSES, "404 Not Found")), 6.0)
    assert failed == replace(
        healthy,
        status=SourceStatus.PROBLEMATIC,
        last_checked_at=6.0,
        last_failed_at=6.0,
        last_failure=why("404 Not Found"),
        problematic_since=6.0,
        healthy_since=None,
        healthy_at=None,
    )  # what was seen before is kept, and the counters count what happened to sessions alone
    assert await tables.catalogue.problematic_sources() == (failed,)
    recovered = await tables.catalogue.record_probe(a.id, ProbeResult(MEDIA), 7.0)
    assert recovered == replace(failed, status=SourceStatus.RECOVERED, last_checked_at=7.0, healthy_since=7.0, healthy_at=7.0)
    again = await tables.catalogue.record_probe(a.id, ProbeResult(MEDIA), 8.0)
    assert again == replace(recovered, last_checked_at=8.0, healthy_at=8.0)
    assert await tables.catalogue.sources(channel.id) == (again, b)
    assert await tables.catalogue.problematic_sources() == ()


async def test_failures_in_a_row_count_until_the_source_has_played_steadily(tables: Tables) -> None:
    channel, (a, b) = await a_channel(tables)
    session = await a_session(tables, channel.id)
    await tables.catalogue.record_probe(a.id, ProbeResult(MEDIA), 5.0)
    await record(tables, session.id, [SourceFailed(a.id, why("404")), SourceFailed(b.id, why("404"), in_a_row=3)], 6.0)
    failed, worse = await tables.catalogue.sources(channel.id)
    assert (failed.failures_in_a_row, failed.healthy_since) == (1, None)
    assert worse.failures_in_a_row == 3
    await tables.catalogue.record_probe(b.id, ProbeResult.fails(Why(Cause.UNREADABLE, "404")), 7.0)
    await tables.catalogue.record_probe(b.id, ProbeResult(MEDIA), 8.0)
    await record(tables, session.id, [AttemptLive(1, b.id)], 9.0)
    live = await tables.catalogue.source(b.id)
    assert (live.status, live.failures_in_a_row) == (SourceStatus.HEALTHY, 3)
    assert (live.last_checked_at, live.healthy_since, live.healthy_at) == (9.0, 8.0, 8.0)
    await record(tables, session.id, [AttemptSteady(1, b.id)], 19.0)
    assert await tables.catalogue.source(b.id) == replace(live, failures_in_a_row=0, last_checked_at=19.0)
    assert await tables.catalogue.source(a.id) == failed


async def test_a_changed_address_and_one_that_is_enabled_start_anew(tables: Tables) -> None:
    channel, (a, b) = await a_channel(tables)
    session = await a_session(tables, channel.id)
    await record(tables, session.id, [SourceFailed(each.id, why("404"), in_a_row=4) for each in (a, b)], 6.0)
    for each in (a, b):
        await tables.catalogue.record_probe(each.id, ProbeResult(MEDIA), 7.0)
    assert (await tables.catalogue.update_source(a.id, headers={"X": "1"})).failures_in_a_row == 4
    await tables.catalogue.update_source(a.id, url="http://moved.test")
    await tables.catalogue.update_source(b.id, enabled=False)
    await tables.catalogue.update_source(b.id, enabled=True)
    for each in await tables.catalogue.sources(channel.id):
        assert (each.status, each.failures_in_a_row) == (SourceStatus.UNKNOWN, 0)
        assert (each.healthy_since, each.healthy_at) == (None, None)


# --- failover channels ------------------------------------------------------------------------------------------------


async def several(tables: Tables, *slugs: str) -> list[Channel]:
    """Channels, each with one source that is named like it."""
    return [(await a_channel(tables, slug, slug=slug))[0] for slug in slugs]


async def line(tables: Tables, channel: Channel) -> str:
    return letters((await tables.catalogue.lineup(channel.id)).sources)


async def test_failover_channels_are_read_back_in_order(tables: Tables) -> None:
    a, b, c = await several(tables, "a", "b", "c")
    assert await tables.catalogue.failovers(a.id) == ()
    assert await tables.catalogue.set_failovers(a.id, [c.id, b.id]) == (c, b)
    assert await tables.catalogue.failovers(a.id) == (c, b)
    assert await tables.catalogue.set_failovers(a.id, [b.id]) == (b,)
    assert await tables.catalogue.failovers(b.id) == ()
    await tables.catalogue.set_failovers(a.id, [])
    assert await tables.catalogue.failovers(a.id) == ()


async def test_a_failover_list_that_makes_no_sense_is_refused_and_changes_nothing(tables: Tables) -> None:
    a, b, c = await several(tables, "a", "b", "c")
    await tables.catalogue.set_failovers(a.id, [b.id])
    for wrong in ([a.id], [c.id, a.id], [c.id, c.id], ["c-none"], [c.id, "c-none"]):
        with pytest.raises(InvalidInput, match="channels"):
            await tables.catalogue.set_failovers(a.id, wrong)
    with pytest.raises(NotFound):
        await tables.catalogue.set_failovers("c-none", [a.id])
    assert await tables.catalogue.failovers(a.id) == (b,)


async def test_a_channel_that_is_deleted_is_nobodys_failover(tables: Tables) -> None:
    a, b, c = await several(tables, "a", "b", "c")
    await tables.catalogue.set_failovers(a.id, [b.id, c.id])
    await tables.catalogue.set_failovers(b.id, [a.id])
    await tables.catalogue.delete_channel(b.id)
    assert await tables.catalogue.failovers(a.id) == (c,)
    assert await tables.catalogue.set_failovers(a.id, [c.id]) == (c,)
    assert await line(tables, a) == "ac"


async def test_a_line_up_is_the_channels_own_sources_then_those_behind_it_the_nearest_first(tables: Tables) -> None:
    a, b, c, d, e = await several(tables, "a", "b", "c", "d", "e")
    assert await line(tables, a) == "a"
    await tables.catalogue.add_source(b.id, news("z")[0], 1)
    await tables.catalogue.set_failovers(a.id, [c.id, b.id])
    await tables.catalogue.set_failovers(c.id, [d.id])
    await tables.catalogue.set_failovers(b.id, [e.id, a.id, d.id])  # in a circle
    assert await line(tables, a) == "aczbde"
    assert await line(tables, b) == "zbeadc"
    assert await line(tables, e) == "e"
    lineup = await tables.catalogue.lineup(a.id)
    assert lineup.channel == a
    assert [each.priority for each in lineup.sources] == [1, 1, 1, 2, 1, 1]
    with pytest.raises(NotFound):
        await tables.catalogue.lineup("c-none")


async def test_a_disabled_failover_channel_is_as_if_it_were_not_named(tables: Tables) -> None:
    a, b, c = await several(tables, "a", "b", "c")
    await tables.catalogue.set_failovers(a.id, [b.id])
    await tables.catalogue.set_failovers(b.id, [c.id])
    assert await line(tables, a) == "abc"
    await tables.catalogue.update_channel(replace(b, enabled=False))
    assert await line(tables, a) == "a"
    assert await line(tables, b) == "bc", "its own sessions are another matter"


async def test_a_line_up_ends_somewhere(tables: Tables) -> None:
    chain = await several(tables, *(f"{number}" for number in range(40)))
    for channel, behind in pairwise(chain):
        await tables.catalogue.set_failovers(channel.id, [behind.id])
    assert len((await tables.catalogue.lineup(chain[0].id)).sources) == LINE_UP
    signatures = await tables.catalogue.lineups({chain[0].id, chain[35].id})
    assert [len(signatures[chain[place].id].sources) for place in (0, 35)] == [LINE_UP, 5]


async def test_a_signature_is_what_may_be_played_of_the_channels_that_are_enabled(tables: Tables) -> None:
    one, (a, b) = await a_channel(tables, "a", "b", slug="one")
    two, _ = await a_channel(tables, "c", slug="two")
    bare, (d,) = await a_channel(tables, "d", slug="bare")
    gone, _ = await a_channel(tables, "e", slug="gone")
    await tables.catalogue.update_source(b.id, enabled=False)
    await tables.catalogue.update_source(d.id, enabled=False)
    await tables.catalogue.record_probe(a.id, ProbeResult.fails(Why(Cause.UNREADABLE, "404 Not Found")), 1000.0)
    await tables.catalogue.update_channel(replace(two, enabled=False))
    await tables.catalogue.delete_channel(gone.id)
    asked = {one.id, two.id, bare.id, gone.id}
    nothing = Signature(ChannelPolicy(), ())
    playable = Signature(ChannelPolicy(), ((a.id, a.address),))
    assert await tables.catalogue.lineups(asked) == {one.id: playable, bare.id: nothing}
    assert await tables.catalogue.lineups({bare.id}) == {bare.id: nothing}
    assert await tables.catalogue.lineups(set()) == {}


async def test_every_edit_of_a_line_up_changes_its_signature_and_nothing_else_does(tables: Tables) -> None:
    channel, (a, b) = await a_channel(tables, "a", "b")
    behind, (c,) = await a_channel(tables, "c", slug="behind")
    session = await a_session(tables, channel.id)
    seen = (await tables.catalogue.lineups({channel.id}))[channel.id]

    async def changes() -> bool:
        nonlocal seen
        before, seen = seen, (await tables.catalogue.lineups({channel.id}))[channel.id]
        lineup = await tables.catalogue.lineup(channel.id)
        assert seen == signature(lineup.channel.policy, lineup.sources)
        return seen != before

    catalogue, failback = tables.catalogue, ChannelPolicy(failback="never")
    for edit in (
        lambda: catalogue.set_failovers(channel.id, [behind.id]),
        lambda: catalogue.order_sources(channel.id, [b.id, a.id]),
        lambda: catalogue.update_source(c.id, url="http://moved.test"),
        lambda: catalogue.update_source(c.id, headers={"X": "1", "A": "2"}),
        lambda: catalogue.update_source(c.id, user_agent="VLC"),
        lambda: catalogue.update_source(c.id, enabled=False),
        lambda: catalogue.update_source(c.id, enabled=True),
        lambda: catalogue.add_source(behind.id, news("z")[0]),
        lambda: catalogue.delete_source(a.id),
        lambda: catalogue.update_channel(replace(channel, policy=failback)),
        lambda: catalogue.update_channel(replace(behind, enabled=False)),
    ):
        await edit()
        assert await changes()
    await tables.catalogue.record_probe(b.id, ProbeResult(MEDIA), 5.0)
    await record(tables, session.id, [SourceFailed(b.id, why("404")), AttemptLive(1, b.id)], 5.0)
    await tables.catalogue.update_channel(replace(channel, policy=failback, name="Another"))
    assert not await changes()


async def test_what_a_failover_channels_source_did_is_written_where_it_is(tables: Tables) -> None:
    channel, (a,) = await a_channel(tables, "a")
    behind, (b,) = await a_channel(tables, "b", slug="behind")
    await tables.catalogue.set_failovers(channel.id, [behind.id])
    session = await a_session(tables, channel.id)
    await record(tables, session.id, [AttemptLive(1, a.id)], 5.0)
    await record(tables, session.id, [SourceFailed(a.id, why("404")), AttemptLive(2, b.id)], 6.0)
    assert (await tables.catalogue.source(b.id)).status is SourceStatus.HEALTHY
    assert (await tables.catalogue.channel(channel.id)).active_source_id == a.id, "the last good one of its own"
    assert (await tables.catalogue.channel(behind.id)).active_source_id is None
    await record(tables, session.id, [SourceFailed(b.id, why("gone"), stalled=True)], 7.0)
    blamed = await tables.catalogue.source(b.id)
    assert (blamed.status, blamed.stall_count, blamed.failures_in_a_row) == (SourceStatus.PROBLEMATIC, 1, 1)


# --- sessions ---------------------------------------------------------------------------------------------------------


async def test_a_new_session_is_a_row_that_wants_to_run(tables: Tables) -> None:
    channel, _ = await a_channel(tables)
    row, new = await tables.sessions.request(channel.id, "viewer", "hash", 1000.5)
    assert new
    assert row.session == Session(id=row.session.id, channel_id=channel.id, viewer="viewer", created_at=1000.5)
    assert row.lease == Lease(viewer="viewer", token_hash="hash", renewed_at=1000.5)
    assert row.renewed_at == 1000.5
    assert await tables.sessions.get(row.session.id, "hash") == row
    assert await tables.sessions.unended() == (row.session,)
    assert await tables.sessions.events(row.session.id) == ()
    assert await tables.sessions.attempts(row.session.id) == ()


async def test_the_same_viewer_gets_the_running_session_of_the_channel(tables: Tables) -> None:
    channel, _ = await a_channel(tables)
    other, _ = await a_channel(tables, slug="other")
    first, _ = await tables.sessions.request(channel.id, "viewer", "hash", 1000.0)
    again, new = await tables.sessions.request(channel.id, "viewer", "hash 2", 1001.0)
    assert not new
    lease = Lease(viewer="viewer", token_hash="hash 2", renewed_at=1001.0)
    assert again == replace(first, lease=lease, renewed_at=1001.0)
    assert await tables.sessions.get(first.session.id, "hash 2") == again
    assert await tables.sessions.get(first.session.id, "hash") == replace(again, lease=None)
    elsewhere, new_elsewhere = await tables.sessions.request(other.id, "viewer", "hash", 1002.0)
    somebody, new_somebody = await tables.sessions.request(channel.id, "somebody", "hash", 1003.0)
    assert new_elsewhere
    assert new_somebody
    assert await tables.sessions.unended() == (first.session, elsewhere.session, somebody.session)


async def test_a_session_that_stops_or_has_ended_is_not_given_again(tables: Tables) -> None:
    channel, _ = await a_channel(tables)
    first = await a_session(tables, channel.id)
    await tables.sessions.stop(first.id, EndReason.STOPPED)
    second = await a_session(tables, channel.id)
    await tables.sessions.commit(second, Decision(session=replace(second, state=Ended(0.0))), 5.0)
    third = await a_session(tables, channel.id)
    assert len({first.id, second.id, third.id}) == 3


async def test_twenty_requests_of_one_viewer_at_once_give_one_session(tables: Tables) -> None:
    channel, _ = await a_channel(tables)
    answers = await asyncio.gather(*(tables.sessions.request(channel.id, "v", f"{n}", 1000.0) for n in range(20)))
    assert len({row.session.id for row, _ in answers}) == 1
    assert [new for _, new in answers].count(True) == 1
    assert len(await tables.sessions.unended()) == 1


async def test_an_intent_bumps_the_version_and_a_heartbeat_does_not(tables: Tables) -> None:
    channel, (_, b) = await a_channel(tables)
    session = await a_session(tables, channel.id)
    await tables.sessions.renew(session.id, 2000.0)
    row = await tables.sessions.get(session.id)
    assert (row.session, row.renewed_at) == (session, 2000.0)
    await tables.sessions.switch(session.id, b.id)
    asked = (await tables.sessions.get(session.id)).session
    assert asked == replace(session, switch_to=b.id, version=1)
    await tables.sessions.switch(session.id, None)
    asked = (await tables.sessions.get(session.id)).session
    assert asked == replace(session, switch_to="next", version=2)
    await tables.sessions.stop(session.id, EndReason.STOPPED)
    asked = (await tables.sessions.get(session.id)).session
    assert asked == replace(session, switch_to="next", desired=Desired.STOP, end_reason=EndReason.STOPPED, version=3)
    assert await tables.sessions.unended() == (asked,)


async def test_an_intent_for_a_session_that_stops_or_has_ended_changes_nothing(tables: Tables) -> None:
    channel, _ = await a_channel(tables)
    stopping = await a_session(tables, channel.id)
    await tables.sessions.stop(stopping.id, EndReason.STOPPED)
    ended = await a_session(tables, channel.id)
    await tables.sessions.commit(ended, Decision(session=replace(ended, state=Ended(0.0), end_reason=EndReason.IDLE)), 5.0)
    for session_id in (stopping.id, ended.id):
        before = await tables.sessions.get(session_id)
        await tables.sessions.stop(session_id, EndReason.STOPPED)
        await tables.sessions.switch(session_id, None)
        assert await tables.sessions.get(session_id) == before


async def test_an_unknown_session_is_not_found(tables: Tables) -> None:
    for call in (
        tables.sessions.get("s-none"),
        tables.sessions.stop("s-none", EndReason.STOPPED),
        tables.sessions.switch("s-none", None),
        tables.sessions.renew("s-none", 1.0),
    ):
        with pytest.raises(NotFound):
            await call
    assert await tables.sessions.events("s-none") == ()
    assert await tables.sessions.attempts("s-none") == ()


async def test_recent_sessions_come_newest_first(tables: Tables) -> None:
    channel, _ = await a_channel(tables)
    asked = [await tables.sessions.request(channel.id, f"v{n}", "hash", 1000.0 + n) for n in range(5)]
    rows = [replace(row, lease=None) for row, _ in asked]
    ended = replace(rows[2].session, state=Ended(0.0))
    await tables.sessions.commit(rows[2].session, Decision(session=ended), 5.0)
    rows[2] = replace(rows[2], session=replace(ended, version=1))
    assert await tables.sessions.recent() == tuple(reversed(rows))
    assert await tables.sessions.recent(limit=2) == (rows[4], rows[3])
    assert await tables.sessions.recent(phase=Phase.ENDED) == (rows[2],)
    assert await tables.sessions.recent(phase=Phase.REQUESTED, limit=3) == (rows[4], rows[3], rows[1])


# --- commit -----------------------------------------------------------------------------------------------------------

LEG = Leg(
    1, "x-2", Why(Cause.FAILBACK, "some detail", "provider p: its only connection is in use"), 1002.25, 1002.75, "fedcba98"
)
PLAYING = Attempt(2, 1002.25, 1002.0, (LEG, replace(LEG, number=2, input="x-4", started_at=1002.5)))
NEW = Attempt.on(3, "x-3", 1003.25, address="0123456789abcdef", why=why("source stalled"))
SLATED = Attempt.on(4, SLATE, 1004.0, 1004.5, why=why("source ended"))
STATES: tuple[State, ...] = (
    Starting(NEW, tried=("x-1",), from_source_id="x-1"),
    Live(PLAYING),
    Live(PLAYING, successor=NEW, backoff=SwapBackoff(1010.0, failback_only=True)),
    Switching(NEW, from_source_id="x-2", tried=("x-1", "x-2")),
    Unavailable(
        since=1001.75, why=why("source stalled"), from_source_id="x-2", tried=("x-1",), retry_at=1010.0, trying=NEW,
        shown=SLATED, slate_faults=3, slate_at=1011.0,
    ),
    Unavailable(since=1001.75, why=why("source ended"), from_source_id="x-2", retry_at=1010.0, shown=SLATED, renewing=NEW),
    Ended(1020.0, unavailable_since=1001.75),
)  # fmt: skip
# Every field differs from its default: what is committed is what is read
SESSION = Session(
    id="",
    channel_id="",
    viewer="viewer",
    desired=Desired.STOP,
    created_at=1000.0,
    target_duration_s=4,
    last_attempt=3,
    switch_to="x-9",
    state=STATES[0],
    chosen="x-3",
    refused=("0123456789abcdef",),
    fault_at=1001.5,
    faults=2,
    retries=5,
    end_reason=EndReason.STOPPED,
)


@pytest.mark.parametrize("state", STATES, ids=lambda state: type(state).__name__)
async def test_the_whole_state_is_committed(tables: Tables, state: State) -> None:
    channel, _ = await a_channel(tables)
    session = await a_session(tables, channel.id)
    committed = replace(SESSION, id=session.id, channel_id=channel.id, state=state)
    same = {field.name for field in fields(Session) if getattr(committed, field.name) == getattr(session, field.name)}
    assert same == {"id", "channel_id", "viewer", "created_at", "version"}
    assert await tables.sessions.commit(session, Decision(session=committed), 1003.0) == ()
    row = await tables.sessions.get(session.id)
    assert row.session == replace(committed, version=1)
    assert (row.lease, row.renewed_at) == (None, 1000.0)
    back = replace(session, version=1)
    await tables.sessions.commit(row.session, Decision(session=back), 1004.0)
    assert await tables.sessions.unended() == (replace(back, version=2),)


async def test_a_slate_is_in_the_history_and_touches_no_source(tables: Tables) -> None:
    channel, (a,) = await a_channel(tables, "a")
    session = await a_session(tables, channel.id)
    await record(tables, session.id, [AttemptStarted(1, a.id, why("requested")), AttemptLive(1, a.id)], 5.0)
    before = (await tables.catalogue.channel(channel.id), await tables.catalogue.sources(channel.id))
    told = Happened(EventType.STREAM_UNAVAILABLE, {"reason": "source ended", "sources": {a.id: "gone"}, "slate": True})
    await record(tables, session.id, [told, AttemptStarted(2, SLATE, why("source ended"))], 6.0)
    await record(tables, session.id, [AttemptLive(2, SLATE)], 7.0)
    await record(tables, session.id, [AttemptEnded(2, 137, why("container killed", of_end=True))], 8.0)
    assert (await tables.catalogue.channel(channel.id), await tables.catalogue.sources(channel.id)) == before
    assert (await tables.catalogue.channel(channel.id)).active_source_id == a.id
    (event,) = await tables.sessions.events(session.id)
    assert event.fields == {"reason": "source ended", "sources": {a.id: "gone"}, "slate": True}
    assert event.fields["slate"] is True
    slate = (await tables.sessions.attempts(session.id))[1]
    assert (slate.source_id, slate.first_segment_at, slate.exit_code) == (SLATE, 7.0, 137)


async def test_a_stale_commit_leaves_no_trace(tables: Tables) -> None:
    channel, (a, b) = await a_channel(tables)
    session = await a_session(tables, channel.id)
    await tables.sessions.stop(session.id, EndReason.STOPPED)
    stopping = await tables.sessions.get(session.id)
    records = (
        AttemptStarted(1, a.id, why("requested")),
        AttemptLive(1, a.id),
        SourceFailed(b.id, why("404")),
        Happened(EventType.SESSION_LIVE),
    )
    live = replace(session, state=Live(Attempt.on(1, a.id, 5.0, 5.0)), last_attempt=1)
    with pytest.raises(Stale):
        await tables.sessions.commit(session, Decision(session=live, records=records), 5.0)
    assert await tables.sessions.get(session.id) == stopping
    assert await tables.catalogue.sources(channel.id) == (a, b)
    assert await tables.catalogue.channel(channel.id) == channel
    assert await tables.sessions.attempts(session.id) == ()
    assert await tables.sessions.events(session.id) == ()
    with pytest.raises(Stale):
        await tables.sessions.commit(replace(session, id="s-none"), Decision(session=session), 5.0)


async def test_of_commits_on_one_version_one_wins(tables: Tables) -> None:
    channel, _ = await a_channel(tables)
    session = await a_session(tables, channel.id)
    decision = Decision(session=replace(session, retries=1), records=(Happened(EventType.SESSION_LIVE, {"n": 1}),))
    outcomes = await asyncio.gather(
        *(tables.sessions.commit(session, decision, 5.0) for _ in range(10)), return_exceptions=True
    )
    assert sum(isinstance(outcome, Stale) for outcome in outcomes) == 9
    assert (await tables.sessions.get(session.id)).session.version == 1
    assert [event.id for event in await tables.sessions.events(session.id)] == [1]


async def test_the_history_knows_legs(tables: Tables) -> None:
    channel, (a, _) = await a_channel(tables)
    session = await a_session(tables, channel.id)
    attempt = Attempt.on(1, a.id, 10.0, address=a.address, why=why("requested"))
    started = replace(session, state=Starting(attempt), last_attempt=1)
    records = (AttemptStarted(1, a.id, why("requested")),)
    await tables.sessions.commit(session, Decision(session=started, records=records), 10.0)
    assert [row.legs for row in await tables.sessions.attempts(session.id)] == [attempt.legs]
    live, before = attempt.listed(11.0), replace(started, version=1)
    plays = Decision(session=replace(started, state=Live(live)), records=(AttemptLive(1, a.id),))
    await tables.sessions.commit(before, plays, 11.0)
    await record(tables, session.id, [AttemptLive(1, a.id)], 12.0)  # nothing is known of its legs there
    assert [row.legs for row in await tables.sessions.attempts(session.id)] == [live.legs]


async def test_an_input_switch_changes_the_legs_and_what_the_channel_plays(tables: Tables) -> None:
    channel, (a, b) = await a_channel(tables)
    session = await a_session(tables, channel.id)
    attempt = replace(Attempt.on(1, a.id, 10.0, 11.0), granted=(a.id, b.id))
    records: tuple[Record, ...] = (AttemptStarted(1, a.id, why("requested")), AttemptLive(1, a.id))
    live = replace(session, state=Live(attempt), last_attempt=1)
    await tables.sessions.commit(session, Decision(session=live, records=records), 11.0)
    ended = why("source ended", of_end=True)
    switched = replace(attempt.switched(ended, 20.0, Leg(2, b.id, ended, 20.0)).listed(21.0), reports_read=3)
    after = replace(live, version=1, state=Live(switched))
    records = (
        LegsChanged(1, switched.legs),
        SourceFailed(a.id, ended, in_a_row=1, at=20.0),
        AttemptLive(1, b.id),
        ReportRead(1, 3),
    )
    await tables.sessions.commit(replace(live, version=1), Decision(session=after, records=records), 30.0)
    (row,) = await tables.sessions.attempts(session.id)
    assert row.legs == switched.legs
    assert (row.source_id, row.first_segment_at, row.ended_at) == (a.id, 11.0, None), "the attempt is the same"
    assert (await tables.catalogue.channel(channel.id)).active_source_id == b.id
    failed, playing = await tables.catalogue.source(a.id), await tables.catalogue.source(b.id)
    assert (failed.status, failed.failure_count, failed.last_failed_at) == (SourceStatus.PROBLEMATIC, 1, 20.0)
    assert playing.status is SourceStatus.HEALTHY
    assert (await tables.sessions.get(session.id)).session.attempt == switched


async def test_records_tell_the_history_of_a_session(tables: Tables) -> None:
    channel, (a, b) = await a_channel(tables)
    session = await a_session(tables, channel.id)
    await record(tables, session.id, [AttemptStarted(1, a.id, why("requested"))], 10.0)
    assert (await tables.catalogue.channel(channel.id)).active_source_id is None
    await record(tables, session.id, [AttemptLive(1, a.id)], 11.0)
    assert (await tables.catalogue.channel(channel.id)).active_source_id == a.id
    assert await tables.catalogue.source(a.id) == replace(a, status=SourceStatus.HEALTHY, last_checked_at=11.0)

    swap = (
        AttemptEnded(1, 13, why("source stalled", of_end=True)),
        SourceFailed(a.id, why("no media for 3 s"), stalled=True),
        AttemptStarted(2, b.id, why("source stalled")),
    )
    await record(tables, session.id, swap, 20.0)
    await record(tables, session.id, [AttemptLive(2, b.id)], 21.0)
    await record(tables, session.id, [AttemptLive(2, b.id)], 22.0)  # the first segment is first once
    await record(tables, session.id, [SourceFailed(a.id, why("404"))], 30.0)
    assert await tables.catalogue.sources(channel.id) == (
        replace(
            a,
            status=SourceStatus.PROBLEMATIC,
            failure_count=1,
            stall_count=1,
            failures_in_a_row=1,
            last_checked_at=11.0,
            last_failed_at=30.0,
            last_failure=why("404"),
            problematic_since=20.0,
        ),
        replace(b, status=SourceStatus.HEALTHY, last_checked_at=22.0),
    )
    assert (await tables.catalogue.channel(channel.id)).active_source_id == b.id
    assert await tables.sessions.attempts(session.id) == (
        AttemptRow(
            session_id=session.id,
            number=1,
            source_id=a.id,
            started_at=10.0,
            first_segment_at=11.0,
            ended_at=20.0,
            exit_code=13,
            start_reason="requested",
            end_reason="source stalled",
            start_cause=Cause.REQUESTED,
            end_cause=Cause.SOURCE_STALLED,
        ),
        AttemptRow(
            session_id=session.id,
            number=2,
            source_id=b.id,
            started_at=20.0,
            first_segment_at=21.0,
            start_reason="source stalled",
            start_cause=Cause.SOURCE_STALLED,
        ),
    )
    # No change of state
    assert (await tables.sessions.get(session.id)).session == replace(session, version=6)


async def test_events_are_numbered_from_one_and_read_from_anywhere(tables: Tables) -> None:
    channel, _ = await a_channel(tables)
    session = await a_session(tables, channel.id)
    other = await a_session(tables, channel.id, "other")
    switch = Happened(
        EventType.STREAM_SWITCH,
        {"from": None, "to": "x-1", "attempt": 2, "gap_ms": -12.5, "sources": {"x-1": "404 «нет»"}},
    )
    live = Happened(EventType.SESSION_LIVE)
    first = await tables.sessions.commit(session, Decision(session=session, records=(live, switch)), 10.0)
    assert first == (
        Event(id=1, session_id=session.id, type=EventType.SESSION_LIVE, at=10.0),
        Event(id=2, session_id=session.id, type=EventType.STREAM_SWITCH, at=10.0, fields=switch.fields),
    )
    second = await record(tables, session.id, [switch], 11.0)
    assert [event.id for event in second] == [3]
    assert [event.id for event in await record(tables, other.id, [live], 11.0)] == [1]
    assert await tables.sessions.events(session.id) == (*first, *second)
    assert await tables.sessions.events(session.id, after=1) == (first[1], *second)
    assert await tables.sessions.events(session.id, limit=1) == (first[0],)
    assert await tables.sessions.events(session.id, after=3) == ()


async def test_concurrent_writers_leave_no_gap_between_events(tables: Tables) -> None:
    channel, (a, b) = await a_channel(tables)
    session = await a_session(tables, channel.id)

    async def write(number: int) -> None:
        # Each blames one source and praises the other, so that their locks cross
        worse, better = (a, b) if number % 2 else (b, a)
        records = SourceFailed(worse.id, why("404")), AttemptLive(1, better.id), Happened(EventType.SESSION_LIVE)
        await record(tables, session.id, records, float(number), tries=200)

    async def follow() -> list[int]:
        seen: list[int] = []
        while len(seen) < 40:  # an id that shows late, behind a greater one, would never be seen
            seen += [event.id for event in await tables.sessions.events(session.id, after=seen[-1] if seen else 0)]
            await asyncio.sleep(0)
        return seen

    seen, *_ = await asyncio.gather(follow(), *(write(number) for number in range(40)))
    assert seen == list(range(1, 41))
    assert sum(source.failure_count for source in await tables.catalogue.sources(channel.id)) == 40


async def test_a_check_of_a_working_database_is_silent(tables: Tables) -> None:
    await tables.sessions.check()
