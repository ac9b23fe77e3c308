"""What goes from the store, and when: never what a player can be asked to fetch."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from orchestrator.app.settings import Settings
from orchestrator.core.model import Decision, Ended
from orchestrator.errors import DatabaseUnavailable, StoreUnavailable
from orchestrator.housekeeping.history_retention import HistoryRetention
from orchestrator.housekeeping.segment_retention import SegmentRetention
from tests.fakes.object_store import FakeObjectStore
from tests.fakes.tables import FakeTables
from transcoder import bucket
from transcoder.publish.media_playlist import ListedSegment, MediaPlaylist

SETTINGS = Settings(window_s=10.0, segment_retention_s=20.0, ended_retention_s=600.0)
SEGMENT_S = 2.0
KEPT_S = 20.0  # longer than the window of 10 s and a target duration of 3 s
T = 1_700_000_000.0


class Shelf:
    """One session's objects, published two seconds by two seconds."""

    def __init__(self, tables: FakeTables | None = None, store: FakeObjectStore | None = None) -> None:
        self.tables = tables or FakeTables()
        self.store = store or FakeObjectStore()
        self.retention = SegmentRetention(self.store, self.tables.sessions, SETTINGS)
        self.now = T
        self.playlist = MediaPlaylist(3, 0, 0, (), False)
        self.left_at: dict[str, float] = {}
        self.session_id = ""
        self._number = 0

    async def requested(self) -> Shelf:
        row, _ = await self.tables.sessions.request("c", f"viewer-{id(self)}", "hash", self.now)
        self.session_id = row.session.id
        self.put(bucket.multivariant_key(self.session_id))
        return self

    def put(self, key: str, data: bytes = b"media") -> str:
        self.store.put(key, data)
        self.store.objects_by_key[key] = self.store.objects_by_key[key]._replace(modified_at=self.now)
        return key

    def publish(self, attempt: int = 1, seconds: float = SEGMENT_S, *, listed: bool = True) -> str:
        """One segment, stored and (mostly) listed; then its duration passes."""
        key = self.put(bucket.segment_key(self.session_id, attempt, self._number))
        if listed:
            uri = bucket.segment_uri(self.session_id, attempt, self._number)
            takes_over = bool(self.playlist.segments) and self.playlist.last_attempt != attempt
            before = self.playlist
            self.playlist = before.append(ListedSegment(uri, SEGMENT_S, self.now, takes_over), SETTINGS.window_s)
            for gone in {each.uri for each in before.segments} - {each.uri for each in self.playlist.segments}:
                self.left_at[gone.removeprefix("../../")] = self.now
            self.put(bucket.media_playlist_key(self.session_id), self.playlist.render().encode())
        self._number += 1
        self.now += seconds
        return key

    async def end(self) -> None:
        session = (await self.tables.sessions.get(self.session_id)).session
        ended = replace(session, state=Ended(self.now))
        await self.tables.sessions.commit(session, Decision(session=ended), self.now)

    @property
    def keys(self) -> set[str]:
        return {key for key in self.store.objects_by_key if key.split("/")[1] == self.session_id}

    @property
    def segments(self) -> set[str]:
        return {key for key in self.keys if key.startswith(bucket.SEGMENTS)}

    @property
    def listed(self) -> set[str]:
        return {segment.uri.removeprefix("../../") for segment in self.playlist.segments}


async def test_a_segment_stays_while_it_is_listed_and_long_enough_after() -> None:
    shelf = await Shelf().requested()
    stored = []
    for _ in range(60):
        stored.append(shelf.publish())
        await shelf.retention.delete_unlisted(shelf.now)
        for key in stored:
            if key in shelf.listed or shelf.now - shelf.left_at[key] < KEPT_S:
                assert key in shelf.segments
    assert len(shelf.segments) <= (SETTINGS.window_s + KEPT_S + 2 * SEGMENT_S) / SEGMENT_S + 2, "and no longer than needed"


@given(
    st.lists(st.tuples(st.integers(0, 1), st.booleans(), st.sampled_from((2.0, 2.0, 2.0, 60.0)), st.booleans()), max_size=60)
)
async def test_no_history_loses_what_a_player_may_still_ask_for(history: list[tuple[int, bool, float, bool]]) -> None:
    """Swaps, segments that were never listed, pauses in publishing, passes now and then."""
    shelf = await Shelf().requested()
    attempt = 1
    for swap, listed, seconds, sweeps in history:
        attempt += swap
        shelf.publish(attempt, seconds, listed=listed)
        if sweeps:
            await shelf.retention.delete_unlisted(shelf.now)
        promised = shelf.listed | {key for key, left_at in shelf.left_at.items() if shelf.now - left_at < KEPT_S}
        assert promised <= shelf.segments


async def test_what_left_the_window_after_a_pause_stays_though_it_is_old() -> None:
    """Nothing was published for ten minutes; a player that has the old playlist asks for old segments."""
    shelf = await Shelf().requested()
    for _ in range(10):
        shelf.publish()
    await shelf.retention.delete_unlisted(shelf.now)
    listed = shelf.listed
    shelf.now += 600.0
    for _ in range(6):
        shelf.publish()
    assert not listed & shelf.listed
    await shelf.retention.delete_unlisted(shelf.now)
    assert listed <= shelf.segments


async def test_segments_that_were_never_listed_go_when_the_window_has_passed_them() -> None:
    shelf = await Shelf().requested()
    shelf.publish()
    odd = shelf.put(f"segments/{shelf.session_id}/1/what-a-subverted-container-wrote")
    skipped = shelf.publish(listed=False)
    failed = [shelf.publish(2, listed=False) for _ in range(3)]
    on_its_way = ""
    for _ in range(30):
        shelf.publish(3)
        on_its_way = shelf.publish(3, 0.0, listed=False)
        await shelf.retention.delete_unlisted(shelf.now)
    assert not {odd, skipped, *failed} & shelf.segments
    assert on_its_way in shelf.segments, "stored, and about to be listed"


async def test_a_restart_only_puts_deletions_off() -> None:
    shelf = await Shelf().requested()
    for _ in range(60):
        shelf.publish()
        shelf.retention = SegmentRetention(shelf.store, shelf.tables.sessions, SETTINGS)
        await shelf.retention.delete_unlisted(shelf.now)
    assert len(shelf.segments) == 60
    for _ in range(20):
        shelf.publish()
        await shelf.retention.delete_unlisted(shelf.now)
    assert len(shelf.segments) < 30


async def test_the_longest_target_duration_is_respected() -> None:
    shelf = await Shelf().requested()
    shelf.playlist = MediaPlaylist(12, 0, 0, (), False)
    stored = []
    for _ in range(80):
        stored.append(shelf.publish())
        await shelf.retention.delete_unlisted(shelf.now)
        kept = [key for key in stored if key in shelf.listed or shelf.now - shelf.left_at[key] < 3 * 12 + 12]
        assert set(kept) <= shelf.segments


async def test_an_ended_sessions_objects_go_together_some_time_later() -> None:
    shelf = await Shelf().requested()
    for _ in range(10):
        shelf.publish()
    shelf.put(bucket.log_key(shelf.session_id, 1))
    shelf.put(bucket.orders_key(shelf.session_id, 1))
    shelf.put(bucket.report_key(shelf.session_id, 1, 1))
    before = set(shelf.store.objects_by_key)
    anothers = shelf.put(bucket.report_key(f"{shelf.session_id}0", 1, 1))
    await shelf.end()
    shelf.now += 590.0
    assert await shelf.retention.delete_unlisted(shelf.now) == 0
    assert set(shelf.store.objects_by_key) == before | {anothers}
    shelf.now += 15.0
    assert await shelf.retention.delete_unlisted(shelf.now) == len(before)
    assert set(shelf.store.objects_by_key) == {anothers}


async def test_a_session_that_never_listed_anything_leaves_nothing_either() -> None:
    shelf = await Shelf().requested()
    shelf.publish(listed=False)
    shelf.put(bucket.log_key(shelf.session_id, 1))
    await shelf.end()
    await shelf.retention.delete_unlisted(shelf.now + 700.0)
    assert shelf.keys == set()


async def test_a_session_that_runs_for_long_keeps_what_was_written_once() -> None:
    """Its multivariant playlist is as old as the session."""
    shelf = await Shelf().requested()
    shelf.publish()
    shelf.now += 86_400.0
    shelf.put(bucket.log_key(shelf.session_id, 1))
    for _ in range(10):
        shelf.publish(2)
        await shelf.retention.delete_unlisted(shelf.now)
    assert bucket.multivariant_key(shelf.session_id) in shelf.keys
    assert bucket.log_key(shelf.session_id, 1) in shelf.keys


async def test_what_belongs_to_no_session_goes_when_nobody_has_written_it_for_long() -> None:
    shelf = await Shelf().requested()
    shelf.publish()
    shelf.tables = FakeTables()  # the rows are gone
    shelf.retention = SegmentRetention(shelf.store, shelf.tables.sessions, SETTINGS)
    await shelf.retention.delete_unlisted(shelf.now + 500.0)
    assert shelf.keys
    await shelf.retention.delete_unlisted(shelf.now + 700.0)
    assert shelf.keys == set()


async def test_sessions_are_judged_each_by_itself() -> None:
    one = await Shelf().requested()
    other = await Shelf(one.tables, one.store).requested()
    one.publish()
    other.publish()
    await one.end()
    other.now += 700.0
    other.publish()
    await one.retention.delete_unlisted(other.now)
    assert one.keys == set()
    assert len(other.segments) == 2


@pytest.mark.parametrize(("part", "error"), [("store", StoreUnavailable), ("tables", DatabaseUnavailable)])
async def test_what_does_not_answer_deletes_nothing(part: str, error: type[Exception]) -> None:
    shelf = await Shelf().requested()
    shelf.publish()
    before = shelf.keys
    broken = getattr(shelf, part)
    broken.refusing = True
    with pytest.raises(error):
        await shelf.retention.delete_unlisted(shelf.now + 1e6)
    broken.refusing = False
    assert shelf.keys == before


async def test_a_playlist_that_cannot_be_read_keeps_its_session_and_no_other_ones() -> None:
    one = await Shelf().requested()
    other = await Shelf(one.tables, one.store).requested()
    one.publish()
    one.put(bucket.media_playlist_key(one.session_id), b"not a playlist")
    before = one.keys
    for _ in range(40):
        other.publish()
        await other.retention.delete_unlisted(other.now)
    assert one.keys == before
    assert len(other.segments) < 30


async def test_history_goes_when_it_is_old_and_never_before_the_objects_that_it_tells_of() -> None:
    shelf = await Shelf().requested()
    await shelf.end()
    for kept_s in (SETTINGS.ended_retention_s + SETTINGS.retention_interval_s, 86_400.0):
        history = HistoryRetention(shelf.tables.operation, replace(SETTINGS, history_retention_s=max(1.0, kept_s - 1e-6)))
        assert await history.delete_old(shelf.now + kept_s - 1.0) == 0
    history = HistoryRetention(shelf.tables.operation, replace(SETTINGS, history_retention_s=1.0))
    assert await history.delete_old(shelf.now + SETTINGS.ended_retention_s) == 0
    assert await history.delete_old(shelf.now + SETTINGS.ended_retention_s + SETTINGS.retention_interval_s + 1.0) == 1
    assert await shelf.tables.sessions.recent() == ()


# --- poison -----------------------------------------------------------------------------------------------------------


class Poisoned(FakeObjectStore):
    """What the store says of one session's playlist."""

    def __init__(self) -> None:
        super().__init__()
        self.raises: dict[str, Exception] = {}

    async def read_playlist(self, session_id: str) -> tuple[MediaPlaylist, str] | None:
        if session_id in self.raises:
            raise self.raises[session_id]
        return await super().read_playlist(session_id)


@pytest.mark.parametrize("poison", [ValueError("4,300 digits"), StoreUnavailable("500"), OverflowError()], ids=repr)
async def test_one_poisoned_session_never_stops_the_retention_of_others(poison: Exception) -> None:
    store, tables = Poisoned(), FakeTables()
    shelves = [await Shelf(tables, store).requested() for _ in range(4)]
    ended = shelves.pop()
    await ended.end()
    store.raises[shelves[0].session_id] = poison
    first = [shelf.publish() for shelf in shelves]
    retention, now = shelves[0].retention, T
    for shelf in shelves:
        for _ in range(20):
            shelf.publish()
        now = max(now, shelf.now)
    await retention.delete_unlisted(now)
    for shelf in shelves:
        for _ in range(20):
            shelf.publish()
    await retention.delete_unlisted(now + KEPT_S + 20.0)
    gone = [key for key in first if key not in store.objects_by_key]
    assert gone == first[1:], "all but the poisoned one's"
    await retention.delete_unlisted(now + SETTINGS.ended_retention_s + 1000.0)
    assert not ended.keys, "the ended one is gone as a whole"


async def test_a_store_that_gives_nobodys_playlist_is_left_in_peace() -> None:
    store, tables = Poisoned(), FakeTables()
    shelves = [await Shelf(tables, store).requested() for _ in range(5)]
    for shelf in shelves:
        shelf.publish()
        store.raises[shelf.session_id] = StoreUnavailable("no answer within 8 s")
    with pytest.raises(StoreUnavailable):
        await shelves[0].retention.delete_unlisted(T + 10.0)


async def test_a_place_of_5000_digits_is_none() -> None:
    shelf = await Shelf().requested()
    shelf.publish()
    text = shelf.playlist.render().replace("/1/main/0.ts", f"/{'9' * 5000}/main/{'9' * 5000}.ts")
    shelf.put(bucket.media_playlist_key(shelf.session_id), text.encode())
    assert await shelf.retention.delete_unlisted(shelf.now) == 0
