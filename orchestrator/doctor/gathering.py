"""Gathers the facts that the doctor's rules judge.

Rule: all parts are asked at the same time, each with a time limit, so that one that does not answer does not hide the others.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import time
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path
from typing import Protocol, TypeVar

import psutil
from msgspec.structs import replace

from orchestrator.adapters.docker.transcoder_revision import transcoder_revision
from orchestrator.app.settings import Settings
from orchestrator.core.model import Source
from orchestrator.doctor import container_rules
from orchestrator.doctor.facts import Disk, Facts, HostResources, Snapshot
from orchestrator.doctor.rules import REFUSED_JOBS_S
from orchestrator.errors import FailoverError
from orchestrator.migrations import head
from orchestrator.ports import (
    Catalogue,
    ContainerRuntime,
    EngineReport,
    EventBus,
    ObjectStore,
    Operation,
    Sessions,
)
from transcoder import bucket

T = TypeVar("T")

_ANSWER_S = 20.0
_AGAIN_S = 6.0  # longer than an orchestrator takes to find and to repair something: a poll of the containers, and a stop


class DoctorTables(Protocol):
    @property
    def catalogue(self) -> Catalogue: ...
    @property
    def sessions(self) -> Sessions: ...
    @property
    def operation(self) -> Operation: ...


async def examine(
    settings: Settings, *, tables: DoctorTables, bus: EventBus, store: ObjectStore, runtime: ContainerRuntime | None,
    unknown_variables: tuple[str, ...] = (), now: Callable[[], float] = time.time, again_s: float = _AGAIN_S,
) -> Facts:  # fmt: skip
    """`runtime` None: there is no engine to ask, as where the orchestrator runs on another machine. `again_s`: between the two
    snapshots of rows and containers."""
    (schema, database_fault), bus_fault, store_report, engine, objects, oldest_report_at = await asyncio.gather(
        _schema(tables.operation),
        _fault(bus.check()),
        _answer(store.examine()),
        _engine(runtime),
        _objects(store),
        _oldest_report_at(store),
    )
    expected = await asyncio.to_thread(head)
    facts = Facts(
        now=now(),
        settings=settings,
        unknown_variables=unknown_variables,
        database_fault=database_fault,
        schema=schema,
        expected_schema=expected,
        bus_fault=bus_fault,
        store=store_report,
        oldest_report_at=oldest_report_at,
        engine=engine,
        runtime=runtime.kind if runtime else "",
        agent_revision=transcoder_revision(),
        host=_host(engine.directory) if isinstance(engine, EngineReport) else HostResources(),
    )
    if database_fault is not None or schema != expected:
        return facts  # a schema of another release is not read
    try:
        return await _rows(facts, tables, runtime, {} if objects is None else objects, now, again_s)
    except FailoverError as error:
        return replace(facts, database_fault=str(error) or error.title)


async def _rows(
    facts: Facts, tables: DoctorTables, runtime: ContainerRuntime | None, objects: dict[str, float], now: Callable[[], float],
    again_s: float,
) -> Facts:  # fmt: skip
    first = await _snapshot(tables, runtime, now)
    problematic: tuple[Source, ...] = await tables.catalogue.problematic_sources()
    facts = replace(
        facts,
        orchestrators=await tables.operation.orchestrators(),
        leader=await tables.operation.leader(),
        draining_since=await tables.operation.draining_since(),
        problematic=problematic,
        refused_jobs=await tables.operation.refused_jobs(now() - REFUSED_JOBS_S),
        objects=objects,
        sessions_known=await tables.operation.known(objects),
        first=first,
        now=now(),
    )
    if not container_rules.passing(first, facts.settings):
        return facts
    await asyncio.sleep(again_s)
    return replace(facts, second=await _snapshot(tables, runtime, now))


async def _snapshot(tables: DoctorTables, runtime: ContainerRuntime | None, now: Callable[[], float]) -> Snapshot:
    containers = None
    if runtime is not None:
        with contextlib.suppress(FailoverError):  # the engine's own facts tell that
            containers = await runtime.containers()
    sessions = await tables.sessions.unended()
    ids: Collection[str] = {each.session_id for each in containers or ()}
    return Snapshot(at=now(), sessions=sessions, containers=containers, known=await tables.operation.known(ids))


async def _schema(operation: Operation) -> tuple[str | None, str | None]:
    """The schema's revision, and what is wrong with the database (None: nothing)."""
    try:
        async with asyncio.timeout(_ANSWER_S):
            return await operation.revision(), None
    except TimeoutError:
        return None, f"no answer within {_ANSWER_S:.0f} s"
    except FailoverError as error:
        return None, str(error) or error.title


async def _engine(runtime: ContainerRuntime | None) -> EngineReport | str | None:
    if runtime is None:
        return None
    fault = await _fault(runtime.check())
    return await _answer(runtime.examine()) if fault is None else fault


async def _objects(store: ObjectStore) -> dict[str, float] | None:
    """Session id → when the newest of its objects was written (unix seconds); None: the store does not answer."""
    newest: dict[str, float] = {}
    try:
        async with asyncio.timeout(10 * _ANSWER_S):
            for prefix in bucket.PREFIXES:
                async for page in store.objects(prefix):
                    for item in page:
                        session_id = bucket.session_of(item.key)
                        newest[session_id] = max(item.modified_at, newest.get(session_id, 0.0))
    except (FailoverError, TimeoutError):
        return None  # the store's own facts tell that
    return newest


async def _oldest_report_at(store: ObjectStore) -> float | None:
    """Unix seconds; None: there is no report, or the store does not answer. Of the first page of reports: where there are more,
    these are old enough to be found."""
    try:
        async with asyncio.timeout(_ANSWER_S):
            return min((each.modified_at for each in await store.reports()), default=None)
    except (FailoverError, TimeoutError):
        return None  # the store's own facts tell that


def _host(engine_directory: str | None) -> HostResources:
    """Of this machine, and of the disk with the engine's directory where the engine is on this machine."""
    disks: dict[int, Disk] = {}
    for path in filter(None, ("/", engine_directory)):
        with contextlib.suppress(OSError):
            usage = shutil.disk_usage(path)
            disks.setdefault(Path(path).stat().st_dev, Disk(path, usage.free, usage.total))
    available = None
    with contextlib.suppress(OSError):
        available = psutil.virtual_memory().available
    return HostResources(tuple(disks.values()), available)


async def _fault(check: Awaitable[None]) -> str | None:
    """What is wrong; None: nothing."""
    return await _answer(check)


async def _answer(call: Awaitable[T]) -> T | str:
    try:
        async with asyncio.timeout(_ANSWER_S):
            return await call
    except TimeoutError:
        return f"no answer within {_ANSWER_S:.0f} s"
    except FailoverError as error:
        return str(error) or error.title
