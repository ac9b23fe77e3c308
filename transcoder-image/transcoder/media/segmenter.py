"""Cuts one MPEG-TS byte sequence into media segments.

Rules: no segment's EXTINF rounds to more than the target duration (RFC 8216, 4.3.3.1), whatever the distance between the
source's keyframes. A segment begins with a keyframe wherever the source has one within the target duration, because players
join at segments. Every segment starts with PAT and PMT (3.2). All segments one after the other are one valid transport stream.
From the first keyframe on no packet is lost. Time never goes back.

For speed Python looks only at the packets that matter: those of tables, and those that start a PES packet of the stream by
which segments are cut. They are found by their headers at C speed.
"""

from transcoder.media.media_timeline import MediaTimeline
from transcoder.media.program_table import ProgramTable
from transcoder.media.segment import Segment
from transcoder.media.stream_layout import StreamLayout
from transcoder.media.transport_stream import (
    HZ,
    PACKET_BYTES,
    SYNC,
    decode_time,
    is_random_access,
    packets_with,
    payload_of,
    pid_at,
    step,
)

_START_AND_PID = bytes(byte & 0x5F for byte in range(256))  # the second byte without error indicator and priority

_EARLY = HZ // 20  # a keyframe that comes up to this much too early is in time
_LEAST = HZ // 5  # a shorter segment is not worth a request of the player's
_ROUNDING = 45 * HZ // 100  # EXTINF may exceed the target duration by less than one half


class Segmenter:
    """Takes bytes as they come, and returns segments as they close.

    A segment closes at the first keyframe after `segment_s` (audio alone: at the first PES packet). Before its EXTINF would
    round to more than `target_duration_s` it closes at the last keyframe inside it, or anywhere where there is none. A segment
    that does not begin with a keyframe closes at the next one. `first_segment_s`: the first segment closes anywhere at that
    length already, so that a session on a source without a backlog begins early.

    Time is the DTS of the first video stream, else of the first audio stream, unwrapped. A hole, or a step back, closes the
    segment and makes the next one a discontinuity.
    """

    def __init__(self, *, segment_s: float, target_duration_s: int, first_segment_s: float | None = None) -> None:
        if not 0 < segment_s <= target_duration_s:
            raise ValueError(f"segment_s {segment_s} is not within the target duration {target_duration_s}")
        self._wanted = round(segment_s * HZ) - _EARLY
        self._limit = 0
        self.limit_to(target_duration_s)
        self._first_wanted = None if first_segment_s is None else round(first_segment_s * HZ) - _EARLY

        self._buffer = bytearray()  # the open segment, then what has not been looked at
        self._start = 0  # where in it the open segment starts
        self._scanned = 0  # up to where it has been looked at, in whole packets

        self._layout = StreamLayout()
        self._sound_raw: int | None = None  # the newest timestamp of the sound, as it came
        self.sounds = 0  # how often sound has come
        self._time = MediaTimeline()

        self._opened_at: int | None = None  # on the timeline; None: no segment is open
        self._independent = self._discontinuity = False
        self._head: list[tuple[ProgramTable, bytes]] = []  # table packets to put before the open segment
        self._table_offsets: list[tuple[int, ProgramTable]] = []  # table packets inside it
        self._frame = (0, False)  # where the newest frame starts, and whether it is a keyframe
        self._passed: tuple[int, int] | None = None  # the last keyframe in the open segment: where it starts, and when
        self._keyframe_at: int | None = None  # the newest
        self._apart = 0  # the longest way from one keyframe to the next

    @property
    def newest_s(self) -> float | None:
        """The newest media time seen, on the unwrapped timeline; None before any."""
        return None if self._time.newest is None else self._time.newest / HZ

    @property
    def lost_s(self) -> float:
        """How much media has been missing between frames so far, in seconds."""
        return self._time.lost / HZ

    @property
    def losses(self) -> int:
        """How often media have been missing between frames so far."""
        return self._time.losses

    @property
    def soundless_s(self) -> float:
        """How far the newest picture is past the newest sound, in seconds; 0 where there is no picture or no announced
        sound."""
        if self._layout.sound_pid is None or self._time.newest is None:
            return 0.0
        if self._sound_raw is None:
            return (self._time.newest - self._time.first) / HZ
        return max(0, step(self._sound_raw, self._time.raw)) / HZ

    @property
    def keyframes_apart_s(self) -> float | None:
        """The longest time from one keyframe to the next so far; None before the second. Audio alone can be cut anywhere: 0."""
        if self._layout.cut_pid is not None and not self._layout.cut_is_video:
            return 0.0
        return self._apart / HZ if self._apart else None

    def limit_to(self, target_duration_s: int) -> None:
        """From now on no segment rounds to more than this target duration."""
        self._limit = target_duration_s * HZ

    @property
    def pending_s(self) -> float:
        """How much media the open segment holds, in seconds."""
        if self._opened_at is None or self._time.newest is None:
            return 0.0
        return (self._time.newest + self._time.spacing - self._opened_at) / HZ

    def feed(self, data: bytes) -> list[Segment]:
        """Takes the next bytes, in slices of any size; returns the segments that they close."""
        self._buffer += data
        closed: list[Segment] = []
        while count := self._aligned():
            self._scan(count, closed)
        if self._opened_at is None:
            self._start = self._scanned
        self._trim()
        return closed

    def flush(self, ended: bool = False) -> Segment | None:
        """Closes the open segment now, because it is overdue; None where there is less than a frame.

        The newest frame may not be complete yet: it opens the next segment, unless the input has `ended`.
        """
        if self._opened_at is None or self._time.newest is None:
            return None
        if ended:
            segment = self._close(self._scanned, self._time.newest + self._time.spacing)
            self._opened_at = None
        elif self._time.newest == self._opened_at:
            return None
        else:
            offset, independent = self._frame
            cut = self._before_tables(offset)
            segment = self._close(cut, self._time.newest)
            self._open(cut, cut != offset, self._time.newest, independent, False)
        self._trim()
        return segment

    def _aligned(self) -> int:
        """How many whole packets follow the scanned ones; skips to the next packet where the alignment is lost."""
        buffer = self._buffer
        while count := (len(buffer) - self._scanned) // PACKET_BYTES:
            syncs = buffer[self._scanned : self._scanned + count * PACKET_BYTES : PACKET_BYTES]
            in_step = count - len(syncs.lstrip(b"\x47"))
            if in_step == count:
                return count
            if in_step > 1:
                return in_step - 1  # what no packet follows is none itself
            at = buffer.find(SYNC, self._scanned + 1)
            while 0 <= at < len(buffer) - PACKET_BYTES and buffer[at + PACKET_BYTES] != SYNC:
                at = buffer.find(SYNC, at + 1)
            del buffer[self._scanned : at if at >= 0 else len(buffer)]
        return 0

    def _scan(self, count: int, closed: list[Segment]) -> None:
        buffer, base = self._buffer, self._scanned
        end = base + count * PACKET_BYTES
        headers = bytearray(2 * count)
        headers[::2] = buffer[base + 1 : end : PACKET_BYTES].translate(_START_AND_PID)
        headers[1::2] = buffer[base + 2 : end : PACKET_BYTES]
        for n in sorted(n for wanted in self._layout.headers for n in packets_with(headers, wanted)):
            offset = base + n * PACKET_BYTES
            packet = bytes(buffer[offset : offset + PACKET_BYTES])
            pid = pid_at(packet, 1)
            table = self._layout.tables.get(pid)
            if pid == self._layout.sound_pid:
                self._take_sound(packet)
            elif table is None:
                if segment := self._take_frame(offset, packet):
                    closed.append(segment)
            else:
                self._table_offsets.append((offset, table))
                if table.take(packet):
                    self._read_tables()
                    end = offset + PACKET_BYTES  # other packets may matter from here on
                    break
        self._scanned = end

    def _read_tables(self) -> None:
        sound_pid = self._layout.sound_pid
        self._layout.read()
        if self._layout.sound_pid != sound_pid:
            self._sound_raw = None

    def _take_sound(self, packet: bytes) -> None:
        raw = decode_time(payload_of(packet))
        if raw is not None:
            self._sound_raw = raw
            self.sounds += 1

    def _take_frame(self, offset: int, packet: bytes) -> Segment | None:
        payload = payload_of(packet)
        raw = decode_time(payload)
        if raw is None or (self._layout.has_start_codes and not _begins_with_start_code(payload)):
            return None
        keyframe = not self._layout.cut_is_video or is_random_access(packet)
        previous = self._time.newest
        continuous = self._time.advance(raw)
        self._frame = (offset, keyframe)
        newest = self._time.newest
        assert newest is not None
        if keyframe and self._layout.cut_is_video:
            if self._keyframe_at is not None and continuous:
                self._apart = max(self._apart, newest - self._keyframe_at)
            self._keyframe_at = newest
        if self._opened_at is None or previous is None:
            if keyframe:
                self._open(offset, False, newest, keyframe, False)
            return None
        length = newest - self._opened_at
        if length > self._limit + _ROUNDING:
            continuous = False  # frames came apart more than expected
        if continuous and not self._due(length, keyframe):
            if keyframe:
                self._passed = (offset, newest)
            return None
        if continuous and not keyframe and self._passed is not None and self._is_full(length):
            return self._cut_at_passed(*self._passed)
        cut = self._before_tables(offset)
        segment = self._close(cut, newest if continuous else previous + self._time.spacing)
        self._open(cut, cut != offset, newest, keyframe, not continuous)
        return segment

    def _cut_at_passed(self, offset: int, at: int) -> Segment:
        """The segment up to a keyframe that it went on beyond; what has come since begins the next one."""
        cut = self._before_tables(offset)
        segment = self._close(cut, at)
        self._open(cut, cut != offset, at, True, False)
        return segment

    def _is_full(self, length: int) -> bool:
        return length >= self._limit or length + self._time.spacing > self._limit + _ROUNDING

    def _due(self, length: int, keyframe: bool) -> bool:
        if self._is_full(length):
            return True
        if self._first_wanted is not None and length >= self._first_wanted:
            return True
        # What does not start with a keyframe ends early, so that the next one does again.
        return keyframe and length >= (self._wanted if self._independent else _LEAST)

    def _before_tables(self, offset: int) -> int:
        """Where to cut before a frame: in front of the PAT and PMT if they stand right before it."""
        wanted = [self._layout.pat] + [self._layout.pmt] * len(self._layout.pmt.packets)
        # Those that are right before the frame, of which others may have followed.
        last = [each for each in self._table_offsets if each[0] < offset][-len(wanted) :]
        first = offset - len(wanted) * PACKET_BYTES
        if last == [(first + n * PACKET_BYTES, table) for n, table in enumerate(wanted)] and first > self._start:
            return first
        return offset

    def _open(self, start: int, has_tables: bool, at: int, independent: bool, discontinuity: bool) -> None:
        self._start, self._opened_at, self._passed = start, at, None
        self._independent, self._discontinuity = independent, discontinuity
        tables = () if has_tables else (self._layout.pat, self._layout.pmt)
        self._head = [(table, packet) for table in tables for packet in table.packets]
        self._table_offsets = [each for each in self._table_offsets if each[0] >= start]

    def _close(self, end: int, end_at: int) -> Segment:
        assert self._opened_at is not None
        head = [packet[:3] + bytes((packet[3] & 0xF0 | table.count(),)) + packet[4:] for table, packet in self._head]
        for offset, table in self._table_offsets:
            if offset < end:
                self._buffer[offset + 3] = self._buffer[offset + 3] & 0xF0 | table.count()
        data = b"".join((*head, self._buffer[self._start : end]))
        self._first_wanted = None
        self._start = end
        start_s, duration_s = self._opened_at / HZ, (end_at - self._opened_at) / HZ
        return Segment(data, start_s, duration_s, self._independent, self._discontinuity)

    def _trim(self) -> None:
        """Frees the memory of what has been returned."""
        gone = self._start
        if not gone:
            return
        del self._buffer[:gone]
        self._start = 0
        self._scanned -= gone
        self._frame = (self._frame[0] - gone, self._frame[1])
        if self._passed is not None:
            self._passed = (self._passed[0] - gone, self._passed[1])
        self._table_offsets = [(offset - gone, table) for offset, table in self._table_offsets if offset >= gone]


def _begins_with_start_code(pes: bytes) -> bool:
    """Whether what follows the PES header begins as a picture of H.264 or HEVC does (Annex B of both). An encoder may give the
    PID of its picture to its sound, and FFmpeg goes on copying: what does not begin so is no picture."""
    begin = 9 + pes[8]
    return len(pes) < begin + 3 or pes[begin : begin + 2] == b"\0\0"
