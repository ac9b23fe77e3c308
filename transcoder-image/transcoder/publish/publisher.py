"""Decides what of an attempt is stored and listed, when, and in which order: the continuity protocol, without I/O.

Laws: segment first, playlist second (law 6); a listed segment is never taken back (law 5); a later attempt fences this one, by
a conditional write on the playlist (law 4; compare-and-swap on its ETag). And what is listed can be decoded.

The publisher says which requests are to be made now, is told the answer to each, and never waits: its owner moves the bytes. It
knows nothing of where segments come from, so that an attempt which is kept ready can cut segments and not publish them.
"""

from collections.abc import Callable
from typing import assert_never

from transcoder import bucket
from transcoder.ending import Ending
from transcoder.input import Streams
from transcoder.media.programme_clock import ProgrammeClock
from transcoder.media.segment import Segment
from transcoder.media.segment_description import describe
from transcoder.publish.backlog import Backlog, WaitingSegment
from transcoder.publish.continuity import as_listed, beginning, is_orphan
from transcoder.publish.fencing import fenced
from transcoder.publish.media_playlist import MediaPlaylist
from transcoder.publish.multivariant_publisher import MultivariantPublisher
from transcoder.publish.playlist_syntax import MalformedPlaylist
from transcoder.publish.request_schedule import RequestSchedule
from transcoder.publish.store_requests import (
    Found,
    GetIndex,
    GetMain,
    NotStored,
    PostSegment,
    PutIndex,
    PutMain,
    Reply,
    Request,
    RequestFailed,
    Stored,
)

_PARALLEL_POSTS = 2  # while one segment is on its way, the next may start; more would only share the same bandwidth
_TRIES_IN_FRONT = 3  # how often one segment may fail while later ones are stored


class Publisher:
    """One attempt's side of the protocol; every time is of the same clock, in seconds."""

    def __init__(self, session: str, attempt: int, target_duration_s: int, window_s: float, log: Callable[[str], None]) -> None:
        self._key, self._attempt = (session, attempt), attempt
        self._target_duration_s, self._window_s = target_duration_s, window_s
        self._log = log
        self._playlist: MediaPlaylist | None = None  # as last seen in the store; None: not read yet
        self._stale = True  # it must be read before anything is written
        self._etag: str | None = None
        self._joined = False  # the first read is done; segments of this attempt in it would be another run's
        self._index = MultivariantPublisher(attempt, target_duration_s, window_s)
        self._backlog = Backlog(window_s)
        self._schedule = RequestSchedule()
        self._on_its_way: MediaPlaylist | None = None
        self._claims = False  # an earlier attempt has listed first once: the playlist is claimed before anything is listed
        self._holds_back = False  # waiting segments are listed only when more of their group of pictures has come
        self._any_stored = False
        self.over: tuple[Ending, str] | None = None  # why this attempt may publish no more
        self.listed = 0  # how many segments of ours have been listed
        self.listed_leg = 0  # the leg of the newest of them; 0: none is listed
        self.gap_s = 0.0  # of the programme, skipped before that leg; negative: repeated
        self.due_s: float | None = None  # when the player needs more than is listed

    @property
    def joined(self) -> bool:
        """Whether both playlists have been read: it is known what is listed, and what the session sends."""
        return not self._stale and self._index.known

    @property
    def sending(self) -> Streams | None:
        """What the session sends; None: nothing yet."""
        return self._index.sending

    @property
    def idle(self) -> bool:
        """Whether every offered segment has been listed or given up, or does not continue what is listed."""
        return self._on_its_way is None and (self._holds_back or not self._backlog)

    @property
    def failing_since_s(self) -> float | None:
        """Since when the store has done nothing of some kind that it was asked for; None where it works."""
        return self._schedule.failing_since_s

    @property
    def listed_target_duration_s(self) -> int | None:
        """The target duration of the playlist in the store; None where there is none, or before it was read."""
        return self._playlist.target_duration_s if self._playlist and self._etag is not None else None

    def begin_with(self, target_duration_s: int) -> None:
        """Sets the playlist's target duration, where this attempt begins the playlist."""
        self._target_duration_s = target_duration_s
        if self._playlist is not None and self._etag is None and not self._playlist.segments:
            self._playlist = self._playlist._replace(target_duration_s=target_duration_s)

    @property
    def listed_end_s(self) -> float | None:
        """The program date-time at which what is listed ends."""
        return self._playlist.end_s if self._playlist else None

    def begin_sending(self, streams: Streams, sound: str | None = None) -> None:
        """What the session sends from now on, where no attempt before has begun it; `sound`: the audio's codec as in RFC
        6381, where its own header does not tell."""
        self._index.begin_sending(streams, sound)

    def offer(self, segment: Segment, clock: ProgrammeClock) -> None:
        """Takes the next segment; `clock` is the one of its timeline."""
        seen = describe(segment.data)
        target_duration_s = self._playlist.target_duration_s if self._playlist else self._target_duration_s
        self._index.measure(len(segment.data), segment.duration_s, seen, target_duration_s)
        self._backlog.append(segment, clock, seen.independent)

    def synchronise(self, clock: ProgrammeClock) -> None:
        """Sets a clock to what is listed: another attempt may have listed more since, or this one less than it was about to."""
        if self._playlist is not None:
            clock.tell(self._playlist)

    def withdraw(self, clock: ProgrammeClock) -> None:
        """Takes back the segments of that timeline which are not listed yet."""
        self._backlog.drop_timeline(clock)
        if not self.listed:
            self._index.forget()

    def end_leg(self) -> None:
        """No more segments of the current leg will be offered; those that wait are listed, as far as they can be."""
        if not self.listed and not self._backlog:
            self._index.abandon()

    def look_again(self) -> None:
        """Has the media playlist read before anything else is written: this process was paused, and may have been fenced."""
        self._stale = True

    def requests(self, now_s: float) -> list[Request]:
        """The requests to make now; each is to be answered by `reply`."""
        if self.over:
            return []
        wanted: list[Request] = []
        if self._stale and self._schedule.may("main", now_s):
            wanted.append(GetMain())
        if self._index.is_to_be_read and self._schedule.may("index", now_s):
            wanted.append(GetIndex())
        if self._on_its_way is None:
            self._give_up(self._backlog.overdue(), "the store has not taken it in time")
        if self.joined and self._claims:
            wanted += self._claim(now_s)
        elif self.joined and self._has_begun(now_s):
            wanted += self._posts(now_s)
            wanted += self._playlists(now_s)
        if self.joined and self.listed and self._schedule.may("index", now_s) and (correction := self._index.correction()):
            wanted.append(correction)
        for request in wanted:
            self._schedule.sent(request)
        return wanted

    def reply(self, request: Request, reply: Reply, now_s: float) -> None:
        """Takes the answer to a request."""
        self._schedule.answered(request)
        if isinstance(reply, RequestFailed):
            self._failed(request, reply, now_s)
            return
        if (failed_for_s := self._schedule.succeeded(request, now_s)) is not None:
            self._log(f"store works again after {failed_for_s:.1f} s")
        match request:
            case GetMain():
                self._read_main(reply, now_s)
            case GetIndex():
                self._read_index(reply, now_s)
            case PutIndex():
                self._index.wrote(request, reply)
            case PutMain():
                self._wrote_main(reply, now_s)
            case PostSegment(n):
                if not self._any_stored:
                    self._log("first segment stored")
                    self._any_stored = True
                if waiting := self._backlog.find(n):
                    waiting.has_been_stored()
            case _:
                assert_never(request)

    def _has_begun(self, now_s: float) -> bool:
        """Whether it is known which segment the leg in front begins with; drops those before it. Segments of a leg that is over
        and that cannot begin any more give way to the next leg's."""
        while (front := self._backlog.front) is not None and front.clock.leg != self.listed_leg:
            leg = front.clock.leg
            first, found = beginning(self._backlog.of_leg(leg), self._playlist, now_s)
            if first is not None:
                self._backlog.drop_up_to(first - 1)
            self._holds_back = first is not None and not found
            if found or self._backlog.last_leg == leg or not front.clock.settled(now_s):
                return found
            self._backlog.drop_leg(leg)
        self._holds_back = False
        return bool(self.listed)

    def _posts(self, now_s: float) -> list[Request]:
        """The oldest segments that are not stored."""
        posts: list[Request] = []
        room = _PARALLEL_POSTS - self._schedule.posts_under_way
        for waiting in self._backlog.of_leg(self._backlog.front_leg):
            if waiting.stored or self._schedule.is_under_way(str(waiting.n)):
                continue
            if len(posts) >= room or (self.listed_end_s is not None and not waiting.clock.settled(now_s)):
                break
            if self._schedule.may(str(waiting.n), now_s):
                posts.append(PostSegment(waiting.n, waiting.segment.data))
        return posts

    def _playlists(self, now_s: float) -> list[Request]:
        front = self._backlog.front
        if self._on_its_way is not None or front is None or not front.stored:
            return []
        if not self._index.stored:
            first = self._index.first() if self._schedule.may("index", now_s) else None
            return [first] if first else []
        following = self._compose(now_s) if self._schedule.may("main", now_s) else None
        if following is None:
            return []
        self._on_its_way = following
        return [PutMain(following.render(), self._etag)]

    def _claim(self, now_s: float) -> list[Request]:
        """Writes the playlist as it is, with a claim of this attempt, which fences the earlier one before anything is listed.

        Two attempts in lockstep race for one conditional write, and the newcomer would always lose: each time it would find the
        media listed that it was about to list.
        """
        assert self._playlist is not None
        if self.listed or not self._playlist.segments or self._playlist.claimed_by == self._attempt:
            self._claims = False
            return []
        if self._on_its_way is not None or not self._schedule.may("main", now_s):
            return []
        self._on_its_way = self._playlist._replace(claimed_by=self._attempt)
        return [PutMain(self._on_its_way.render(), self._etag)]

    def _compose(self, now_s: float) -> MediaPlaylist | None:
        """The stored playlist and every stored segment that comes next; None where there is none."""
        assert self._playlist is not None
        playlist = self._playlist
        leg = self._backlog.front_leg
        for waiting in self._backlog.of_leg(leg):  # of the leg behind it, it is not known yet which segment it begins with
            if not waiting.stored or not waiting.clock.settled(now_s):
                break
            continues = waiting.continues(playlist) and not is_orphan(waiting, playlist, *self._key)
            if not continues and (self.listed_leg == leg or playlist is not self._playlist):
                self._backlog.drop(waiting)
                continue
            if not playlist.admits(waiting.segment.duration_s):  # cut for another one, before this playlist was read
                self._give_up([waiting], f"the playlist's target duration is {playlist.target_duration_s} s")
                continue
            playlist = playlist.append(as_listed(waiting, playlist, *self._key), self._window_s, waiting.independent)
            playlist = waiting.clock.noted_in(playlist)._replace(claimed_by=0)
        return None if playlist is self._playlist else playlist

    def _uri(self, n: int) -> str:
        return bucket.segment_uri(*self._key, n)

    def _read_main(self, reply: Reply, now_s: float) -> None:
        if isinstance(reply, NotStored):
            # If the playlist is gone although this attempt has listed, its segments and numbers are continued from memory.
            empty = MediaPlaylist(self._target_duration_s, 0, 0, (), False)
            self._adopt(self._playlist or empty, None, now_s)
            return
        if not isinstance(reply, Found):
            return
        try:
            playlist = MediaPlaylist.parse(reply.text)
        except MalformedPlaylist as error:
            self._failed(GetMain(), RequestFailed(f"{bucket.MEDIA_PLAYLIST_NAME}: {error}"), now_s)
            return
        if why := fenced(playlist, self._attempt, joined=self._joined):
            self.over = Ending.FENCED, why
        else:
            self._adopt(playlist, reply.etag, now_s)

    def _adopt(self, playlist: MediaPlaylist, etag: str | None, now_s: float) -> None:
        """Goes on from what is stored; segments of this attempt that are listed there no longer wait."""
        ours = {segment.uri for segment in playlist.segments}
        listed = [waiting for waiting in self._backlog if self._uri(waiting.n) in ours]
        if listed:
            if (clock := listed[0].clock).leg != self.listed_leg:
                self.listed_leg, self.gap_s = clock.leg, clock.gap_s
            self._backlog.drop_up_to(listed[-1].n)
            self.listed += len(listed)
            self.due_s = now_s + playlist.segments[-1].duration_s
        self._playlist, self._etag, self._stale, self._joined = playlist, etag, False, True

    def _read_index(self, reply: Reply, now_s: float) -> None:
        try:
            self._index.read(reply)
        except MalformedPlaylist as error:
            self._failed(GetIndex(), RequestFailed(f"{bucket.MULTIVARIANT_NAME}: {error}"), now_s)

    def _wrote_main(self, reply: Reply, now_s: float) -> None:
        written, self._on_its_way = self._on_its_way, None
        if isinstance(reply, Stored) and reply.etag and written is not None:
            before = self.listed_leg
            self._adopt(written, reply.etag, now_s)
            if self.listed_leg != before:
                last = written.segments[-1]
                leg = f" of leg {self.listed_leg}" if before else ""
                self._log(
                    f"first listing{leg}: {self.listed} segments, up to media sequence {written.last_sequence}, {last.uri}"
                )
        else:
            # Another attempt has written, or this one has and the answer was lost: read it, and go on from there.
            self._stale = True
            if not self.listed and self._backlog:
                self._log("an earlier attempt has listed first: claiming the playlist")
                self._claims = True

    def _failed(self, request: Request, failure: RequestFailed, now_s: float) -> None:
        if not self._index.is_urgent(request):
            self._log(f"store: the multivariant playlist is not corrected: {failure.reason}")
            self._schedule.postpone(request, now_s + self._window_s)
            return
        if isinstance(request, PutMain):
            self._on_its_way = None  # if it was written all the same, the next write does not match, and the playlist is read
        if self._schedule.failing_since_s is None:
            self._log(f"store: {type(request).__name__} failed: {failure.reason}")
        tries = self._schedule.failed(request, now_s)
        if isinstance(request, PostSegment) and (waiting := self._backlog.find(request.n)):
            later = any(each.stored for each in self._backlog if each.n > request.n)
            if failure.final or (tries >= _TRIES_IN_FRONT and later):
                self._give_up([waiting], failure.reason)

    def _give_up(self, gone: list[WaitingSegment], reason: str) -> None:
        for waiting in gone:
            self._log(f"segment {waiting.n} ({waiting.segment.duration_s:.1f} s) left out: {reason}")
            self._backlog.drop(waiting)
            self._schedule.forget(str(waiting.n))
