"""The inbox: what is read, in which order, what is deleted, and that nothing posted there costs more than its turn."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
from msgspec.structs import replace

from orchestrator.app.task_group import TaskGroup
from orchestrator.control import inbox as inbox_module
from orchestrator.control.inbox import Inbox
from orchestrator.core.model import Attempt, Live, ReportRead, Session
from orchestrator.ports import StoredObject
from tests.fakes import object_store as fake_object_store
from tests.fakes.object_store import FakeObjectStore
from tests.support import eventually
from transcoder import bucket
from transcoder.report import LIMIT_BYTES, Happening, Report, What, render

NOW = 1_700_000_000.0


def session(session_id: str = "s-1", number: int = 1, reports_read: int = 0, granted: tuple[str, ...] = ("a", "b")) -> Session:
    attempt = replace(Attempt.on(number, "a", NOW), granted=granted, reports_read=reports_read)
    return Session(id=session_id, channel_id="c", viewer="v", created_at=NOW, state=Live(attempt))


class Store(FakeObjectStore):
    """Counts what is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.lists = 0
        self.reads: list[str] = []

    async def reports(self, *, session_id: str = "", after: str = "") -> Sequence[StoredObject]:
        self.lists += 1
        return await super().reports(session_id=session_id, after=after)

    async def read_report(self, key: str) -> bytes | None:
        self.reads.append(key)
        return await super().read_report(key)


class Rig:
    def __init__(self, *, wanted: bool = True) -> None:
        self.store = Store()
        self.tasks = TaskGroup()
        self.now = NOW
        self.looked_at: list[str] = []
        self.woken: list[str] = []
        self.inbox = Inbox(
            self.store, self.tasks, wanted=wanted, look_at_playlist=self.look_at, woken=self.woken.append, now=lambda: self.now
        )

    async def look_at(self, session_id: str) -> None:
        self.looked_at.append(session_id)

    def post(self, n: int, data: bytes | None = None, *, session_id: str = "s-1", attempt: int = 1, at: float = 0.0) -> str:
        return self.put(bucket.report_key(session_id, attempt, n), report(n) if data is None else data, at)

    def put(self, key: str, data: bytes, at: float = 0.0) -> str:
        self.store.put(key, data)
        self.store.objects_by_key[key] = self.store.objects_by_key[key]._replace(modified_at=at or self.now)
        return key

    def numbers(self, session_id: str = "s-1") -> list[tuple[int, int]]:
        return [(each.attempt, each.report.n) for each in self.inbox.mail(session_id)]

    @property
    def keys(self) -> set[str]:
        return set(self.store.objects_by_key)


def report(n: int) -> bytes:
    return render(Report(n, (Happening(What.WORKING, 0.0, 1, "a"),)))


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    rig = Rig()
    yield rig
    await rig.tasks.close()


async def test_reports_are_kept_in_order_until_they_are_recorded(rig: Rig) -> None:
    rig.inbox.follow(session())
    for n in (2, 10, 1):
        rig.post(n, at=NOW - n)
    await rig.inbox.look()
    assert rig.numbers() == [(1, 1), (1, 2), (1, 10)]
    assert [each.posted_at for each in rig.inbox.mail("s-1")] == [NOW - 1, NOW - 2, NOW - 10]
    await rig.inbox.look()
    assert len(rig.store.reads) == 3, "each is read once"
    rig.inbox.recorded("s-1", (ReportRead(1, 2),))
    assert rig.numbers() == [(1, 10)]
    await eventually(lambda: rig.keys == {bucket.report_key("s-1", 1, 10)})


async def test_a_session_with_new_reports_reads_its_playlist_and_is_woken_once(rig: Rig) -> None:
    rig.inbox.follow(session())
    rig.inbox.follow(session("s-2"))
    rig.post(1)
    rig.post(2)
    await rig.inbox.look()
    assert rig.looked_at == rig.woken == ["s-1"]
    await rig.inbox.look()
    assert rig.woken == ["s-1"]


async def test_what_was_recorded_before_is_deleted_and_not_read_again(rig: Rig) -> None:
    """The orchestrator has ended between commit and deletion."""
    rig.inbox.follow(session(reports_read=2))
    for n in (1, 2, 3):
        rig.post(n)
    await rig.inbox.look()
    assert rig.numbers() == [(1, 3)]
    await eventually(lambda: rig.keys == {bucket.report_key("s-1", 1, 3)})


async def test_before_a_decision_is_committed_nothing_is_deleted(rig: Rig) -> None:
    rig.inbox.follow(session())
    key = rig.post(1)
    for _ in range(3):
        rig.now += 100.0
        await rig.inbox.look()
    await asyncio.sleep(0.01)
    assert rig.keys == {key}
    assert rig.numbers() == [(1, 1)]


async def test_reports_that_nobody_knows_are_deleted_unread_after_a_minute(rig: Rig) -> None:
    rig.inbox.follow(session(number=2))
    strays = {rig.post(1), rig.post(1, session_id="s-9"), rig.post(1, attempt=3)}
    await rig.inbox.look()
    rig.now += 59.0
    await rig.inbox.look()
    assert rig.keys == strays
    rig.now += 2.0
    await rig.inbox.look()
    await eventually(lambda: not rig.keys)
    assert rig.store.reads == []


async def test_reports_that_come_before_their_attempt_is_known_are_read_when_it_is(rig: Rig) -> None:
    rig.post(1)
    await rig.inbox.look()
    assert rig.numbers() == []
    rig.inbox.follow(session())
    await rig.inbox.look()
    assert rig.numbers() == [(1, 1)]


@pytest.mark.parametrize(
    "data", [b"", b"x" * (LIMIT_BYTES + 1), b"{}", b"[" * 50_000, b"\xff\xfe", report(7), b'{"n":1,"happened":[{"what":"x"}]}']
)
async def test_three_malformed_reports_make_an_attempt_distrusted(rig: Rig, data: bytes) -> None:
    rig.inbox.follow(session())
    rig.post(1)
    await rig.inbox.look()
    for n in (2, 3):
        rig.post(n, data)
    await rig.inbox.look()
    assert rig.inbox.distrusted("s-1") == frozenset()
    assert rig.numbers() == [(1, 1)], "what is malformed hides nothing else"
    rig.woken.clear()
    rig.post(4, data)
    await rig.inbox.look()
    assert rig.inbox.distrusted("s-1") == {1}
    assert rig.woken == ["s-1"]
    assert rig.numbers() == []
    read = len(rig.store.reads)
    rig.post(5)
    await rig.inbox.look()
    assert len(rig.store.reads) == read, "its reports are deleted unread from now on"
    await eventually(lambda: not rig.keys)


async def test_a_key_that_is_no_reports_counts_as_malformed(rig: Rig) -> None:
    rig.inbox.follow(session())
    for name in ("x", "000001.json.json", "1.json"):
        rig.put(bucket.reports_prefix("s-1", 1) + name, report(1))
    stray = rig.put(f"{bucket.INBOX}nobodys", b"x")
    await rig.inbox.look()
    assert rig.inbox.distrusted("s-1") == {1}
    await eventually(lambda: stray not in rig.keys)


async def test_a_flood_makes_an_attempt_distrusted_and_a_long_absence_of_ours_does_not(rig: Rig) -> None:
    rig.inbox.follow(session("s-1"))
    rig.inbox.follow(session("s-2"))
    for n in range(1, 200):
        rig.post(n, at=NOW - 1000.0 + 5.0 * n)
    for n in range(1, 32):
        rig.post(n, session_id="s-2", at=NOW - 1000.0 + 1.9 * n)
    await rig.inbox.look()
    assert rig.inbox.distrusted("s-1") == frozenset()
    assert rig.inbox.distrusted("s-2") == {1}


async def test_thirty_reports_a_minute_are_borne(rig: Rig) -> None:
    rig.inbox.follow(session())
    for n in range(1, 100):
        rig.now = NOW + 2.0 * n
        rig.post(n)
        await rig.inbox.look()
        rig.inbox.recorded("s-1", (ReportRead(1, n),))
    assert rig.inbox.distrusted("s-1") == frozenset()


async def test_a_million_reports_of_one_attempt_hide_no_other_ones(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox_module, "_PAGE", 50)
    monkeypatch.setattr(fake_object_store, "PAGE", 50)
    rig.inbox.follow(session("s-1"))
    rig.inbox.follow(session("s-2"))
    for n in range(1, 2000):
        rig.post(n, at=NOW - 100_000.0 + 3.0 * n)  # not so many a minute that it is distrusted
    rig.post(1, session_id="s-2")
    await rig.inbox.look()
    assert (len(rig.numbers("s-1")), rig.numbers("s-2")) == (50, [])
    await rig.inbox.look()
    assert rig.numbers("s-2") == [(1, 1)]
    for _ in range(5):
        await rig.inbox.look()
    assert len(rig.numbers("s-1")) <= 64, "and no more is kept in memory"


async def test_attempts_take_turns_where_there_is_more_than_a_look_reads(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox_module, "_READS_A_LOOK", 4)
    for session_id in ("s-1", "s-2"):
        rig.inbox.follow(session(session_id))
        for n in range(1, 11):
            rig.post(n, session_id=session_id, at=NOW - 1000.0 + 10.0 * n)
    await rig.inbox.look()
    assert rig.numbers("s-1") == rig.numbers("s-2") == [(1, 1), (1, 2)]


async def test_one_sessions_reports_are_read_at_once(rig: Rig) -> None:
    rig.inbox.follow(session())
    rig.inbox.follow(session("s-2"))
    rig.post(1)
    rig.post(1, session_id="s-2")
    assert await rig.inbox.look_at("s-1")
    assert (rig.numbers("s-1"), rig.numbers("s-2")) == ([(1, 1)], [])


async def test_many_that_ask_at_the_same_time_share_a_list(rig: Rig) -> None:
    names = [f"s-{n}" for n in range(100)]
    for name in names:
        rig.inbox.follow(session(name))
        rig.post(1, session_id=name)
    assert all(await asyncio.gather(*map(rig.inbox.look_at, names)))
    assert all(rig.numbers(name) == [(1, 1)] for name in names)
    assert rig.store.lists < 20


async def test_a_store_that_does_not_answer_is_told_and_raises_nothing(rig: Rig) -> None:
    rig.inbox.follow(session())
    rig.post(1)
    rig.store.refusing = True
    await rig.inbox.look()
    assert not await rig.inbox.look_at("s-1")
    rig.store.refusing = False
    assert await rig.inbox.look_at("s-1")
    assert rig.numbers() == [(1, 1)]


async def test_attempts_without_grants_ask_nothing_of_the_store(rig: Rig) -> None:
    rig.inbox.follow(session(granted=()))
    rig.store.refusing = True
    assert await rig.inbox.look_at("s-1")
    off = Rig(wanted=False)
    await off.inbox.look()
    assert off.store.lists == 0
    off.inbox.follow(session())  # it was granted its inputs before the setting was changed
    off.post(1)
    await off.inbox.look()
    assert off.numbers() == [(1, 1)]
    await off.tasks.close()


async def test_a_session_that_is_forgotten_has_no_mail(rig: Rig) -> None:
    rig.inbox.follow(session())
    rig.post(1)
    await rig.inbox.look()
    rig.inbox.forget("s-1")
    assert rig.numbers() == []
    assert rig.inbox.distrusted("s-1") == frozenset()
