"""Sources that nobody has probed yet, through the whole control loop on simulated time: the providers themselves count."""

from __future__ import annotations

import time

import pytest
from msgspec.structs import replace

from orchestrator.adapters.sql import open_tables
from orchestrator.app.service import orchestrate
from orchestrator.app.settings import Settings, replaced
from orchestrator.core.model import Cause, Channel, ChannelPolicy, EndReason, Phase, SourceStatus, Why
from orchestrator.ports import NewSource, ProbeResult
from tests.fakes.event_bus import FakeEventBus
from tests.fakes.object_store import FakeObjectStore
from tests.fakes.prober import FakeProber
from tests.fakes.runtime import FakeRuntime
from tests.orchestrator.simulated.agent import Fault
from tests.orchestrator.simulated.world import World
from tests.support import eventually

UNKNOWN = SourceStatus.UNKNOWN


def unknown(world: World) -> list[str]:
    return [row.url for row in world.tables.catalogue._sources.values() if row.status is UNKNOWN]


def crowd(world: World, count: int, provider: str = "", answers_after_s: float = 1.0) -> list[str]:
    names = [f"s{number}" for number in range(count)]
    for start in range(0, count, 3):
        world.add_channel(f"c{start}", *(f"{name}{provider}" for name in names[start : start + 3]))
    for name in names:
        world.sources[name].answers_after_s = answers_after_s
    return names


def test_a_fresh_list_of_600_is_known_in_some_minutes() -> None:
    with World() as world:
        world.accounts.open("acme", 4)
        names = crowd(world, 600, "@acme")
        dead = names[::10]
        for name in dead:
            world.sources[name].fault = Fault.REFUSES
        began = world.now
        world.pass_s(60.0)
        assert world.accounts.most["acme"] == 3, "one connection is left for a session"
        while unknown(world):
            world.pass_s(10.0)
            assert world.now - began < 300.0, f"{len(unknown(world))} are left"
        assert {world.row(name).status for name in dead} == {SourceStatus.PROBLEMATIC}
        assert world.row("s1").status is SourceStatus.HEALTHY
        assert world.row("s1").media is not None
        assert world.accounts.most["acme"] <= 4


def test_with_one_connection_they_are_known_one_after_the_other_and_a_session_takes_it_at_once() -> None:
    with World() as world:
        world.accounts.open("acme", 1)
        crowd(world, 6, "@acme", answers_after_s=4.0)
        world.until(lambda: world.accounts.connected("acme") == 1, 6.0)
        began = world.now
        session_id = world.request(channel=world.add_channel("wanted", "w@acme"))
        world.until(lambda: world.session(session_id).phase is Phase.LIVE, 1.5)
        assert world.now - began < 1.5
        world.pass_s(60.0)
        assert len(unknown(world)) == 6, "while it plays the provider is full, and what was cut off says nothing"
        world.run(world.tables.sessions.stop(session_id, EndReason.STOPPED))
        world.nudge(session_id)
        world.until(lambda: not unknown(world), 60.0)
        assert world.accounts.most["acme"] == 1


def test_who_asks_and_recovery_come_first() -> None:
    with World() as world:
        world.stop_orchestrator()
        world.settings = replaced(world.settings, reprobe_interval_s=7.0)
        world.start_orchestrator()
        world.accounts.open("acme", 1)
        names = crowd(world, 30, "@acme", answers_after_s=3.0)
        world.tables.catalogue._put(replace(world.row("s3"), status=SourceStatus.PROBLEMATIC))
        world.until(lambda: world.accounts.connected("acme") == 1, 6.0)
        world.ask_probe("s9")
        world.until(lambda: world.row("s9").status is SourceStatus.HEALTHY, 5.0)
        world.until(lambda: world.row("s3").status is SourceStatus.RECOVERED, 20.0)
        assert len(unknown(world)) > 20
        world.until(lambda: not unknown(world), 180.0)
        assert all(world.row(name).status is not UNKNOWN for name in names)
        assert world.accounts.most["acme"] == 1


def test_a_dead_one_is_looked_at_once_and_then_more_and_more_rarely() -> None:
    with World("dead") as world:
        world.sources["dead"].fault = Fault.REFUSES
        world.until(lambda: world.row("dead").status is SourceStatus.PROBLEMATIC, 6.0)
        assert world.sources["dead"].probes == 1
        world.pass_s(100.0)
        assert world.sources["dead"].probes == 1
        world.pass_s(3500.0)
        assert world.sources["dead"].probes <= 7, "and not thirty times, every two minutes"


def test_a_list_behind_a_full_providers_is_not_kept_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.control.probes.first._ROWS", 5)
    with World() as world:
        world.accounts.open("acme", 1)
        session_id = world.request(channel=world.add_channel("playing", "p@acme"))
        world.until(lambda: world.session(session_id).phase is Phase.LIVE, 5.0)
        crowd(world, 30, "@acme")
        world.add_channel("free", "free")
        world.until(lambda: world.row("free").status is SourceStatus.HEALTHY, 12.0)
        assert len(unknown(world)) == 30


def test_an_edited_address_is_looked_at_and_a_disabled_channel_is_not() -> None:
    with World("a") as world:
        off = world.add_channel("off", "b")
        world.run(world.tables.catalogue.update_channel(replace(off, enabled=False)))
        world.until(lambda: world.row("a").status is SourceStatus.HEALTHY, 6.0)
        world.run(world.tables.catalogue.update_source(world.row("a").id, url=world.sources["a"].moved()))
        assert world.row("a").status is UNKNOWN
        world.until(lambda: world.row("a").status is SourceStatus.HEALTHY, 6.0)
        world.pass_s(30.0)
        assert (world.sources["a"].probes, world.sources["b"].probes) == (2, 0)


def test_while_the_engine_is_silent_a_limited_source_waits_and_a_restart_goes_on() -> None:
    with World("free") as world:
        world.stop_orchestrator()
        world.accounts.open("acme", 2)
        world.add_channel("one", "a@acme", "b@acme")
        world.runtime.unavailable = True
        world.start_orchestrator()
        world.until(lambda: world.row("free").status is SourceStatus.HEALTHY, 6.0)
        world.pass_s(20.0)
        assert world.sources["a"].probes == 0
        world.runtime.unavailable = False
        world.until(lambda: not unknown(world), 12.0)
        assert world.accounts.most["acme"] == 1


async def test_on_real_sql_an_import_is_known_without_anybody_asking(database_url: str) -> None:
    tables = open_tables(database_url)
    prober = FakeProber()
    prober.results["http://h1.test/"] = ProbeResult.fails(Why(Cause.UNREADABLE, "404 Not Found"))
    settings = Settings(origin_url="http://cdn.test/hls", first_probe_interval_s=0.1)
    try:
        provider = await tables.providers.add("Acme", 2)
        added = [
            await tables.catalogue.add_channel(
                Channel(id="", slug=f"c{n}", name=f"C{n}", enabled=n != 5, policy=ChannelPolicy()),
                [NewSource(url=f"http://h{n}.test/", provider_id=provider.id if n % 2 else None)],
            )
            for n in range(9)
        ]
        assert len(await tables.probes.unseen(100)) == 8
        assert len(await tables.probes.unseen(3)) == 3
        assert len(await tables.probes.unseen(100, but_of=[provider.id])) == 5

        async def is_known() -> bool:
            return await tables.probes.unseen(100) == ()

        async with orchestrate(
            settings, tables=tables, runtime=FakeRuntime(), store=FakeObjectStore(), bus=FakeEventBus(), prober=prober,
            now=time.time,
        ):  # fmt: skip
            await eventually(is_known)
        rows = [(await tables.catalogue.sources(channel.id))[0] for channel in added]
        assert [row.status for row in rows if row.status is not SourceStatus.HEALTHY] == [SourceStatus.PROBLEMATIC, UNKNOWN]
        assert sorted(prober.probed) == sorted(row.url for row in rows if row.url != "http://h5.test/"), "each once"
    finally:
        await tables.close()
