"""Reads and writes the session's multivariant playlist for one attempt: the first version, and corrections.

Rules: it is stored before anything is listed, and says which codecs every attempt must go on with. A correction never delays a
listing. Each write is conditional on the version that was read (compare-and-swap), and what a later attempt has written is
left as it is, so that an attempt which is fenced and does not know it changes nothing.
"""

from transcoder import bucket
from transcoder.input import Streams
from transcoder.media.segment_description import SegmentDescription
from transcoder.media.variant_measurement import VariantMeasurement
from transcoder.publish.multivariant_playlist import MultivariantPlaylist, Sending
from transcoder.publish.store_requests import Found, GetIndex, PutIndex, Reply, Request, Stored


class MultivariantPublisher:
    """One attempt's view of it: it returns the requests to make, and is told their answers."""

    def __init__(self, attempt: int, target_duration_s: float, window_s: float) -> None:
        self._attempt = attempt
        self._target_duration_s, self._window_s = target_duration_s, window_s
        self._measured = VariantMeasurement(target_duration_s, window_s)
        self._seen: MultivariantPlaylist | None = None  # as last seen in the store
        self._etag: str | None = None
        self._on_its_way: MultivariantPlaylist | None = None
        self._doubtful = False  # another attempt has corrected it
        self._changed = True  # whether something that it describes has changed since it was last compared
        self.known = False  # whether it is known if there is one in the store
        self.sending: Streams | None = None  # what the session sends; None: nothing yet

    @property
    def stored(self) -> bool:
        """Whether there is one."""
        return self._seen is not None

    @property
    def is_to_be_read(self) -> bool:
        return self._doubtful or not self.known

    def is_urgent(self, request: Request) -> bool:
        """Whether playing depends on that request: on all but corrections, and what is read for them."""
        match request:
            case PutIndex(_, etag):
                return etag is None
            case GetIndex():
                return not self.known
            case _:
                return True

    def begin_sending(self, streams: Streams, sound: str | None) -> None:
        """What the session sends from now on, where no attempt before has begun it; `sound`: the audio's codec as in RFC
        6381, where its own header does not tell."""
        if self.sending is None:
            self.sending = streams
        self._changed = True
        measured = self._measured
        measured.sound = sound
        measured.has_video, measured.has_sound = self.sending.video is not None, self.sending.audio is not None

    def abandon(self) -> None:
        """What was begun will not be listed: where nothing is stored, the next input may send something else."""
        if self._seen is None and self._on_its_way is None:
            self.sending = None
            self.forget()

    def measure(self, size_bytes: int, duration_s: float, seen: SegmentDescription, target_duration_s: float) -> None:
        """The next segment that is to be listed, and the target duration of the playlist that lists it."""
        self._changed = True
        self._target_duration_s = self._measured.target_duration_s = target_duration_s
        self._measured.take(size_bytes, duration_s, seen)

    def forget(self) -> None:
        """What was measured so far will not be listed."""
        self._measured = VariantMeasurement(self._target_duration_s, self._window_s)

    def first(self) -> PutIndex | None:
        """The session's first one; None: it is not known yet what the session sends."""
        if self.sending is None:
            return None
        variant = self._measured.variant(bucket.MEDIA_PLAYLIST_NAME)
        return self._put(MultivariantPlaylist((variant,), Sending(*self.sending), self._attempt), None)

    def correction(self) -> PutIndex | None:
        """The same anew, where it does not describe what this attempt lists (RFC 8216, 4.3.4.2): another source has another bit
        rate, resolution or profile. None: it does."""
        seen = self._seen
        if not self._changed or seen is None or self._doubtful or self._etag is None or seen.attempt > self._attempt:
            return None
        said = next(iter(seen.variants), None)
        variant = self._measured.variant(bucket.MEDIA_PLAYLIST_NAME, said)
        self._changed = variant != said
        if not self._changed:
            return None
        return self._put(seen._replace(variants=(variant,), attempt=self._attempt), self._etag)

    def read(self, reply: Reply) -> None:
        """What is stored. Raises MalformedPlaylist."""
        self._seen, self._etag, self._changed = None, None, True
        if isinstance(reply, Found):
            self._seen, self._etag = MultivariantPlaylist.parse(reply.text), reply.etag
            if not self.known:
                self.sending = Streams(*self._seen.sending) if self._seen.sending else None
        self.known, self._doubtful = True, False

    def wrote(self, request: PutIndex, reply: Reply) -> None:
        """What came of a write. Somebody else's is as good: the first one says what we must go on with, a later one what has
        been said since."""
        written, self._on_its_way = self._on_its_way, None
        if isinstance(reply, Stored):
            self._seen, self._etag = written, reply.etag
        elif request.etag is None:
            self.known, self.sending = False, None
        else:
            self._doubtful = True

    def _put(self, playlist: MultivariantPlaylist, etag: str | None) -> PutIndex:
        self._on_its_way = playlist
        return PutIndex(playlist.render(), etag)
