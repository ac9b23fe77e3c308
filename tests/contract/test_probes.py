"""One meaning of `ports.Probes`, in memory, on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio

from msgspec.structs import replace

from orchestrator.core.model import Cause, Media, SourceStatus, Why
from orchestrator.ports import ProbeAnswer, ProbeResult, Tables
from tests.contract.test_tables import a_channel, letters

WORKS = ProbeResult(Media(video="h264"))
FULL = "provider Acme TV: its only connection is in use"


async def test_a_probe_answers_whoever_has_asked_for_it(tables: Tables) -> None:
    _, (a, b) = await a_channel(tables)
    assert await tables.probes.asked() == ()
    await tables.probes.ask([a.id], 5.0)
    assert await tables.probes.asked() == (a,)
    assert await tables.probes.answers([a.id, b.id]) == {a.id: None, b.id: ProbeAnswer(b)}
    works = await tables.catalogue.record_probe(a.id, WORKS, 6.0)
    assert await tables.probes.asked() == ()
    assert await tables.probes.answers([a.id]) == {a.id: ProbeAnswer(works)}
    await tables.probes.ask([a.id], 7.0)
    fails = await tables.catalogue.record_probe(a.id, ProbeResult.fails(Why(Cause.UNREADABLE, "404 Not Found")), 8.0)
    assert await tables.probes.answers([a.id]) == {a.id: ProbeAnswer(fails)}
    assert fails.status is SourceStatus.PROBLEMATIC


async def test_a_refusal_says_nothing_of_the_source_and_the_next_ask_is_asked_anew(tables: Tables) -> None:
    _, (a, b) = await a_channel(tables)
    await tables.probes.ask([a.id], 5.0)
    await tables.probes.refuse(a.id, FULL)
    await tables.probes.refuse(b.id, FULL)
    assert await tables.probes.asked() == ()
    assert await tables.probes.answers([a.id, b.id]) == {a.id: ProbeAnswer(a, FULL), b.id: ProbeAnswer(b)}, (
        "b was not asked for"
    )
    await tables.probes.ask([a.id], 6.0)
    assert await tables.probes.answers([a.id]) == {a.id: None}
    works = await tables.catalogue.record_probe(a.id, WORKS, 7.0)
    assert await tables.probes.answers([a.id]) == {a.id: ProbeAnswer(works)}


async def test_a_probe_that_was_made_for_another_reason_takes_a_refusal_back(tables: Tables) -> None:
    _, (a, _) = await a_channel(tables)
    await tables.probes.ask([a.id], 5.0)
    await tables.probes.refuse(a.id, FULL)
    works = await tables.catalogue.record_probe(a.id, WORKS, 7.0)
    assert await tables.probes.answers([a.id]) == {a.id: ProbeAnswer(works)}


async def test_what_was_asked_for_last_comes_first_and_twice_is_once(tables: Tables) -> None:
    _, (a, b, c) = await a_channel(tables, "a", "b", "c")
    await tables.probes.ask([a.id, b.id], 5.0)
    await tables.probes.ask([c.id], 6.0)
    await tables.probes.ask([a.id], 7.0)
    assert letters(await tables.probes.asked())[0] == "c", "a is asked for since 5"
    assert sorted(letters(await tables.probes.asked())) == ["a", "b", "c"]


async def test_asked_for_by_many_at_once_it_is_asked_for_once(tables: Tables) -> None:
    _, (a, b) = await a_channel(tables)
    await asyncio.gather(*(tables.probes.ask(ids, 5.0) for ids in ([a.id, b.id], [b.id, a.id]) * 8))
    assert sorted(letters(await tables.probes.asked())) == ["a", "b"]


async def test_an_edit_does_not_take_an_ask_back_and_a_deletion_does(tables: Tables) -> None:
    channel, (a, b) = await a_channel(tables)
    await tables.probes.ask([a.id, b.id, "x-nobody"], 5.0)
    moved = await tables.catalogue.update_source(a.id, url="http://moved.test/")
    await tables.catalogue.delete_source(b.id)
    assert await tables.probes.asked() == (moved,)
    assert await tables.probes.answers([a.id, b.id, "x-nobody"]) == {a.id: None}
    await tables.catalogue.delete_channel(channel.id)
    assert await tables.probes.asked() == ()
    assert await tables.probes.answers([a.id]) == {}
    await tables.probes.ask([], 6.0)
    assert await tables.probes.answers([]) == {}


async def test_what_nobody_has_looked_at_yet_first_choices_first(tables: Tables) -> None:
    channel, (a, b, c) = await a_channel(tables, "a", "b", "c")
    provider = await tables.providers.add("Acme TV", 1)
    await tables.catalogue.update_source(b.id, provider_id=provider.id)
    assert letters(await tables.probes.unseen(9)) == "abc"
    assert letters(await tables.probes.unseen(2)) == "ab"
    assert letters(await tables.probes.unseen(9, but_of=[provider.id])) == "ac"
    await tables.catalogue.record_probe(a.id, WORKS, 5.0)
    await tables.catalogue.record_probe(b.id, ProbeResult.fails(Why(Cause.UNREADABLE, "404 Not Found")), 5.0)
    assert letters(await tables.probes.unseen(9)) == "c"
    await tables.catalogue.update_source(c.id, enabled=False)
    moved = await tables.catalogue.update_source(a.id, url="http://moved.test/")
    assert await tables.probes.unseen(9) == (moved,)
    await tables.catalogue.update_channel(replace(channel, enabled=False))
    assert await tables.probes.unseen(9) == ()
