"""The nouns of `failover doctor`: the facts that were gathered, and what is found in them. Data only."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from msgspec import Struct

from orchestrator.app.settings import Settings
from orchestrator.core.model import Container, Session, Source
from orchestrator.ports import AttemptRow, EngineReport, Leader, OrchestratorRow, StoreReport

_NAMED: Final = 5  # subjects in a line; all of them are in the finding


class Level(StrEnum):
    WRONG = "wrong"
    NOTE = "note"  # worth knowing; nothing is broken


class Finding(Struct, frozen=True, kw_only=True):
    check: str
    what: str
    remedy: str
    level: Level = Level.WRONG
    subjects: tuple[str, ...] = ()  # ids of sessions, sources, ...

    def line(self) -> str:
        """`what`, with the first subjects named."""
        if not self.subjects:
            return self.what
        more = f" and {len(self.subjects) - _NAMED} more" if len(self.subjects) > _NAMED else ""
        return f"{self.what}: {', '.join(self.subjects[:_NAMED])}{more}"


class Disk(Struct, frozen=True):
    path: str
    free_bytes: int
    total_bytes: int


class Machine(Struct, frozen=True):
    """Where this is examined: the engine's machine, where that is the same."""

    disks: tuple[Disk, ...] = ()
    memory_available_bytes: int | None = None


class Snapshot(Struct, frozen=True, kw_only=True):
    """Rows and containers, as nearly at the same time as can be."""

    at: float
    sessions: tuple[Session, ...] = ()  # that have not ended
    containers: tuple[Container, ...] | None = None  # None: no engine was asked, or it did not answer
    known: frozenset[str] = frozenset()  # of the containers' sessions, those that have a row


class Facts(Struct, frozen=True, kw_only=True):
    """What was found out. A text in place of a part: it did not answer, and these are its words."""

    now: float
    settings: Settings
    unknown_variables: tuple[str, ...] = ()
    database: str = ""  # what is wrong with it
    schema: str | None = None  # the database's
    expected_schema: str | None = None
    bus: str = ""
    store: StoreReport | str | None = None
    engine: EngineReport | str | None = None  # None: no engine was asked
    runtime: str = ""  # as FAILOVER_RUNTIME names it
    agent_revision: str | None = None  # of the code
    machine: Machine = Machine()
    orchestrators: tuple[OrchestratorRow, ...] = ()
    leader: Leader | None = None
    draining_since: float | None = None
    problematic: tuple[Source, ...] = ()
    refused_jobs: tuple[AttemptRow, ...] = ()  # of the last day
    objects: dict[str, float] = {}  # session id → when the newest of its objects was written
    sessions_known: frozenset[str] = frozenset()  # of those, the ones that have a row
    first: Snapshot | None = None
    second: Snapshot | None = None  # where the first one showed what may be passing
