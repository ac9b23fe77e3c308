"""One orchestrator acts on a database: what a second one does, one after a killed one, and one that wakes up too late."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from orchestrator.app.process_identity import has_ended, own_process
from orchestrator.app.service import orchestrate
from orchestrator.app.settings import Settings
from orchestrator.control.leadership import LEASE_S, RENEW_S, Leadership
from orchestrator.core.model import Channel, Phase
from orchestrator.errors import DatabaseUnavailable, NotLeading
from orchestrator.ports import NewSource
from tests.fakes.event_bus import FakeEventBus
from tests.fakes.object_store import FakeObjectStore
from tests.fakes.operation import FakeOperation
from tests.fakes.prober import FakeProber
from tests.fakes.runtime import FakeRuntime
from tests.fakes.tables import FakeTables
from tests.orchestrator.simulated.time import SimulatedLoop
from tests.support import eventually, eventually_sync

EPOCH = 1_700_000_000.0


class Rig:
    """Orchestrators' leases on one database, on a clock that jumps."""

    def __init__(self) -> None:
        self.loop = SimulatedLoop()
        self.tables = FakeTables()
        self.displaced: list[str] = []
        self.clock_error_s = 0.0

    @property
    def operation(self) -> FakeOperation:
        return self.tables.operation

    def leadership(self, name: str, process: str = "") -> Leadership:
        def now() -> float:
            return EPOCH + self.clock_error_s + self.loop.time()

        return Leadership(self.operation, name, f"node-of-{name}", now, lambda _: self.displaced.append(name), process)

    def run(self, work: Coroutine[Any, Any, Any]) -> float:
        """Simulated seconds that it took."""
        started = self.loop.time()
        self.loop.run_until_complete(work)
        return self.loop.time() - started

    def pass_s(self, seconds: float) -> None:
        self.run(asyncio.sleep(seconds))


@pytest.fixture
def rig() -> Any:
    rig = Rig()
    with contextlib.closing(rig.loop):
        yield rig


async def renewing(leadership: Leadership) -> None:
    while True:
        await leadership.renew()
        await asyncio.sleep(RENEW_S)


def test_one_after_a_killed_one_waits_for_its_lease_and_no_longer(rig: Rig) -> None:
    rig.run(rig.leadership("killed").begin())
    rig.pass_s(0.5)
    successor = rig.leadership("next")
    assert rig.run(successor.begin()) <= LEASE_S < 5.0
    assert rig.run(successor.confirm()) == 0.0
    assert rig.displaced == []


def test_one_after_a_stopped_one_does_not_wait(rig: Rig) -> None:
    first = rig.leadership("first")
    rig.run(first.begin())
    rig.run(first.step_down())
    assert rig.run(rig.leadership("next").begin()) == 0.0


def test_one_after_a_killed_one_on_the_same_machine_does_not_wait(rig: Rig) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        surroundings = own_process().rsplit(" ", 2)[0]
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        name = f"{surroundings} {process.pid} {fields[19]}"
        rig.run(rig.leadership("killed", name).begin())
        assert not has_ended(name)
        process.kill()
        eventually_sync(lambda: has_ended(name), what="that a process which nobody has waited for yet is seen to have ended")
    assert has_ended(name), "and one that is gone"
    assert rig.run(rig.leadership("next").begin()) == 0.0


@pytest.mark.parametrize("process", ["", "x", "another boot pid:[1] 1 1", own_process()])
def test_what_cannot_be_seen_from_here_may_run(process: str) -> None:
    assert not has_ended(process)


def test_a_pid_that_was_given_again_is_another_process() -> None:
    assert has_ended(f"{own_process()}0")


def test_a_second_one_is_refused_while_the_first_lives(rig: Rig) -> None:
    first, second = rig.leadership("first"), rig.leadership("second")
    rig.run(first.begin())
    keeping = rig.loop.create_task(renewing(first))
    with pytest.raises(
        NotLeading, match=r"first on node-of-first; this one \(second on node-of-second\) does nothing and ends"
    ):
        rig.run(second.begin())
    assert rig.loop.time() <= LEASE_S
    assert rig.displaced == ["second"]
    with pytest.raises(NotLeading):
        rig.run(second.confirm())
    keeping.cancel()
    rig.pass_s(2 * LEASE_S)
    with pytest.raises(NotLeading):  # what has said that it ends does not come back
        rig.run(second.renew())
    leader = rig.loop.run_until_complete(rig.operation.leader())
    assert leader is not None and leader.refused is not None
    assert (leader.id, leader.refused.id) == ("first", "second")


def test_one_that_wakes_up_after_another_took_over_does_not_act(rig: Rig) -> None:
    asleep, other = rig.leadership("asleep"), rig.leadership("other")
    rig.run(asleep.begin())
    rig.pass_s(60.0)
    rig.run(other.begin())
    with pytest.raises(NotLeading, match="other on node-of-other"):
        rig.run(asleep.confirm())
    assert rig.displaced == ["asleep"]
    rig.run(other.confirm())


def test_one_that_wakes_up_first_goes_on(rig: Rig) -> None:
    asleep = rig.leadership("asleep")
    rig.run(asleep.begin())
    rig.pass_s(60.0)
    rig.run(asleep.confirm())
    assert rig.displaced == []


def test_a_machine_that_was_suspended_asks_first(rig: Rig) -> None:
    """Its loop's clock stood still; its wall clock did not."""
    asleep = rig.leadership("asleep")
    rig.run(asleep.begin())
    rig.clock_error_s = 60.0
    rig.operation.refusing = True
    with pytest.raises(DatabaseUnavailable):
        rig.run(asleep.confirm())


def test_while_the_lease_is_fresh_an_act_asks_nobody(rig: Rig) -> None:
    leading = rig.leadership("leading")
    rig.run(leading.begin())
    rig.operation.refusing = True
    rig.pass_s(RENEW_S)
    rig.run(leading.confirm())
    rig.pass_s(LEASE_S)
    with pytest.raises(DatabaseUnavailable):
        rig.run(leading.confirm())
    rig.operation.refusing = False
    rig.run(leading.confirm())


def test_without_the_database_it_starts_and_may_not_act(rig: Rig) -> None:
    rig.operation.refusing = True
    early = rig.leadership("early")
    assert rig.run(early.begin()) == 0.0
    with pytest.raises(DatabaseUnavailable):
        rig.run(early.confirm())
    rig.operation.refusing = False
    rig.run(early.confirm())


def test_a_thousand_who_wait_for_the_database_ask_once(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = 0

    async def lead(*_: object, **__: object) -> Any:
        nonlocal asked
        asked += 1
        await asyncio.sleep(5.0)
        raise DatabaseUnavailable("no answer")

    monkeypatch.setattr(rig.operation, "lead", lead)
    leading = rig.leadership("leading")

    async def all_ask() -> None:
        answers = await asyncio.gather(*(leading.confirm() for _ in range(1000)), return_exceptions=True)
        assert {type(each) for each in answers} == {DatabaseUnavailable}

    assert (rig.run(all_ask()), asked) == (5.0, 1)


# --- the whole control loop -------------------------------------------------------------------------------------------


async def test_who_was_displaced_starts_nothing_and_probes_nothing() -> None:
    tables, runtime, prober = FakeTables(), FakeRuntime(), FakeProber()
    displaced: list[NotLeading] = []
    channel = await tables.catalogue.add_channel(Channel(id="", slug="news", name="News"), [NewSource(url="http://a.test/")])
    (source,) = await tables.catalogue.sources(channel.id)
    async with orchestrate(
        Settings(), tables=tables, runtime=runtime, store=FakeObjectStore(), bus=FakeEventBus(), prober=prober,
        displaced=displaced.append,
    ) as supervisor:  # fmt: skip
        leader = await tables.operation.leader()
        assert leader is not None
        await tables.operation.step_down(leader.id)
        await tables.operation.lead("o-other", "elsewhere", 60.0)
        await eventually(lambda: displaced)
        row, _ = await tables.sessions.request(channel.id, "viewer", "hash", time.time())
        await tables.probes.ask([source.id], time.time())
        supervisor.wake(row.session.id)
        await asyncio.sleep(1.5)  # its jobs have all had their turn
        assert (await tables.sessions.get(row.session.id)).session.phase is Phase.REQUESTED
        assert prober.probed == []
        assert await runtime.containers() == ()
        assert (await tables.probes.asked())[0].id == source.id
    still = await tables.operation.leader()
    assert still is not None and still.id == "o-other", "it has taken nothing with it"


async def test_a_second_control_loop_does_not_begin() -> None:
    tables = FakeTables()

    def another() -> Any:
        return orchestrate(
            Settings(), tables=tables, runtime=FakeRuntime(), store=FakeObjectStore(), bus=FakeEventBus(), prober=FakeProber()
        )

    async with another():
        with pytest.raises(NotLeading):
            async with another():
                pytest.fail("two act at once")
        assert len(await tables.operation.orchestrators()) == 1
    async with another():
        pass
