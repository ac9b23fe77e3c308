"""The facts that `failover doctor` judges, as gathering.py has collected them. Data only."""

from __future__ import annotations

from msgspec import Struct

from orchestrator.app.settings import Settings
from orchestrator.core.model import Container, Session, Source
from orchestrator.ports import AttemptRow, EngineReport, Leader, OrchestratorRow, StoreReport


class Disk(Struct, frozen=True):
    path: str
    free_bytes: int
    total_bytes: int


class HostResources(Struct, frozen=True):
    """Disks and memory of the machine on which the doctor runs, which may be another one than the engine's."""

    disks: tuple[Disk, ...] = ()
    memory_available_bytes: int | None = None


class Snapshot(Struct, frozen=True, kw_only=True):
    """Rows and containers, read one right after the other."""

    at: float
    sessions: tuple[Session, ...] = ()  # all that have not ended
    containers: tuple[Container, ...] | None = None  # None: no engine was asked, or it did not answer
    known: frozenset[str] = frozenset()  # ids of those of the containers' sessions that have a row, ended or not


class Facts(Struct, frozen=True, kw_only=True):
    """A text in place of a part's report: the part did not answer, and the text says why."""

    now: float
    settings: Settings
    unknown_variables: tuple[str, ...] = ()
    database_fault: str | None = None  # why it cannot be used; None: it can
    schema: str | None = None  # the database's
    expected_schema: str | None = None
    bus_fault: str | None = None  # the same of Redis
    store: StoreReport | str | None = None
    oldest_report_at: float | None = None  # when the store took the oldest report that lies there unread; None: there is none
    engine: EngineReport | str | None = None  # None: no engine was asked
    runtime: str = ""  # as FAILOVER_RUNTIME names it
    agent_revision: str | None = None  # of the code
    host: HostResources = HostResources()
    orchestrators: tuple[OrchestratorRow, ...] = ()
    leader: Leader | None = None
    draining_since: float | None = None
    problematic: tuple[Source, ...] = ()
    refused_jobs: tuple[AttemptRow, ...] = ()  # within the last day
    objects: dict[str, float] = {}  # session id → when the newest of its objects was written
    sessions_known: frozenset[str] = frozenset()  # ids of those of `objects` that have a row
    first: Snapshot | None = None
    second: Snapshot | None = None  # taken only where the first one shows what may pass by itself within seconds
