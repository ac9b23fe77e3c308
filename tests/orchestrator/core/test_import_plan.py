"""What an import plans: which entries are one channel, what a second import changes, and what it must leave alone."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from orchestrator.core import bounds
from orchestrator.core.catalogue.import_plan import plan
from orchestrator.core.catalogue.imported import (
    ChannelFields,
    ChannelPlan,
    Counts,
    KnownChannel,
    KnownSource,
    Plan,
    SourceFields,
    changed_fields,
    counts,
)
from orchestrator.core.catalogue.m3u import Entry
from orchestrator.core.catalogue.same_channel import is_backup, known_by, without_quality

P = "p-1"


def entry(name: str, url: str = "", **more: object) -> Entry:
    made = Entry(name=name, url=f"http://p.test/{url or name.replace(' ', '-')}")
    return replace(made, **more)


def listed(*entries: Entry) -> list[Entry]:
    return [replace(each, line=line) for line, each in enumerate(entries, start=1)]


def applied(known: Sequence[KnownChannel], planned: Plan) -> list[KnownChannel]:
    """What the tables hold afterwards."""
    ids = (f"i-{number}" for number in itertools.count(len(known) + sum(len(each.sources) for each in known)))
    changed = {each.before.id: each for each in planned.channels if each.before}
    kept = [_after(changed[each.id], ids, planned.provider_id) if each.id in changed else each for each in known]
    return kept + [_after(each, ids, planned.provider_id) for each in planned.channels if each.before is None]


def _after(each: ChannelPlan, ids: Iterable[str], provider_id: str) -> KnownChannel:
    new = iter(ids)
    changed = {source.id: source for source in each.changed}
    kept = [changed.get(source.id, source) for source in each.before.sources] if each.before else []
    added = [KnownSource(id=next(new), provider_id=provider_id, fields=some.fields, imported=some) for some in each.added]
    channel_id = each.before.id if each.before else next(new)
    return KnownChannel(id=channel_id, slug=each.slug, fields=each.fields, imported=each.imported, sources=(*kept, *added))


def after(known: Sequence[KnownChannel], *entries: Entry, provider: str = P) -> list[KnownChannel]:
    return applied(known, plan(known, provider, listed(*entries)))


def edited(channel: KnownChannel, **fields: object) -> KnownChannel:
    return replace(channel, fields=replace(channel.fields, **fields))


def with_source(channel: KnownChannel, place: int, **fields: object) -> KnownChannel:
    sources = list(channel.sources)
    sources[place] = replace(sources[place], fields=replace(sources[place].fields, **fields))
    return replace(channel, sources=tuple(sources))


def urls(channel: KnownChannel) -> list[str]:
    return [source.fields.url.removeprefix("http://p.test/") for source in channel.sources]


# --- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "title", "country"),
    [
        ("BBC One", "bbc one", None),
        ("UK: BBC ONE FHD", "bbc one", "gb"),
        ("|UK| BBC One HD", "bbc one", "gb"),
        ("[GB] BBC One [4K]", "bbc one", "gb"),
        ("USA | CNN (UHD)", "cnn", "us"),
        ("FR| TF1 HEVC 1080p", "tf1", "fr"),
        ("TF1 ᴴᴰ", "tf1", None),
        ("Sky Sports 1 HD Backup 2", "sky sports 1", None),
        ("Sky Sports 1 RAW 50fps", "sky sports 1", None),
        ("Canal+ HD", "canal +", None),
        ("BBC One +1", "bbc one + 1", None),
        ("RTL HD+", "rtl", None),
        ("HBO: Comedy", "hbo comedy", None),
        ("4K", "4k", None),
        ("UK:", "uk", None),
        ("HDTV", "hdtv", None),
        ("!!!", "!!!", None),
    ],
)
def test_what_tells_channels_apart(name: str, title: str, country: str | None) -> None:
    assert known_by(name) == (title, country)


@pytest.mark.parametrize(
    ("name", "without"),
    [
        ("UK: BBC One FHD", "UK: BBC One"),
        ("BBC One (HD)", "BBC One"),
        ("|FR| TF1 [4K] Backup", "|FR| TF1"),
        ("BBC One - HD", "BBC One"),
        ("4K", "4K"),
        ("HDTV", "HDTV"),
    ],
)
def test_a_channels_name_says_no_quality(name: str, without: str) -> None:
    assert without_quality(name) == without


def test_backups() -> None:
    assert [is_backup(name) for name in ("A Backup", "A (BKP)", "A backup2", "Backups", "A")] == [
        True,
        True,
        True,
        False,
        False,
    ]


# --- which entries are one channel ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entries", "channels"),
    [
        ([entry("UK: One HD", "a"), entry("one", "b"), entry("|UK| ONE 4K", "c")], [["a", "b", "c"]]),
        ([entry("One", "a"), entry("Two", "b")], [["a"], ["b"]]),
        ([entry("One", "a", tvg_id="x"), entry("Eins", "b", tvg_id="X")], [["a", "b"]]),
        ([entry("One", "a", tvg_id="x"), entry("One", "b", tvg_id="y")], [["a"], ["b"]]),
        ([entry("One", "a"), entry("One", "b", tvg_id="x"), entry("One", "c", tvg_id="y")], [["a", "b"], ["c"]]),
        ([entry("One", "a", tvg_id="x"), entry("One HD", "b")], [["a", "b"]]),
        (
            [entry("UK: One", "a"), entry("FR: One", "b"), entry("USA: One", "c"), entry("fra: one", "d")],
            [["a"], ["b", "d"], ["c"]],
        ),
        ([entry("One Backup", "a"), entry("One HD", "b"), entry("One SD", "c")], [["b", "c", "a"]]),
        ([entry("One", "a"), entry("One HD", "a")], [["a"]]),
        ([entry("HD", "a"), entry("4K", "b")], [["a"], ["b"]]),
    ],
)
def test_entries_that_are_the_same_channel_are_its_sources(entries: list[Entry], channels: list[list[str]]) -> None:
    known = after([], *entries)
    assert [urls(channel) for channel in known] == channels
    assert plan(known, P, listed(*entries)).channels == ()


def test_a_channel_is_called_as_its_first_entry_and_has_what_any_of_them_says() -> None:
    (channel,) = after(
        [],
        entry("UK: One FHD", "a", group="News"),
        entry("One HD", "b", tvg_id="one.uk", logo="http://l.test/1.png", number=7, group="Other", tvg_name="ONE"),
    )
    assert channel.slug == "uk-one"
    assert channel.fields == ChannelFields(
        name="UK: One", tvg_id="one.uk", logo="http://l.test/1.png", number=7, group="News", tvg_name="ONE"
    )


def test_slugs_are_made_once_each() -> None:
    known = after([], entry("One", tvg_id="a"), entry("One", "2", tvg_id="b"), entry("Новости"), entry("Спорт"))
    assert [channel.slug for channel in known] == ["one", "one-2", "channel", "channel-2"]
    known = after(known, *(entry("One", f"n{n}", tvg_id=f"c{n}") for n in range(3)))
    assert [channel.slug for channel in known[4:]] == ["one-3", "one-4", "one-5"]


def test_a_channel_holds_so_many_sources_and_says_what_it_leaves_out() -> None:
    entries = listed(*(entry("One", f"{n}") for n in range(bounds.SOURCES + 2)))
    planned = plan([], P, entries)
    assert len(planned.channels[0].added) == bounds.SOURCES
    assert [fault.line for fault in planned.faults] == [bounds.SOURCES + 1, bounds.SOURCES + 2]


def test_another_providers_entries_join_behind_and_rename_nothing() -> None:
    first = after([], entry("UK: One", "a", tvg_id="one.uk"), entry("Two", "b"))
    both = after(first, entry("ONE", "c", tvg_id="ONE.UK", logo="l"), entry("TWO HD", "d"), entry("Three", "e"), provider="p-2")
    assert [urls(channel) for channel in both] == [["a", "c"], ["b", "d"], ["e"]]
    assert [channel.fields for channel in both[:2]] == [channel.fields for channel in first]
    # and when the second one loses its entries, the first one's sources play on
    less = applied(both, plan(both, "p-2", []))
    assert [[source.fields.enabled for source in each.sources] for each in less] == [[True, False], [True, False], [False]]
    assert [channel.fields.enabled for channel in less] == [True, True, False]


def test_the_operators_own_channel_gets_sources_and_nothing_else() -> None:
    own = KnownChannel(
        id="c", slug="one", fields=ChannelFields(name="One"), imported=None,
        sources=(KnownSource(id="x", provider_id=None, fields=SourceFields(url="http://p.test/own"), imported=None),),
    )  # fmt: skip
    (channel,) = after([own], entry("UK: ONE HD", "a", logo="l"), entry("One", "own"))
    assert channel.fields == own.fields
    assert urls(channel) == ["own", "a"]


# --- again ------------------------------------------------------------------------------------------------------------


def test_a_changed_address_is_the_same_source() -> None:
    known = after([], entry("One", "old-1"), entry("One HD", "old-2"))
    planned = plan(known, P, listed(entry("One HD", "new-2"), entry("One", "new-1", user_agent="A")))
    assert counts(planned.channels) == Counts(sources_updated=2)
    (channel,) = applied(known, planned)
    assert urls(channel) == ["new-1", "new-2"]
    assert [source.id for source in channel.sources] == [source.id for source in known[0].sources]


def test_an_address_that_now_carries_another_channel_moves_there() -> None:
    known = after([], entry("One", "a"), entry("Two", "b"))
    one, two = after(known, entry("Two", "a"), entry("Two", "b"))
    assert [(source.fields.url[-1], source.fields.enabled) for source in one.sources] == [("a", False)]
    assert [(source.fields.url[-1], source.fields.enabled) for source in two.sources] == [("b", True), ("a", True)]
    assert (one.fields.enabled, two.fields.enabled) == (False, True)


def test_what_vanishes_is_disabled_and_comes_back() -> None:
    entries = entry("One", "a"), entry("One HD", "b"), entry("Two", "c")
    known = after([], *entries)
    planned = plan(known, P, listed(entries[0]))
    assert counts(planned.channels) == Counts(sources_disabled=2, channels_disabled=1)
    less = applied(known, planned)
    assert plan(less, P, listed(entries[0])).channels == ()
    back = plan(less, P, listed(*entries))
    assert counts(back.channels) == Counts(sources_enabled=2, channels_enabled=1)
    assert applied(less, back) == known


def test_updates_follow_the_playlist() -> None:
    known = after([], entry("One", "a", group="Old", number=1))
    planned = plan(known, P, listed(entry("One", "a", group="New", logo="l")))
    assert counts(planned.channels) == Counts(channels_updated=1)
    fields = applied(known, planned)[0].fields
    assert (fields.group, fields.logo, fields.number) == ("New", "l", None)


# --- what the operator has edited -------------------------------------------------------------------------------------


def test_an_edited_field_stays_and_the_others_follow() -> None:
    (known,) = after([], entry("One", "a", group="Old", logo="old"))
    mine = edited(known, name="My One", group="Mine", number=5)
    (again,) = after([mine], entry("One", "a", group="New", logo="new", number=9))
    assert again.fields == replace(mine.fields, logo="new")
    (given_back,) = after([edited(again, group="Old")], entry("One", "a", group="Newer", logo="new"))
    assert given_back.fields.group == "Newer"  # as the import last wrote it: the import's again


def test_a_renamed_channel_keeps_its_sources() -> None:
    (known,) = after([], entry("One", "a"))
    again = after([replace(edited(known, name="Uno", tvg_id="other"), slug="uno")], entry("One", "new"), entry("One HD", "b"))
    assert [urls(channel) for channel in again] == [["new", "b"]]


def test_what_the_operator_disabled_stays_disabled() -> None:
    (known,) = after([], entry("One", "a"), entry("One HD", "b"))
    off = with_source(known, 0, enabled=False)
    for entries in ([entry("One HD", "b")], [entry("One", "a"), entry("One HD", "b")]):
        (off,) = after([off], *entries)
        assert [source.fields.enabled for source in off.sources] == [False, True]
    (channel_off,) = after([edited(known, enabled=False)], entry("One", "c"))
    assert not channel_off.fields.enabled


def test_what_the_operator_enabled_again_stays_enabled() -> None:
    known = after([], entry("One", "a"), entry("Two", "b"))
    less = after(known, entry("Two", "b"))
    on = edited(with_source(less[0], 0, enabled=True), enabled=True)
    assert plan([on, less[1]], P, listed(entry("Two", "b"))).channels == ()


def test_an_edited_address_stays() -> None:
    (known,) = after([], entry("One", "a", user_agent="A"))
    mine = with_source(known, 0, url="http://mine.test/")
    (again,) = after([mine], entry("One", "new", user_agent="B"))
    assert (again.sources[0].fields.url, again.sources[0].fields.user_agent) == ("http://mine.test/", "B")


# --- properties -------------------------------------------------------------------------------------------------------

ENTRY = st.builds(
    entry,
    st.sampled_from(["One", "UK: One", "FR: One", "one HD", "One Backup", "Two", "|UK| Two 4K", "HD"]),
    st.sampled_from("abcdefgh"),
    tvg_id=st.sampled_from([None, None, "x", "X", "y"]),
    group=st.sampled_from([None, "G", "H"]),
    number=st.sampled_from([None, 1, 2]),
)
PLAYLIST = st.lists(ENTRY, max_size=10)


EACH_ADDRESS_ONCE = st.lists(ENTRY, max_size=10, unique_by=lambda each: each.url)


@given(st.lists(EACH_ADDRESS_ONCE, min_size=1, max_size=3))
def test_importing_the_same_again_changes_nothing(playlists: list[list[Entry]]) -> None:
    known: list[KnownChannel] = []
    for number, entries in enumerate(playlists):
        provider = f"p-{number % 2}"
        entries = listed(*(replace(each, url=f"{each.url}/{provider}") for each in entries))
        known = applied(known, plan(known, provider, entries))
        assert plan(known, provider, entries).channels == ()
        slugs = [channel.slug for channel in known]
        assert len(slugs) == len(set(slugs))


@given(EACH_ADDRESS_ONCE)
def test_an_entry_listed_twice_is_one_source(entries: list[Entry]) -> None:
    twice = listed(*entries, *entries)
    planned = plan([], P, twice)
    assert (planned.entries, planned.duplicates) == (2 * len(entries), len(entries))
    assert plan(applied([], planned), P, twice).channels == ()


@given(PLAYLIST, PLAYLIST, st.data())
def test_edits_survive_every_import(first: list[Entry], second: list[Entry], data: st.DataObject) -> None:
    known = after([], *first)
    edits: dict[str, object] = {}
    for number, channel in enumerate(known):
        changes = data.draw(
            st.fixed_dictionaries({}, optional={"name": st.just("Mine"), "group": st.just("Mine"), "enabled": st.just(False)})
        )
        known[number] = edited(channel, **changes)
        edits |= {(channel.id, name): value for name, value in changes.items()}
        for place, source in enumerate(channel.sources):
            if data.draw(st.booleans()):
                known[number] = with_source(known[number], place, enabled=False, url=f"http://mine.test/{source.id}")
                edits[source.id] = (False, f"http://mine.test/{source.id}")
    for entries in (second, first, []):
        known = after(known, *entries)
    now: dict[object, object] = {}
    for channel in known:
        now |= {(channel.id, name): getattr(channel.fields, name) for name in ("name", "group", "enabled")}
        now |= {source.id: (source.fields.enabled, source.fields.url) for source in channel.sources}
    assert {key: now[key] for key in edits} == edits


@given(PLAYLIST, PLAYLIST)
def test_nothing_is_ever_lost_and_the_playlist_is_all_there(first: list[Entry], second: list[Entry]) -> None:
    known = after([], *first)
    again = after(known, *second)
    assert {source.id for channel in known for source in channel.sources} <= {s.id for c in again for s in c.sources}
    enabled = {source.fields.url for channel in again for source in channel.sources if source.fields.enabled}
    assert enabled == {each.url for each in second}


def test_the_fields_that_differ_are_named() -> None:
    assert changed_fields(ChannelFields(name="A"), ChannelFields(name="B", enabled=False)) == ["name", "enabled"]
