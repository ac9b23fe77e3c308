"""Admission: a request for a session joins the running one, or begins a new one if the limits allow it.

Rule: only one transaction at a time counts and adds sessions, so that limits hold exactly. Requests that arrive while one
transaction is under way are admitted together in the next one (group commit). Each request is answered, whatever happens: an
unexpected error is the answer to the request that has met it.

PostgreSQL: an advisory lock, taken before any row is locked, lets one transaction in at a time. SQLite has one writer anyway.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Sequence
from typing import Any, NamedTuple

from msgspec.structs import replace
from sqlalchemy import Connection, Select, bindparam, func, insert, select, update

from orchestrator.adapters.sql.database import LIMIT_S, Database
from orchestrator.adapters.sql.ids import SESSION, new_id
from orchestrator.adapters.sql.operation import refuse_while_draining
from orchestrator.adapters.sql.schema import RUNNING, channels, leases, sessions
from orchestrator.adapters.sql.sessions import leases as holding
from orchestrator.adapters.sql.sessions.session_rows import BUMPED, RENEWED_AT, columns_of, read_session
from orchestrator.core.model import ChannelPolicy, Profile, Session
from orchestrator.core.session.limits import Limits, Load, reached
from orchestrator.errors import DatabaseUnavailable, FailoverError, InvalidInput, LimitReached, Stale, ViewerLimitReached
from orchestrator.ports import FRESH_S, Lease, SessionRow

log = logging.getLogger(__name__)

_AT_ONCE = 50  # in one transaction, for which others wait
_ANSWER_S = 2 * LIMIT_S  # for the wait and for the transaction
_TRIES = 5
_ADMISSION_KEY = 0x6164_6D69_7373_696F  # "admissio": ours among the server's advisory locks

_TURN = select(func.pg_advisory_xact_lock(_ADMISSION_KEY))
_FIND = select(sessions.c.id, RENEWED_AT).where(
    sessions.c.viewer == bindparam("whose"), sessions.c.channel_id == bindparam("channel"), RUNNING
)
_FIND = _FIND.with_for_update(of=sessions)
_BUMP = update(sessions).where(sessions.c.id == bindparam("own")).values(BUMPED)
_BEGIN = insert(sessions)
_COUNT = select(func.count()).select_from(sessions).where(RUNNING)
_COUNT_OF_CHANNEL = _COUNT.where(sessions.c.channel_id == bindparam("channel"))
# A viewer's sessions are its own and those that it shares
_COUNT_OF_VIEWER = _COUNT.join(leases, leases.c.session_id == sessions.c.id)
_COUNT_OF_VIEWER = _COUNT_OF_VIEWER.where(leases.c.viewer == bindparam("viewer"), leases.c.renewed_at >= bindparam("since"))


def _channels_played() -> Select[Any]:
    # The inner query reads only an index, because others wait meanwhile
    running = (
        select(sessions.c.channel_id, func.count().label("number")).where(RUNNING).group_by(sessions.c.channel_id).subquery()
    )
    joined = running.join(channels, channels.c.id == running.c.channel_id, isouter=True)
    return select(channels.c.policy, func.sum(running.c.number)).select_from(joined).group_by(channels.c.policy)


_CHANNELS_PLAYED = _channels_played()


class Asked(NamedTuple):
    """`whose`: the viewer's, or SHARED."""

    channel_id: str
    whose: str
    lease: Lease
    profile: Profile
    limits: Limits


Admitted = tuple[SessionRow, bool]
"""The session, and whether it is new."""


class Admission:
    """The queue of one process. To be closed after the database, so that every request has been answered."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: deque[tuple[Asked, asyncio.Future[Admitted]]] = deque()
        self._admitting: asyncio.Task[None] | None = None

    async def ask(self, asked: Asked) -> Admitted:
        """Raises LimitReached, ViewerLimitReached, InvalidInput, DatabaseUnavailable, and unexpected errors."""
        try:
            async with asyncio.timeout(_ANSWER_S):
                return await self._ask(asked)
        except TimeoutError:  # if the transaction succeeds later, its session is never renewed, and ends
            raise DatabaseUnavailable(f"no session was admitted within {_ANSWER_S:g} s") from None

    async def close(self) -> None:
        if self._admitting is not None:
            await asyncio.gather(self._admitting, return_exceptions=True)

    async def _ask(self, asked: Asked) -> Admitted:
        for _ in range(_TRIES):
            answer: asyncio.Future[Admitted] = asyncio.get_running_loop().create_future()
            self._waiting.append((asked, answer))
            if self._admitting is None:
                self._admitting = asyncio.create_task(self._admit_all(), name="admission")
            try:
                return await answer
            except Stale:  # another transaction was first: what it wrote is found now
                continue
        raise DatabaseUnavailable("the viewer's sessions begin and end faster than they can be read")

    async def _admit_all(self) -> None:
        together: list[tuple[Asked, asyncio.Future[Admitted]]] = []
        try:
            while self._waiting:
                together = [self._waiting.popleft() for _ in range(min(_AT_ONCE, len(self._waiting)))]
                outcomes = await self._admit([asked for asked, _ in together])
                for (_, answer), outcome in zip(together, outcomes, strict=True):
                    _give(answer, outcome)
        finally:  # requests still wait here only where this task was cancelled
            for _, answer in (*together, *self._waiting):
                _give(answer, DatabaseUnavailable("closed"))
            self._waiting.clear()
            self._admitting = None

    async def _admit(self, together: Sequence[Asked]) -> Sequence[Admitted | Exception]:
        try:
            return await self._database.write(lambda connection: _let_in(connection, together))
        except FailoverError as error:
            if not isinstance(error, Stale | InvalidInput) or len(together) == 1:
                return [error] * len(together)
        except Exception as error:
            if len(together) == 1:
                log.exception("unexpected error while admitting a session")
                return [error]
        return await self._one_by_one(together)  # one of them has caused it, and the others must not fail with it

    async def _one_by_one(self, together: Sequence[Asked]) -> Sequence[Admitted | Exception]:
        outcomes: list[Admitted | Exception] = []
        for each in together:
            outcomes += await self._admit([each])
            if isinstance(outcomes[-1], DatabaseUnavailable):  # the others would wait for the database one after the other
                return [*outcomes, *[outcomes[-1]] * (len(together) - len(outcomes))]
        return outcomes


def _give(answer: asyncio.Future[Admitted], outcome: Admitted | Exception) -> None:
    if answer.done():  # the requester no longer waits
        return
    if isinstance(outcome, Exception):
        answer.set_exception(outcome)
    else:
        answer.set_result(outcome)


def _let_in(connection: Connection, together: Sequence[Asked]) -> list[Admitted | FailoverError]:
    if connection.dialect.name == "postgresql":
        connection.execute(_TURN)
    capacity = _Capacity(connection)
    outcomes: list[Admitted | FailoverError] = []
    for asked in together:
        try:
            row = _join(connection, asked)
            outcomes.append((row, False) if row is not None else (_begin(connection, asked, capacity), True))
        except FailoverError as refusal:  # nothing has been written for it
            outcomes.append(refusal)
        capacity.changed(asked)
    return outcomes


def _join(connection: Connection, asked: Asked) -> SessionRow | None:
    found = connection.execute(_FIND, {"whose": asked.whose, "channel": asked.channel_id}).one_or_none()
    if found is None:
        return None
    if found.renewed_at < asked.lease.renewed_at - FRESH_S:  # a decision, made right now, that nobody watches must be stale
        connection.execute(_BUMP, {"own": found.id})
    holding.take(connection, found.id, asked.lease)
    return replace(read_session(connection, found.id), lease=asked.lease)


def _begin(connection: Connection, asked: Asked, capacity: _Capacity) -> SessionRow:
    """Raises LimitReached, ViewerLimitReached."""
    capacity.must_have(asked)
    now = asked.lease.renewed_at
    session = Session(id=new_id(SESSION, now), channel_id=asked.channel_id, viewer=asked.whose, created_at=now)
    connection.execute(_BEGIN, columns_of(session))
    holding.begin(connection, session.id, asked.lease)
    capacity.taken(asked)
    return SessionRow(session=session, renewed_at=now, lease=asked.lease)


class _Capacity:
    """What the limits leave, within one transaction that no other can add to. Only what is limited is counted, and only
    once."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._counts: dict[tuple[str, ...], int] = {}
        self._of_profile: Counter[Profile] | None = None
        self._drain_seen = False

    def must_have(self, asked: Asked) -> None:
        """Raises LimitReached, ViewerLimitReached where a limit has no space for one more session."""
        if not self._drain_seen:
            refuse_while_draining(self._connection)
            self._drain_seen = True
        limits, viewer = asked.limits, asked.lease.viewer
        of_viewer = {"viewer": viewer, "since": asked.lease.renewed_at - limits.lease_s}
        load = Load(
            sessions=0 if limits.max_sessions is None else self._count(("sessions",), _COUNT, {}),
            of_channel=0
            if limits.max_sessions_per_channel is None
            else self._count(("channel", asked.channel_id), _COUNT_OF_CHANNEL, {"channel": asked.channel_id}),
            of_viewer=0
            if limits.max_sessions_per_viewer is None
            else self._count(("viewer", viewer), _COUNT_OF_VIEWER, of_viewer),
            of_profile={} if limits.node_cpus is None and limits.node_memory_mb is None else self._profiles(),
        )
        full = reached(limits, load, asked.profile)
        if full is not None:
            raise (ViewerLimitReached if full.by_viewer else LimitReached)(full.limit, full.words)

    def taken(self, asked: Asked) -> None:
        for key in (("sessions",), ("channel", asked.channel_id)):
            if key in self._counts:
                self._counts[key] += 1
        if self._of_profile is not None:
            self._of_profile[asked.profile] += 1

    def changed(self, asked: Asked) -> None:
        """The viewer may have one more lease by now, so it must be counted again."""
        self._counts.pop(("viewer", asked.lease.viewer), None)

    def _count(self, key: tuple[str, ...], query: Select[int], which: dict[str, object]) -> int:
        if key not in self._counts:
            self._counts[key] = self._connection.scalar(query, which) or 0
        return self._counts[key]

    def _profiles(self) -> Counter[Profile]:
        """Sessions by the profile that their channel has now, which is what their next attempt will cost."""
        if self._of_profile is None:
            self._of_profile = Counter()
            for policy, number in self._connection.execute(_CHANNELS_PLAYED):
                self._of_profile[(policy or ChannelPolicy()).costs_as] += int(number)
        return self._of_profile
