"""What the doctor collects where a part fails, also one that gives no message."""

from __future__ import annotations

from orchestrator.app.settings import Settings
from orchestrator.doctor.facts import Facts
from orchestrator.doctor.gathering import examine
from orchestrator.doctor.rules import findings
from orchestrator.errors import BusUnavailable, DatabaseUnavailable
from orchestrator.ports import OrchestratorRow
from tests.fakes.event_bus import FakeEventBus
from tests.fakes.object_store import FakeObjectStore
from tests.fakes.operation import FakeOperation
from tests.fakes.tables import FakeTables


async def facts_of(tables: FakeTables, bus: FakeEventBus) -> Facts:
    return await examine(Settings(), tables=tables, bus=bus, store=FakeObjectStore(), runtime=None, again_s=0.0)


async def test_parts_that_answer_have_no_fault() -> None:
    facts = await facts_of(FakeTables(), FakeEventBus())
    assert (facts.database_fault, facts.bus_fault) == (None, None)


async def test_a_failure_without_a_message_is_still_a_failure() -> None:
    class FailsLate(FakeOperation):
        async def orchestrators(self) -> tuple[OrchestratorRow, ...]:
            raise DatabaseUnavailable

    class Silent(FakeEventBus):
        async def check(self) -> None:
            raise BusUnavailable

    tables = FakeTables()
    tables.operation = FailsLate(lambda: tables.sessions)
    facts = await facts_of(tables, Silent())
    assert (facts.database_fault, facts.bus_fault) == (DatabaseUnavailable.title, BusUnavailable.title)
    found = {each.check for each in findings(facts)}
    assert {"database", "redis"} <= found
    assert "orchestrator" not in found, "no row was read"
