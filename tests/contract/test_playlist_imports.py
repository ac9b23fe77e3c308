"""One meaning of `ports.Providers` and `ports.Imports`, in memory, on SQLite and on PostgreSQL."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from orchestrator.core.catalogue.import_plan import plan
from orchestrator.core.catalogue.imported import ChannelPlan, ImportPlan, KnownChannel
from orchestrator.core.catalogue.m3u import PlaylistEntry
from orchestrator.core.model import (
    Attempt,
    AttemptEnded,
    AttemptStarted,
    Cause,
    Channel,
    Decision,
    Ended,
    Live,
    Media,
    Provider,
    Session,
    Source,
    SourceStatus,
    Why,
)
from orchestrator.errors import AlreadyExists, NotFound, Stale
from orchestrator.ports import NewSource, ProbeResult, Tables
from tests.words import why

ENTRIES = (
    PlaylistEntry(
        line=1, name="One HD", url="http://p.test/1", tvg_id="one", logo="http://l.test/1", number=2, group="G", tvg_name="O"
    ),
    PlaylistEntry(
        line=2, name="One Backup", url="http://p.test/2", tvg_id="one", user_agent="A", headers={"Referer": "http://é.test"}
    ),
    PlaylistEntry(line=3, name="Two", url="rtmp://p.test/3"),
)


async def planned(tables: Tables, provider: Provider, *entries: PlaylistEntry) -> ImportPlan:
    return plan(await tables.imports.lineup(), provider.id, entries)


async def imported(tables: Tables, provider: Provider, *entries: PlaylistEntry) -> int:
    made = await planned(tables, provider, *entries)
    return await tables.imports.apply(provider.id, made.channels)


async def channel_of(tables: Tables, slug: str) -> KnownChannel:
    return next(each for each in await tables.imports.lineup() if each.slug == slug)


# --- providers --------------------------------------------------------------------------------------------------------


async def test_a_provider_is_found_by_id_and_by_name(tables: Tables) -> None:
    b, a = await tables.providers.add("b", 2), await tables.providers.add("a", None)
    assert b.id.startswith("p-") and b.max_connections == 2 and b.created_at > 0
    assert await tables.providers.get(b.id) == await tables.providers.get("b") == b
    assert await tables.providers.all() == (a, b)
    with pytest.raises(NotFound):
        await tables.providers.get("c")


async def test_a_providers_name_is_taken_once(tables: Tables) -> None:
    a, b = await tables.providers.add("a", 1), await tables.providers.add("b", 1)
    with pytest.raises(AlreadyExists):
        await tables.providers.add("a", 3)
    with pytest.raises(AlreadyExists):
        await tables.providers.update(replace(b, name="a"))
    changed = await tables.providers.update(replace(a, name="c", max_connections=None))
    assert await tables.providers.all() == (b, changed)
    assert (changed.id, changed.name, changed.max_connections) == (a.id, "c", None)
    with pytest.raises(NotFound):
        await tables.providers.update(replace(a, id="p-none", name="d"))


async def test_sources_belong_to_a_provider(tables: Tables) -> None:
    provider = await tables.providers.add("a", 1)
    news = [NewSource(url="http://a.test", provider_id=provider.id), NewSource(url="http://b.test")]
    channel = await tables.catalogue.add_channel(Channel(id="", slug="news", name="News"), news)
    a, b = await tables.catalogue.sources(channel.id)
    assert (a.provider_id, b.provider_id) == (provider.id, None)
    assert (await tables.catalogue.update_source(b.id, provider_id=provider.id)).provider_id == provider.id
    assert (await tables.catalogue.update_source(b.id, provider_id="")).provider_id is None


async def test_a_deleted_provider_takes_its_sources_and_what_it_brought(tables: Tables) -> None:
    provider, other = await tables.providers.add("a", 1), await tables.providers.add("b", 1)
    own = await tables.catalogue.add_channel(Channel(id="", slug="own", name="Own"), [NewSource(url="http://o.test")])
    await tables.catalogue.add_source(own.id, NewSource(url="http://p.test/o", provider_id=provider.id), 1)
    await imported(tables, provider, *ENTRIES)
    await imported(tables, other, PlaylistEntry(name="One", url="http://q.test/1", tvg_id="one"))
    await tables.providers.delete(provider.id)
    left = {each.slug: [(s.priority, s.url) for s in await tables.catalogue.sources(each.id)] for each in await all_of(tables)}
    assert left == {"own": [(1, "http://o.test")], "one": [(1, "http://q.test/1")]}
    assert await tables.providers.all() == (other,)
    with pytest.raises(NotFound):
        await tables.providers.delete(provider.id)


async def all_of(tables: Tables) -> tuple[Channel, ...]:
    return await tables.catalogue.channels()


# --- imports ----------------------------------------------------------------------------------------------------------


async def test_an_import_is_read_back_as_it_was_planned(tables: Tables) -> None:
    provider = await tables.providers.add("a", 1)
    assert await imported(tables, provider, *ENTRIES) == 2
    one, two = await all_of(tables)
    assert (one.slug, one.name, one.number, one.group, one.logo, one.tvg_id, one.tvg_name, one.enabled) == (
        "one", "One", 2, "G", "http://l.test/1", "one", "O", True,
    )  # fmt: skip
    assert [(s.priority, s.url, s.user_agent, s.headers, s.provider_id) for s in await tables.catalogue.sources(one.id)] == [
        (1, "http://p.test/1", None, {}, provider.id),
        (2, "http://p.test/2", "A", {"Referer": "http://é.test"}, provider.id),
    ]
    assert (two.name, two.number) == ("Two", None)
    assert one.created_at == one.updated_at > 0
    assert (await planned(tables, provider, *ENTRIES)).channels == ()
    assert [each.id for each in await tables.catalogue.channels(search="g")] == [one.id]


async def test_an_import_again_updates_adds_and_disables(tables: Tables) -> None:
    provider = await tables.providers.add("a", 1)
    await imported(tables, provider, *ENTRIES)
    one, two = await all_of(tables)
    first, second = await tables.catalogue.sources(one.id)
    await tables.catalogue.record_probe(first.id, ProbeResult(Media(video="h264")), 5.0)
    await tables.catalogue.record_probe(second.id, ProbeResult.fails(Why(Cause.UNREADABLE, "404")), 5.0)
    again = (
        replace(ENTRIES[0], url="http://p.test/new", group="H"),
        ENTRIES[1],
        PlaylistEntry(line=4, name="One 4K", url="http://p.test/4k"),
    )
    assert await imported(tables, provider, *again) == 2
    one, two = await all_of(tables)
    assert (one.group, two.enabled) == ("H", False)
    first, second, third = await tables.catalogue.sources(one.id)
    assert (first.url, first.status, first.media) == ("http://p.test/new", SourceStatus.UNKNOWN, None)
    assert (second.status, second.last_failure_reason) == (SourceStatus.PROBLEMATIC, "404")
    assert (third.url, third.priority, third.status) == ("http://p.test/4k", 3, SourceStatus.UNKNOWN)
    assert [each.status for each in await tables.catalogue.sources(two.id)] == [SourceStatus.DISABLED]
    assert [each.id for each in await tables.catalogue.channels(search="h")] == [one.id]
    await imported(tables, provider, *ENTRIES)
    one, two = await all_of(tables)
    assert two.enabled
    assert [each.status for each in await tables.catalogue.sources(two.id)] == [SourceStatus.UNKNOWN]


async def test_what_the_operator_edits_through_the_catalogue_stays(tables: Tables) -> None:
    provider = await tables.providers.add("a", 1)
    await imported(tables, provider, *ENTRIES)
    one, two = await all_of(tables)
    await tables.catalogue.update_channel(replace(one, name="Uno", number=77, slug="uno"))
    await tables.catalogue.update_channel(replace(two, enabled=False))
    first, second = await tables.catalogue.sources(one.id)
    await tables.catalogue.update_source(first.id, url="http://mine.test/", enabled=False)
    await tables.catalogue.order_sources(one.id, [second.id, first.id])
    await imported(tables, provider, *(replace(each, number=5, group="H") for each in ENTRIES))
    two, one = await all_of(tables)
    assert (one.name, one.number, one.slug, one.group) == ("Uno", 77, "uno", "H")
    assert (two.enabled, two.number) == (False, 5)
    assert [(each.url, each.status) for each in await tables.catalogue.sources(one.id)] == [
        ("http://p.test/2", SourceStatus.UNKNOWN),
        ("http://mine.test/", SourceStatus.DISABLED),
    ]


async def test_a_channel_that_changed_since_its_plan_is_left_alone(tables: Tables) -> None:
    provider = await tables.providers.add("a", 1)
    await imported(tables, provider, *ENTRIES)
    late = await planned(tables, provider, *(replace(each, group="H", number=5) for each in ENTRIES))
    one, two = await all_of(tables)
    await tables.catalogue.update_channel(replace(one, name="Uno"))
    await tables.catalogue.delete_channel(two.id)
    assert len(late.channels) == 2
    assert await tables.imports.apply(provider.id, late.channels) == 0
    (only,) = await all_of(tables)
    assert (only.name, only.number) == ("Uno", 2)


@pytest.mark.parametrize("gone", ["slug", "provider"])
async def test_what_cannot_be_written_any_more_is_stale_and_nothing_is_written(tables: Tables, gone: str) -> None:
    provider = await tables.providers.add("a", 1)
    made = await planned(tables, provider, *ENTRIES)
    if gone == "slug":
        await tables.catalogue.add_channel(Channel(id="", slug="two", name="Mine"), [])
    else:
        await tables.providers.delete(provider.id)
    before = await tables.imports.lineup()
    with pytest.raises(Stale):
        await tables.imports.apply(provider.id, made.channels)
    assert await tables.imports.lineup() == before


async def test_the_operators_own_is_known_as_such(tables: Tables) -> None:
    await tables.catalogue.add_channel(Channel(id="", slug="own", name="Own"), [NewSource(url="http://o.test")])
    own = await channel_of(tables, "own")
    assert (own.imported, own.sources[0].imported, own.sources[0].provider_id) == (None, None, None)


async def test_nothing_planned_is_nothing_written(tables: Tables) -> None:
    nothing: tuple[ChannelPlan, ...] = ()
    assert await tables.imports.apply("p-none", nothing) == 0


# --- connections ------------------------------------------------------------------------------------------------------


async def test_what_sessions_have_in_use_is_counted_by_provider(tables: Tables) -> None:
    """The current attempts', and those that still publish during a swap; not what has ended, nor what is of no provider."""
    a, b = await tables.providers.add("a", 1), await tables.providers.add("b", None)
    news = [NewSource(url=f"http://{n}.test", provider_id=each) for n, each in enumerate((a.id, b.id, None))]
    channel = await tables.catalogue.add_channel(Channel(id="", slug="one", name="One"), news)
    of_a, of_b, of_nobody = await tables.catalogue.sources(channel.id)
    assert await tables.providers.in_use() == {}

    async def plays(viewer: str, current: Source, previous: Source | None = None) -> Session:
        session = (await tables.sessions.request(channel.id, viewer, "hash", 1.0))[0].session
        playing = replace(
            session,
            state=Live(Attempt.on(1, previous.id, 1.0), successor=Attempt.on(2, current.id, 2.0))
            if previous
            else Live(Attempt.on(2, current.id, 2.0)),
        )
        records = [AttemptStarted(1, previous.id, why(""))] if previous else []
        decision = Decision(session=playing, records=(*records, AttemptStarted(2, current.id, why(""))))
        await tables.sessions.commit(session, decision, 2.0)
        return (await tables.sessions.get(session.id)).session

    one = await plays("1", of_a)
    two = await plays("2", of_b, previous=of_a)
    await plays("3", of_nobody)
    assert await tables.providers.in_use() == {a.id: 2, b.id: 1}
    asked = [(one.id, 2), (two.id, 1), (two.id, 2), (one.id, 7), ("s-none", 1)]
    assert await tables.providers.of_attempts(asked) == {(one.id, 2): a.id, (two.id, 1): a.id, (two.id, 2): b.id}
    ended = replace(one, state=Ended(3.0))
    await tables.sessions.commit(one, Decision(session=ended, records=(AttemptEnded(2, 0, why("stopped", of_end=True)),)), 3.0)
    assert await tables.providers.in_use() == {a.id: 1, b.id: 1}
    assert await tables.providers.of_attempts([(one.id, 2)]) == {(one.id, 2): a.id}, "its container may run still"
    await tables.catalogue.delete_source(of_a.id)
    assert await tables.providers.in_use() == {b.id: 1}
    assert await tables.providers.of_attempts([]) == {}
