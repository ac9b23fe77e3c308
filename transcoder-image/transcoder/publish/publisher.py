"""What of an attempt is stored and listed, when, and in which order: the continuity protocol, without I/O.

Laws: segment first, playlist second; a listed segment is never taken back; what is listed can be decoded; a later attempt
fences this one. The publisher says which requests are to be made now, is told what came of each, and never waits: whoever
owns it moves the bytes. It knows nothing of where segments come from, so an attempt that is kept ready can go on cutting
and not publish.
"""

from collections.abc import Callable
from typing import assert_never

from transcoder import bucket
from transcoder.ending import Ending
from transcoder.job import Streams
from transcoder.media.programme_clock import ProgrammeClock
from transcoder.media.segment_description import describe
from transcoder.media.segmenter import Segment
from transcoder.publish.backlog import Backlog, WaitingSegment
from transcoder.publish.media_playlist import ListedSegment, MediaPlaylist
from transcoder.publish.multivariant_publisher import MultivariantPublisher
from transcoder.publish.playlist_syntax import MalformedPlaylist
from transcoder.publish.request_ledger import RequestLedger
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

_PARALLEL_POSTS = 2  # while one segment is on its way, the next may start; more would only share the same line
_TRIES_IN_FRONT = 3  # so often one segment may fail while later ones are stored


class Publisher:
    """One attempt's side of the protocol; every time is the same clock's, in seconds."""

    def __init__(self, session: str, attempt: int, target_duration_s: int, window_s: float, log: Callable[[str], None]) -> None:
        self._session, self._attempt = session, attempt
        self._target_duration_s, self._window_s = target_duration_s, window_s
        self._log = log
        self._playlist: MediaPlaylist | None = None  # as last seen in the store; None: not read yet
        self._stale = True  # it must be read before anything is written
        self._etag: str | None = None
        self._joined = False  # the first read is done: what it had of us would be another run's
        self._index = MultivariantPublisher(attempt, target_duration_s, window_s)
        self._backlog = Backlog(window_s)
        self._ledger = RequestLedger()
        self._on_its_way: MediaPlaylist | None = None
        self._claims = False  # an earlier attempt has been faster once: it is told to stop before anything is listed
        self._holds_back = False  # what waits is listed only if more of its group of pictures comes
        self._any_stored = False
        self.over: tuple[Ending, str] | None = None  # why this attempt may publish no more
        self.listed = 0  # how many segments of ours have been listed
        self.due_s: float | None = None  # when the player needs more than is listed

    @property
    def joined(self) -> bool:
        """Whether it is known what is listed and what the session sends."""
        return not self._stale and self._index.known

    @property
    def sending(self) -> Streams | None:
        """What the session sends; None: nothing yet."""
        return self._index.sending

    @property
    def idle(self) -> bool:
        """Whether everything offered has been listed or given up, or does not continue what is listed."""
        return self._on_its_way is None and (self._holds_back or not self._backlog)

    @property
    def failing_since_s(self) -> float | None:
        """Since when the store has done nothing of some kind that it was asked for; None where it works."""
        return self._ledger.failing_since_s

    @property
    def listed_target_duration_s(self) -> int | None:
        """The target duration of the playlist in the store; None where there is none, or before it was read."""
        return self._playlist.target_duration_s if self._playlist and self._etag is not None else None

    def begin_with(self, target_duration_s: int) -> None:
        """The playlist's target duration, where this attempt is the one that begins it."""
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
        """Takes the next segment; `clock` is the one of the timeline that it stands on."""
        seen = describe(segment.data)
        target_duration_s = self._playlist.target_duration_s if self._playlist else self._target_duration_s
        self._index.measure(len(segment.data), segment.duration_s, seen, target_duration_s)
        self._backlog.append(segment, clock, seen.independent)

    def tell(self, clock: ProgrammeClock) -> None:
        """Sets a clock to what is listed: that is the truth, also where somebody else has listed more, or we less."""
        if self._playlist is not None:
            clock.tell(self._playlist)

    def withdraw(self, clock: ProgrammeClock) -> None:
        """Takes back what was offered from that timeline and is not listed yet."""
        self._backlog.drop_timeline(clock)
        if not self.listed:
            self._index.forget()

    def look_again(self) -> None:
        """Reads the media playlist before anything else is written: this attempt has slept."""
        self._stale = True

    def requests(self, now_s: float) -> list[Request]:
        """What is to be asked of the store now; each is to be answered by `reply`."""
        if self.over:
            return []
        wanted: list[Request] = []
        if self._stale and self._ledger.may("main", now_s):
            wanted.append(GetMain())
        if self._index.is_to_be_read and self._ledger.may("index", now_s):
            wanted.append(GetIndex())
        if self._on_its_way is None:
            self._give_up(self._backlog.overdue(), "the store has not taken it in time")
        if self.joined and self._claims:
            wanted += self._claim(now_s)
        elif self.joined and self._has_begun(now_s):
            wanted += self._posts(now_s)
            wanted += self._playlists(now_s)
        if self.joined and self.listed and self._ledger.may("index", now_s) and (correction := self._index.correction()):
            wanted.append(correction)
        for request in wanted:
            self._ledger.sent(request)
        return wanted

    def reply(self, request: Request, reply: Reply, now_s: float) -> None:
        """What came of a request."""
        self._ledger.answered(request)
        if isinstance(reply, RequestFailed):
            self._failed(request, reply, now_s)
            return
        if (failed_for_s := self._ledger.succeeded(request, now_s)) is not None:
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
        """Whether it is known which segment this attempt begins with; drops those before.

        It is the first that continues the programme or, where that begins in the middle of a group of pictures, the one
        that this group begins with: better a moment again than pictures that refer to what nobody has.
        """
        if self.listed:
            self._holds_back = False
            return True
        first: int | None = None  # the latest so far that can be decoded by itself
        begun = False
        for waiting in self._backlog:
            if begun or (self.listed_end_s is not None and not waiting.clock.settled(now_s)):
                break
            first = waiting.n if waiting.segment.independent else first
            begun = first is not None and waiting.continues(self._playlist)
        if first is not None:
            self._backlog.drop_up_to(first - 1)
        self._holds_back = first is not None and not begun
        return begun

    def _posts(self, now_s: float) -> list[Request]:
        """The oldest segments that are not stored."""
        posts: list[Request] = []
        room = _PARALLEL_POSTS - self._ledger.posts_under_way
        for waiting in self._backlog:
            if waiting.stored or self._ledger.is_under_way(str(waiting.n)):
                continue
            if len(posts) >= room or (self.listed_end_s is not None and not waiting.clock.settled(now_s)):
                break
            if self._ledger.may(str(waiting.n), now_s):
                posts.append(PostSegment(waiting.n, waiting.segment.data))
        return posts

    def _playlists(self, now_s: float) -> list[Request]:
        front = self._backlog.front
        if self._on_its_way is not None or front is None or not front.stored:
            return []
        if not self._index.stored:
            first = self._index.first() if self._ledger.may("index", now_s) else None
            return [first] if first else []
        following = self._compose(now_s) if self._ledger.may("main", now_s) else None
        if following is None:
            return []
        self._on_its_way = following
        return [PutMain(following.render(), self._etag)]

    def _claim(self, now_s: float) -> list[Request]:
        """The playlist as it is, in this attempt's name. Two attempts whose rhythm is the same would list the same media at the
        same moment, again and again: who comes second would never be first."""
        assert self._playlist is not None
        if self.listed or not self._playlist.segments or self._playlist.claimed_by == self._attempt:
            self._claims = False
            return []
        if self._on_its_way is not None or not self._ledger.may("main", now_s):
            return []
        self._on_its_way = self._playlist._replace(claimed_by=self._attempt)
        return [PutMain(self._on_its_way.render(), self._etag)]

    def _compose(self, now_s: float) -> MediaPlaylist | None:
        """The stored playlist and every stored segment that comes next; None where there is none."""
        assert self._playlist is not None
        playlist = self._playlist
        for waiting in self._backlog:
            if not waiting.stored or not waiting.clock.settled(now_s):
                break
            continues = waiting.continues(playlist) and not self._is_orphan(waiting, playlist)
            if not continues and (self.listed or playlist is not self._playlist):
                self._backlog.drop(waiting)
                continue
            if not playlist.admits(waiting.segment.duration_s):  # cut for another one, before this playlist was read
                self._give_up([waiting], f"the playlist's target duration is {playlist.target_duration_s} s")
                continue
            playlist = playlist.append(self._listed(waiting, playlist), self._window_s, waiting.independent)
            playlist = waiting.clock.noted_in(playlist)._replace(claimed_by=0)
        return None if playlist is self._playlist else playlist

    def _listed(self, waiting: WaitingSegment, playlist: MediaPlaylist) -> ListedSegment:
        segment = waiting.segment
        last = playlist.segments[-1].uri if playlist.segments else None
        # Whatever is not our previous segment is another attempt's, or one was left out between.
        discontinuity = last is not None and (segment.discontinuity or last != self._uri(waiting.n - 1))
        date_s = waiting.clock.program_date_time(segment.start_s, segment.duration_s)
        return ListedSegment(self._uri(waiting.n), segment.duration_s, date_s, discontinuity)

    def _is_orphan(self, waiting: WaitingSegment, playlist: MediaPlaylist) -> bool:
        """Whether it begins in the middle of what nobody has been given the beginning of: its first pictures refer to others
        that are not listed, and cannot be decoded."""
        before = playlist.segments[-1].uri if playlist.segments else None
        return not waiting.segment.independent and before != self._uri(waiting.n - 1)

    def _uri(self, n: int) -> str:
        return bucket.segment_uri(self._session, self._attempt, n)

    def _read_main(self, reply: Reply, now_s: float) -> None:
        if isinstance(reply, NotStored):
            # Gone although we have listed: what was listed goes on from memory, the numbers too.
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
        latest = playlist.fencing_attempt
        if playlist.ended:
            self.over = Ending.FENCED, "the playlist has ended"
        elif latest > self._attempt:
            self.over = Ending.FENCED, f"attempt {latest} has taken over"
        elif latest == self._attempt and not self._joined:
            self.over = Ending.FENCED, "another run of this attempt has published"
        else:
            self._adopt(playlist, reply.etag, now_s)

    def _adopt(self, playlist: MediaPlaylist, etag: str | None, now_s: float) -> None:
        """Goes on from what is stored; what of ours is listed there needs no listing any more."""
        ours = {segment.uri for segment in playlist.segments}
        listed = [waiting.n for waiting in self._backlog if self._uri(waiting.n) in ours]
        if listed:
            self._backlog.drop_up_to(listed[-1])
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
            first = not self.listed
            self._adopt(written, reply.etag, now_s)
            if first and self.listed:
                last = written.segments[-1]
                self._log(f"first listing: {self.listed} segments, up to media sequence {_last_number(written)}, {last.uri}")
        else:
            # Somebody else has written, or we have and were not told: read it, and go on from there.
            self._stale = True
            if not self.listed and (front := self._backlog.front):
                self._log("an earlier attempt has listed first: claiming the playlist")
                front.clock.overtaken += 1
                self._claims = True

    def _failed(self, request: Request, failure: RequestFailed, now_s: float) -> None:
        if not self._index.is_urgent(request):
            self._log(f"store: the multivariant playlist is not corrected: {failure.reason}")
            self._ledger.postpone(request, now_s + self._window_s)
            return
        if isinstance(request, PutMain):
            self._on_its_way = None  # if it was done, the next one will not match, and the truth is read
        if self._ledger.failing_since_s is None:
            self._log(f"store: {type(request).__name__} failed: {failure.reason}")
        tries = self._ledger.failed(request, now_s)
        if isinstance(request, PostSegment) and (waiting := self._backlog.find(request.n)):
            later = any(each.stored for each in self._backlog if each.n > request.n)
            if failure.final or (tries >= _TRIES_IN_FRONT and later):
                self._give_up([waiting], failure.reason)

    def _give_up(self, gone: list[WaitingSegment], reason: str) -> None:
        for waiting in gone:
            self._log(f"segment {waiting.n} ({waiting.segment.duration_s:.1f} s) left out: {reason}")
            self._backlog.drop(waiting)
            self._ledger.forget(str(waiting.n))


def _last_number(playlist: MediaPlaylist) -> int:
    return playlist.media_sequence + len(playlist.segments) - 1
