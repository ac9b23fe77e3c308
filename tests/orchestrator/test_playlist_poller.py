"""What the playlist poller says of playlists, and how many requests it needs for that."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from orchestrator.app.task_group import TaskGroup
from orchestrator.control.playlist_poller import PlaylistPoller, takeover_gap_s
from orchestrator.core.model import Absent, Corrupt, Playlist, Unknown
from orchestrator.ports import Stamp
from tests.fakes.object_store import FakeObjectStore
from tests.support import eventually
from transcoder import bucket
from transcoder.publish.media_playlist import ListedSegment, MediaPlaylist

T = 1_700_000_000.0


class Store(FakeObjectStore):
    """Counts what it is asked, and answers when it is let: an answer is what it was at the time of the question."""

    def __init__(self) -> None:
        super().__init__()
        self.lists = 0
        self.reads: list[str] = []
        self.held: list[asyncio.Event] | None = None  # not None: answers are held back, in the order of the questions

    def lists_segment(
        self, session_id: str, attempt: int, n: int, starts_at: float = T, *, ended: bool = False, leg: int = 1
    ) -> None:
        key = bucket.media_playlist_key(session_id)
        kept = self.objects_by_key.get(key)
        playlist = MediaPlaylist.parse(kept.data.decode()) if kept else MediaPlaylist(3, 0, 0, (), False)
        takes_over = bool(playlist.segments) and (playlist.last_attempt, playlist.leg) != (attempt, leg)
        uri = bucket.segment_uri(session_id, attempt, n)
        playlist = playlist.append(ListedSegment(uri, 2.0, starts_at, takes_over), 30.0)._replace(leg=leg)
        self.put(key, (playlist.finish() if ended else playlist).render().encode())

    async def playlists(self) -> Mapping[str, Stamp]:
        self.lists += 1
        answer = await super().playlists()
        await self._hold()
        return answer

    async def read_playlist(self, session_id: str) -> tuple[MediaPlaylist, str] | None:
        self.reads.append(session_id)
        answer = await super().read_playlist(session_id)
        await self._hold()
        return answer

    async def _hold(self) -> None:
        if self.held is not None:
            answered = asyncio.Event()
            self.held.append(answered)
            await answered.wait()


class Rig:
    def __init__(self) -> None:
        self.store = Store()
        self.woken: list[str] = []
        self.now = T
        self.tasks = TaskGroup()
        self.poller = PlaylistPoller(self.store, self.tasks, self.woken.append, lambda: self.now)

    async def look(self, after_s: float = 1.0) -> None:
        self.now += after_s
        await self.poller.look()

    def playlist(self, session_id: str = "s") -> Playlist:
        seen = self.poller.playlist(session_id)
        assert isinstance(seen, Playlist)
        return seen


@pytest.fixture
def rig() -> Rig:
    return Rig()


async def test_who_is_not_followed_is_unknown_and_costs_nothing(rig: Rig) -> None:
    rig.store.lists_segment("s", 1, 0)
    await rig.look()
    assert isinstance(rig.poller.playlist("s"), Unknown)
    assert not rig.poller.follows("s")
    assert rig.store.reads == []
    assert rig.woken == []


async def test_a_first_look_reads_the_playlist(rig: Rig) -> None:
    rig.store.lists_segment("s", 3, 0)
    await rig.poller.look_at("s")
    assert rig.poller.playlist("s") == Playlist(attempt=3, changed_at=T, target_duration_s=3, since=T, at=T)
    assert rig.woken == ["s"]


async def test_where_there_is_none_it_is_absent_since_then(rig: Rig) -> None:
    await rig.poller.look_at("s")
    await rig.look(5.0)
    assert rig.poller.playlist("s") == Absent(since=T, at=T + 5.0)


async def test_one_list_says_of_all_which_advanced(rig: Rig) -> None:
    names = [f"s-{n}" for n in range(50)]
    for name in names:
        rig.store.lists_segment(name, 1, 0)
        await rig.poller.look_at(name)
    rig.store.reads.clear()
    rig.woken.clear()
    for name in names[:10]:
        rig.store.lists_segment(name, 1, 1, T + 2.0)
    await rig.look(2.0)
    assert rig.store.reads == [], "ETags say enough"
    assert rig.woken == [], "and it is no news"
    assert [rig.playlist(name).changed_at for name in names] == [T + 2.0] * 10 + [T] * 40
    assert {rig.playlist(name).at for name in names} == {T + 2.0}
    assert {rig.playlist(name).since for name in names} == {T}


async def test_a_playlist_that_appears_is_read_and_told(rig: Rig) -> None:
    await rig.poller.look_at("s")
    rig.store.lists_segment("s", 1, 0)
    await rig.look()
    assert rig.playlist().attempt == 1
    assert rig.woken == ["s"]


async def test_a_playlist_that_vanishes_is_absent_since_then(rig: Rig) -> None:
    rig.store.lists_segment("s", 1, 0)
    await rig.poller.look_at("s")
    rig.store.objects_by_key.clear()
    await rig.look(60.0)
    await rig.look(2.0)
    assert rig.poller.playlist("s") == Absent(since=T + 60.0, at=T + 62.0)
    rig.store.lists_segment("s", 1, 0)
    await rig.look()
    assert rig.playlist().attempt == 1


async def test_a_takeover_is_read_where_somebody_waits_for_it(rig: Rig) -> None:
    rig.store.lists_segment("s", 1, 0)
    await rig.poller.look_at("s")
    rig.poller.wait_for("s", 2)
    rig.woken.clear()
    rig.store.lists_segment("s", 1, 1, T + 2.0)
    await rig.look()
    assert (rig.playlist().attempt, rig.woken) == (1, [])
    rig.store.lists_segment("s", 2, 0, T + 4.5)
    await rig.look()
    assert rig.playlist().attempt == 2
    assert rig.playlist().gap_s == pytest.approx(0.5)
    assert rig.woken == ["s"]
    rig.store.lists_segment("s", 2, 1, T + 6.5)
    await rig.look()
    assert rig.playlist().gap_s == pytest.approx(0.5), "the gap is the takeover's"
    await rig.tasks.close()


async def test_an_ended_playlist_is_seen_by_looking_at_it(rig: Rig) -> None:
    rig.store.lists_segment("s", 1, 0)
    await rig.poller.look_at("s")
    rig.store.lists_segment("s", 1, 1, T + 2.0, ended=True)
    await rig.poller.look_at("s")
    assert rig.playlist().ended


# --- a store that does not answer -------------------------------------------------------------------------------------


async def test_a_silent_store_makes_all_unknown_and_counts_silence_anew(rig: Rig) -> None:
    rig.store.lists_segment("s", 1, 0)
    await rig.poller.look_at("s")
    await rig.poller.look_at("absent")
    rig.store.refusing = True
    await rig.look(10.0)
    assert isinstance(rig.poller.playlist("s"), Unknown)
    assert isinstance(rig.poller.playlist("absent"), Unknown)
    rig.store.refusing = False
    await rig.look(100.0)
    assert rig.playlist().since == rig.playlist().changed_at == rig.now
    assert rig.poller.playlist("absent") == Absent(since=rig.now, at=rig.now)


async def test_one_playlist_that_cannot_be_read_says_nothing_of_the_others(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("broken", "s"):
        rig.store.lists_segment(name, 1, 0)
        await rig.poller.look_at(name)
    rig.store.put(bucket.media_playlist_key("broken"), b"not a playlist")
    await rig.poller.look_at("broken")
    await rig.look()
    assert isinstance(rig.poller.playlist("broken"), Corrupt), "which is Unknown, but nobody waits for it at the end"
    assert [record.levelname for record in caplog.records] == ["ERROR"], "said once"
    assert rig.playlist() == Playlist(attempt=1, changed_at=T, target_duration_s=3, since=T, at=T + 1.0)
    rig.store.objects_by_key.pop(bucket.media_playlist_key("broken"))
    rig.store.lists_segment("broken", 2, 0)
    await rig.look()
    assert rig.playlist("broken").attempt == 2


class Poisoned(Store):
    """Reading one session's playlist raises what nobody has thought of."""

    async def read_playlist(self, session_id: str) -> tuple[MediaPlaylist, str] | None:
        if session_id == "poisoned":
            raise OverflowError("what nobody has thought of")
        return await super().read_playlist(session_id)


async def test_one_poisoned_session_never_stops_the_look_at_others(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig()
    rig.store = Poisoned()
    rig.poller = PlaylistPoller(rig.store, rig.tasks, rig.woken.append, lambda: rig.now)
    for session_id in ("poisoned", "s"):
        rig.store.lists_segment(session_id, 1, 0)
        await rig.poller.look_at(session_id)
    for n in (1, 2):
        for session_id in ("poisoned", "s"):
            rig.store.lists_segment(session_id, 1, n)
        await rig.look()
        assert rig.playlist().changed_at == rig.now
        assert isinstance(rig.poller.playlist("poisoned"), Unknown)
    assert [record.levelname for record in caplog.records] == ["ERROR"], "said once"


async def test_a_list_that_hangs_is_no_silence(rig: Rig) -> None:
    rig.store.lists_segment("s", 1, 0)
    await rig.poller.look_at("s")
    rig.store.held = []
    looking = asyncio.create_task(rig.poller.look())
    await eventually(lambda: rig.store.held)
    rig.now += 60.0
    assert rig.playlist().at == T, "nobody has seen anything since"
    rig.store.held[0].set()
    await looking
    assert rig.playlist().at == T, "the answer is as old as the question"


# --- answers that come late -------------------------------------------------------------------------------------------


async def test_an_older_answer_does_not_undo_a_newer_one(rig: Rig) -> None:
    rig.store.lists_segment("s", 1, 0)
    rig.store.held = []
    older = asyncio.create_task(rig.poller.look_at("s"))
    await eventually(lambda: len(rig.store.held or ()) == 1)
    rig.now += 1.0
    rig.store.lists_segment("s", 2, 0, T + 2.0)
    newer = asyncio.create_task(rig.poller.look_at("s"))
    await eventually(lambda: len(rig.store.held or ()) == 2)
    rig.store.held[1].set()
    await newer
    assert rig.playlist().attempt == 2
    rig.store.held[0].set()
    await older
    assert rig.playlist().attempt == 2


async def test_a_list_from_before_the_first_segment_does_not_hide_it(rig: Rig) -> None:
    await rig.poller.look_at("s")
    rig.store.held = []
    listing = asyncio.create_task(rig.poller.look())
    await eventually(lambda: rig.store.held)
    held, rig.store.held = rig.store.held, None
    rig.now += 1.0
    rig.store.lists_segment("s", 1, 0)
    await rig.poller.look_at("s")
    held[0].set()
    await listing
    assert rig.playlist().attempt == 1


async def test_who_was_forgotten_while_being_read_wakes_nobody(rig: Rig) -> None:
    rig.store.lists_segment("s", 1, 0)
    rig.store.held = []
    reading = asyncio.create_task(rig.poller.look_at("s"))
    await eventually(lambda: rig.store.held)
    rig.poller.forget("s")
    rig.store.held[0].set()
    await reading
    assert rig.woken == []
    assert isinstance(rig.poller.playlist("s"), Unknown)


# --- hurry ------------------------------------------------------------------------------------------------------------


async def test_while_somebody_waits_the_poller_hurries(rig: Rig) -> None:
    rig.poller.wait_for("s", 1)
    await eventually(lambda: rig.store.reads, every_s=0.01)
    rig.store.lists_segment("s", 1, 0)
    await eventually(lambda: rig.woken == ["s"], timeout_s=0.5, every_s=0.01)
    assert rig.store.lists == 0, "few are looked at one by one"
    reads = len(rig.store.reads)
    await asyncio.sleep(0.3)
    assert len(rig.store.reads) == reads, "nobody waits any more"


async def test_many_who_wait_are_looked_at_by_one_list(rig: Rig) -> None:
    for n in range(30):
        rig.poller.wait_for(f"s-{n}", 1)
    await eventually(lambda: rig.store.lists >= 2, every_s=0.01)
    assert rig.store.reads == []
    rig.store.lists_segment("s-7", 1, 0)
    await eventually(lambda: rig.woken == ["s-7"], timeout_s=1.0, every_s=0.01)
    await rig.tasks.close()


async def test_who_no_longer_waits_is_not_hurried_for(rig: Rig) -> None:
    rig.poller.wait_for("s", 1)
    rig.poller.no_longer_wait_for("s")
    rig.poller.wait_for("t", 1)
    rig.poller.forget("t")
    await asyncio.sleep(0.25)
    assert len(rig.store.reads) <= 1
    rig.poller.wait_for("s", 2)
    await eventually(lambda: rig.store.reads[-1:] == ["s"], every_s=0.01)
    await rig.tasks.close()


async def test_a_closed_poller_leaves_no_task(rig: Rig) -> None:
    rig.poller.wait_for("s", 1)
    await asyncio.sleep(0.0)
    await rig.tasks.close()
    assert asyncio.all_tasks() == {asyncio.current_task()}


# --- the takeover's gap -----------------------------------------------------------------------------------------------


def history(*segments: tuple[int, float]) -> MediaPlaylist:
    playlist = MediaPlaylist(3, 0, 0, (), False)
    for n, (attempt, starts_at) in enumerate(segments):
        takes_over = bool(playlist.segments) and playlist.last_attempt != attempt
        segment = ListedSegment(bucket.segment_uri("s", attempt, n), 2.0, starts_at, takes_over)
        playlist = playlist._replace(segments=(*playlist.segments, segment))
    return playlist


@pytest.mark.parametrize(
    ("segments", "attempt", "gap_s"),
    [
        ([(1, 0.0), (2, 2.0)], 2, 0.0),
        ([(1, 0.0), (2, 3.5), (2, 5.5)], 2, 1.5),
        ([(1, 0.0), (2, 1.0)], 2, -1.0),
        ([(1, 0.0), (1, 2.0), (2, 4.0), (4, 9.0)], 4, 3.0),
        ([(2, 0.0), (2, 2.0)], 2, 0.0),
        ([], 1, 0.0),
    ],
)
def test_the_gap_is_what_the_takeover_skipped(segments: list[tuple[int, float]], attempt: int, gap_s: float) -> None:
    assert takeover_gap_s(history(*segments), attempt) == pytest.approx(gap_s)


# --- many at once -----------------------------------------------------------------------------------------------------


async def test_many_in_doubt_share_one_list(rig: Rig) -> None:
    """A thousand whose playlists have been silent for as long as the poller knows: were each looked at, looking would take so
    long that the next thousand looks are due before it is done."""
    sessions = [f"s{n}" for n in range(50)]
    for session_id in sessions:
        rig.store.lists_segment(session_id, 1, 0)
        await rig.poller.look_at(session_id)
    rig.store.reads.clear()
    rig.store.held = []
    rig.now += 10.0
    asked = asyncio.gather(*(rig.poller.look_again_at(session_id) for session_id in sessions))
    await eventually(lambda: rig.store.lists == 1)
    assert len(rig.store.reads) == 8
    for answer in rig.store.held:
        answer.set()
    await asked
    assert rig.store.lists == 1
    assert all(rig.playlist(session_id).at == rig.now for session_id in sessions)


async def test_who_asks_while_a_list_is_under_way_gets_the_next_one(rig: Rig) -> None:
    """The one under way may be older than what is asked for."""
    rig.store.held = []
    first = asyncio.create_task(rig.poller.look())
    await eventually(lambda: rig.store.lists == 1)
    others = [asyncio.create_task(rig.poller.look()) for _ in range(3)]
    await asyncio.sleep(0)
    rig.store.held[0].set()
    await first
    await eventually(lambda: rig.store.lists == 2)
    assert not any(other.done() for other in others)
    rig.store.held[1].set()
    await asyncio.gather(*others)
    assert rig.store.lists == 2


# --- legs ---------------------------------------------------------------------------------------------------------------


async def test_a_leg_that_is_waited_for_is_seen_and_wakes_its_session(rig: Rig) -> None:
    rig.store.lists_segment("s", 1, 0)
    await rig.poller.look_at("s")
    rig.woken.clear()
    rig.poller.wait_for("s", 1, leg=2)
    rig.store.lists_segment("s", 1, 1, T + 2.0)
    await rig.look()
    assert rig.playlist().leg == 1
    assert rig.woken == []
    rig.store.lists_segment("s", 1, 2, T + 4.5, leg=2)
    await rig.look()
    assert (rig.playlist().attempt, rig.playlist().leg, rig.playlist().gap_s) == (1, 2, 0.5)
    assert rig.woken == ["s"]
    rig.store.reads.clear()
    rig.store.lists_segment("s", 1, 3, T + 6.5, leg=2)
    await rig.look()
    assert rig.store.reads == [], "it is waited for no longer"
    assert rig.playlist().gap_s == 0.5
    await rig.tasks.close()


async def test_a_later_attempt_is_beyond_every_leg_that_was_waited_for(rig: Rig) -> None:
    rig.store.lists_segment("s", 1, 0)
    rig.poller.wait_for("s", 1, leg=3)
    rig.store.lists_segment("s", 2, 0, T + 2.0)
    await rig.look()
    assert (rig.playlist().attempt, rig.playlist().leg) == (2, 1)
    rig.store.reads.clear()
    rig.store.lists_segment("s", 2, 1, T + 4.0)
    await rig.look()
    assert rig.store.reads == []
    await rig.tasks.close()


async def test_a_leg_that_does_not_come_makes_no_hurry_for_ever(rig: Rig) -> None:
    rig.store.lists_segment("s", 1, 0)
    await rig.poller.look_at("s")
    rig.poller.wait_for("s", 1, leg=2, until=rig.now + 10.0)
    await eventually(lambda: len(rig.store.reads) >= 3)
    rig.now += 10.0
    await eventually(lambda: not rig.tasks._tasks)
    rig.store.lists_segment("s", 1, 1, T + 12.0, leg=2)
    await rig.look()
    assert rig.playlist().leg == 2, "but the LIST still looks for it"
    await rig.tasks.close()


async def test_an_attempt_that_may_switch_by_itself_is_reread_now_and_then(rig: Rig) -> None:
    """Its reports may be missing."""
    for name in ("s", "other"):
        rig.store.lists_segment(name, 1, 0)
        await rig.poller.look_at(name)
    rig.poller.may_switch("s", True)
    rig.store.reads.clear()
    for n in range(1, 10):
        for name in ("s", "other"):
            rig.store.lists_segment(name, 1, n, T + 2.0 * n, leg=2)
        await rig.look()
    assert rig.store.reads == []
    rig.store.lists_segment("s", 1, 10, T + 20.0, leg=2)
    await rig.look()
    assert rig.store.reads == ["s"]
    assert rig.playlist().leg == 2


def test_the_gap_of_a_switch_is_at_the_attempts_last_discontinuity() -> None:
    def listed(attempt: int, n: int, starts_at: float, discontinuity: bool) -> ListedSegment:
        return ListedSegment(bucket.segment_uri("s", attempt, n), 2.0, starts_at, discontinuity)

    legs = (listed(1, 0, T, False), listed(2, 0, T + 2.5, True), listed(2, 1, T + 4.5, False), listed(2, 2, T + 6.0, True))
    playlist = MediaPlaylist(3, 0, 0, (*legs, listed(2, 3, T + 8.0, False)), False, leg=2)
    assert takeover_gap_s(playlist, 2, 1) == 0.5
    assert takeover_gap_s(playlist, 2, 2) == -0.5
    again = playlist._replace(segments=(*playlist.segments, listed(2, 4, T + 13.0, True)), leg=3)
    assert takeover_gap_s(again, 2, 3) == 3.0
    assert takeover_gap_s(playlist._replace(segments=playlist.segments[3:]), 2, 2) == 0.0, "what was before has left the window"
