"""Inbox: follows the reports that agents post, by one LIST a second for all sessions, and keeps them until they are recorded.

Laws: reports are not trusted. Every read is bounded in bytes and in number, an attempt takes no turn of another one, and what
is malformed or comes too often makes its attempt distrusted: its mail is deleted unread from then on. A report is deleted only
after the decision that records it has been committed, so a crash in between reads it once more, which changes nothing.

Only attempts that were granted inputs post reports, so the store is asked only while there may be such attempts. Reports of
sessions or attempts that nobody knows are deleted unread after a minute.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import chain, zip_longest

from orchestrator.app.task_group import TaskGroup
from orchestrator.control.correspondence import Correspondence
from orchestrator.core.model import Mail, Record, ReportRead, Session
from orchestrator.errors import StoreUnavailable
from orchestrator.ports import ObjectStore, StoredObject
from transcoder import bucket, report
from transcoder.fields import BadDocument

log = logging.getLogger(__name__)

_READS_AT_ONCE = 8
_READS_A_LOOK = 128
_PAGE = 1000  # reports that one LIST names at most
_FEW = 8  # up to so many sessions are asked for one by one; more share one LIST
_STRAY_S = 60.0
_STRAYS = 10_000  # senders that nobody knows and that are remembered
_BEHIND = "~"  # comes behind every digit


class Inbox:
    """`wanted`: input switches are on. `look_at_playlist` reads a session's playlist, and `woken` is called with the session's
    id then, because reports and playlist belong together: the one says why, the other what plays."""

    def __init__(
        self,
        store: ObjectStore,
        tasks: TaskGroup,
        *,
        wanted: bool,
        look_at_playlist: Callable[[str], Awaitable[None]],
        woken: Callable[[str], None],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._tasks = tasks
        self._wanted = wanted
        self._look_at_playlist = look_at_playlist
        self._woken = woken
        self._now = now
        self._of: dict[str, dict[int, Correspondence]] = {}  # session → attempt, of those that may post reports
        self._strays: dict[tuple[str, int], float] = {}  # session and attempt that nobody knows → since when they are seen
        self._after = ""  # the key behind which the next look begins
        self._gone: dict[str, None] = {}  # keys to be deleted
        self._silent = False
        self._asking = 0  # sessions that are asked for at the moment, one by one
        self._next: asyncio.Task[bool] | None = None  # a look that has not begun yet
        self._busy = asyncio.Lock()
        self._reads = asyncio.Semaphore(_READS_AT_ONCE)

    # --- what is known ------------------------------------------------------------------------------------------------

    def follow(self, session: Session) -> None:
        """The session's attempts are these from now on; reports of others are nobody's."""
        known = self._of.get(session.id, {})
        of = {each.number: known.get(each.number) or Correspondence(each.number) for each in session.attempts if each.granted}
        for attempt in session.attempts:
            if attempt.granted:
                of[attempt.number].recorded_until(attempt.reports_read)
        if of:
            self._of[session.id] = of
        else:
            self._of.pop(session.id, None)

    def forget(self, session_id: str) -> None:
        self._of.pop(session_id, None)

    def mail(self, session_id: str) -> tuple[Mail, ...]:
        """What has been read and not recorded, in the order of attempts and numbers. Asks nobody."""
        return tuple(mail for _, each in sorted(self._of.get(session_id, {}).items()) for mail in each.mail)

    def distrusted(self, session_id: str) -> frozenset[int]:
        """The session's attempts whose reports are malformed or too many."""
        return frozenset(number for number, each in self._of.get(session_id, {}).items() if each.is_distrusted)

    # --- looking ------------------------------------------------------------------------------------------------------

    async def look(self) -> None:
        """One LIST for all sessions. A store that does not answer raises nothing."""
        if self._wanted or self._of:
            await self._shared_look()

    async def look_at(self, session_id: str) -> bool:
        """Reads the session's reports now, before its attempt is judged. False: the store does not answer, so nobody knows what
        the attempt has told. Many sessions that ask at the same time share one LIST."""
        if session_id not in self._of:
            return True
        if self._asking >= _FEW and await self._shared_look():
            return True
        self._asking += 1
        try:
            found = await self._store.reports(session_id=session_id)
            await self._take(found)
        except StoreUnavailable as error:
            self._does_not_answer(error)
            return False
        finally:
            self._asking -= 1
        return True

    async def _shared_look(self) -> bool:
        """Single-flight: callers share the next look that begins. Whether it has seen every report that there was."""
        if self._next is None:
            self._next = self._tasks.start(self._look(), "inbox", awaited=True)
        return await asyncio.shield(self._next)

    async def _look(self) -> bool:
        async with self._busy:
            self._next = None
            after = self._after
            try:
                page = await self._store.reports(after=after)
                # The next page begins behind all reports of the last sender of this one: it may have posted a million.
                sender = _sender(page[-1].key) if len(page) >= _PAGE else None
                self._after = bucket.reports_prefix(*sender) + _BEHIND if sender else page[-1].key if len(page) >= _PAGE else ""
                whole = await self._take(page)
            except StoreUnavailable as error:
                self._does_not_answer(error)
                return False
            self._silent = False
            return whole and not after and not self._after

    async def _take(self, found: Sequence[StoredObject]) -> bool:
        """Reads what is new, and wakes its sessions. Whether everything new has been read."""
        by_sender: dict[tuple[str, int], list[StoredObject]] = {}
        distrusted_before = {(session_id, number) for session_id in self._of for number in self.distrusted(session_id)}
        for item in found:
            sender = _sender(item.key)
            if sender is None:
                self._delete([item.key])
            else:
                by_sender.setdefault(sender, []).append(item)
        wanted = [self._wanted_of(sender, items) for sender, items in by_sender.items()]
        # One of each attempt, then the second of each, and so on.
        in_turn = [each for each in chain.from_iterable(zip_longest(*wanted)) if each is not None]
        read = await asyncio.gather(*(self._read(*each) for each in in_turn[:_READS_A_LOOK]), return_exceptions=True)
        new = {each for each in read if isinstance(each, str)}
        distrusted = {(session_id, number) for session_id in self._of for number in self.distrusted(session_id)}
        for session_id, number in distrusted - distrusted_before:
            log.warning("%s: attempt %s is distrusted: its reports are malformed or too many", session_id, number)
            new.add(session_id)
        await asyncio.gather(*(self._look_at_playlist(session_id) for session_id in new))
        for session_id in new:
            self._woken(session_id)
        for each in read:
            if isinstance(each, BaseException):
                raise each
        return len(in_turn) <= _READS_A_LOOK

    def _wanted_of(
        self, sender: tuple[str, int], items: Sequence[StoredObject]
    ) -> list[tuple[Correspondence, str, StoredObject]]:
        """The reports of one attempt that are to be read; what is not to be read is deleted."""
        session_id, attempt = sender
        of = self._of.get(session_id, {}).get(attempt)
        if of is None:
            self._ignore(sender, items)
            return []
        self._strays.pop(sender, None)
        for item in sorted(items, key=lambda each: each.modified_at):
            of.was_posted(item.key, item.modified_at)
        new = []
        for item in items:
            named = bucket.report_of(item.key)
            if of.is_distrusted or (named is not None and of.is_recorded(named[2])):
                self._delete([item.key])
            elif named is None or not 0 < item.size <= report.LIMIT_BYTES:
                of.sent_nonsense(item.key)
                self._delete([item.key])
            elif not of.holds(named[2]):
                new.append((of, session_id, item))
        return [] if of.is_distrusted else new[: of.room]

    async def _read(self, of: Correspondence, session_id: str, item: StoredObject) -> str | None:
        """The session's id, where the report has come to be known. Raises StoreUnavailable."""
        async with self._reads:
            document = await self._store.read_report(item.key)
        named = bucket.report_of(item.key)
        if document is None or named is None or of.is_distrusted:
            return None
        try:
            found = report.parse(document)
            if found.n != named[2]:
                raise BadDocument("n is not its key's")
        except BadDocument as error:
            log.warning("%s: attempt %s: a malformed report: %s", session_id, of.attempt, error)
            of.sent_nonsense(item.key)
            self._delete([item.key])
            return None
        of.received(Mail(of.attempt, item.modified_at, found))
        return session_id

    def _ignore(self, sender: tuple[str, int], items: Sequence[StoredObject]) -> None:
        """Nobody knows the sender: perhaps not yet."""
        now = self._now()
        if len(self._strays) >= _STRAYS:
            self._strays.clear()  # they are remembered anew, and deleted a minute later
        if now - self._strays.setdefault(sender, now) >= _STRAY_S:
            self._delete([each.key for each in items])

    def _does_not_answer(self, error: StoreUnavailable) -> None:
        if not self._silent:
            log.warning("inbox: %s", error)
        self._silent = True

    # --- what has been recorded ---------------------------------------------------------------------------------------

    def recorded(self, session_id: str, records: Iterable[Record]) -> None:
        """A decision has been committed: the reports that it records are deleted, in the background."""
        for record in records:
            if isinstance(record, ReportRead):
                of = self._of.get(session_id, {}).get(record.attempt)
                read = of.recorded_until(record.n) if of is not None else ()
                self._delete([bucket.report_key(session_id, record.attempt, n) for n in read])

    def _delete(self, keys: Iterable[str]) -> None:
        self._gone.update(dict.fromkeys(keys))
        if self._gone:
            self._tasks.start_unless_running(self._delete_gone, "deletion of reports")

    async def _delete_gone(self) -> None:
        while self._gone:
            keys, self._gone = tuple(self._gone), {}
            try:
                await self._store.delete(keys)
            except StoreUnavailable as error:  # the next LIST shows them again
                log.debug("inbox: %s reports not deleted: %s", len(keys), error)


def _sender(key: str) -> tuple[str, int] | None:
    """Session and attempt whose container has posted this key: it chooses only what follows its prefix."""
    session_id, _, rest = key.removeprefix(bucket.INBOX).partition(".")
    attempt = bucket.natural(rest.partition(".")[0])
    return (session_id, attempt) if key.startswith(bucket.reports_prefix(session_id, attempt)) and attempt >= 1 else None
