"""Cuts one MPEG-TS byte sequence into media segments.

Laws: no segment's EXTINF rounds to more than the target duration (RFC 8216, 4.3.3.1), whatever the source's GOP; a segment
begins with a keyframe wherever the source has one within the target duration, for players join at segments; every segment
starts with PAT and PMT (3.2); all segments one after the other are one valid transport stream; from the first keyframe on no
packet is lost; time never goes back.

Python looks only at the packets that matter: tables, and those that start a PES packet of the stream that cuts are
made by. They are found by striding and searching at C speed. The syntax is that of ISO/IEC 13818-1: 2.4.3.2 (packet),
2.4.3.6 (PES packet), 2.4.4 (tables).
"""

from typing import NamedTuple

_PACKET = 188
_SYNC = 0x47
_STARTS = 0x40  # payload_unit_start_indicator: stands in the second byte, above the upper five bits of the PID
_START_AND_PID = bytes(byte & 0x5F for byte in range(256))  # the second byte without error indicator and priority

_HZ = 90_000
_WRAP = 1 << 33
_HOLE = _HZ  # a longer way from one frame to the next is a hole
_GAP = 4 * _HZ // 10  # and a longer one than this, and than the one before twice, is a loss
_EARLY = _HZ // 20  # a keyframe that comes up to this much too early is in time
_LEAST = _HZ // 5  # a shorter segment is not worth a request of the player's
_ROUNDING = 45 * _HZ // 100  # EXTINF may exceed the target duration by less than one half

_VIDEO = frozenset((0x01, 0x02, 0x10, 0x1B, 0x20, 0x21, 0x24, 0x33, 0x42, 0xD1, 0xEA))  # stream_type, Table 2-34
_WITH_START_CODES = frozenset((0x1B, 0x24))  # H.264, HEVC
_AUDIO = frozenset((0x03, 0x04, 0x0F, 0x11, 0x1C, 0x81, 0x87))


class Segment(NamedTuple):
    """One media segment; `start_s` is on the unwrapped media timeline.

    `independent`: it starts with a keyframe. `discontinuity`: its media do not continue the previous segment's.
    """

    data: bytes
    start_s: float
    duration_s: float
    independent: bool
    discontinuity: bool


class Segmenter:
    """Takes the bytes as they come and gives the segments as they close.

    A segment closes at the first keyframe after `segment_s` (audio alone: at the first PES packet). Before its EXTINF would
    round to more than `target_duration_s` it closes at the last keyframe in it; anywhere, where there is none. One that does
    not begin with a keyframe closes at the next. `first_segment_s`: the first one closes anywhere
    at that length already, so that a session on a source without backlog goes on early. Time is that of the first
    video stream, else the first audio stream: DTS, unwrapped; a hole or a step back closes the segment and makes the
    next one a discontinuity.
    """

    def __init__(self, *, segment_s: float, target_duration_s: int, first_segment_s: float | None = None) -> None:
        if not 0 < segment_s <= target_duration_s:
            raise ValueError(f"segment_s {segment_s} is not within the target duration {target_duration_s}")
        self._wanted = round(segment_s * _HZ) - _EARLY
        self._limit = 0
        self.reach(target_duration_s)
        self._first_wanted = None if first_segment_s is None else round(first_segment_s * _HZ) - _EARLY

        self._buffer = bytearray()  # the open segment, then what has not been looked at
        self._start = 0  # where in it the open segment starts
        self._scanned = 0  # up to where it has been looked at, in whole packets

        self._pat = _Table()
        self._pmt = _Table()
        self._tables = {0: self._pat}  # by PID
        self._cut_pid: int | None = None
        self._cut_is_video = self._has_start_codes = False
        self._sound_pid: int | None = None  # of the first audio stream beside video
        self._sound_raw: int | None = None  # the newest PTS of it, as it came
        self.sounds = 0  # how often sound has come
        self._layout()

        self._raw = 0  # the newest DTS as it came
        self._newest: int | None = None  # the same on the unwrapped timeline
        self._first = 0  # the first one
        self._spacing = _HZ // 25  # from one frame to the next
        self.losses = 0  # how often media were missing
        self._lost = 0  # and how much

        self._opened_at: int | None = None  # on the timeline; None: no segment is open
        self._independent = self._discontinuity = False
        self._head: list[tuple[_Table, bytes]] = []  # table packets to put before the open segment
        self._table_offsets: list[tuple[int, _Table]] = []  # table packets inside it
        self._frame = (0, False)  # where the newest frame starts, and whether it is a keyframe
        self._passed: tuple[int, int] | None = None  # the last keyframe in the open segment: where it starts, and when
        self._keyframe_at: int | None = None  # the newest
        self._apart = 0  # the longest way from one keyframe to the next

    @property
    def newest_s(self) -> float | None:
        """The newest media time seen, on the unwrapped timeline; None before any."""
        return None if self._newest is None else self._newest / _HZ

    @property
    def lost_s(self) -> float:
        """How much media were missing between frames so far."""
        return self._lost / _HZ

    @property
    def soundless_s(self) -> float:
        """How far the newest picture is past the newest sound; 0 where there is no picture, or where no sound is announced."""
        if self._sound_pid is None or self._newest is None:
            return 0.0
        if self._sound_raw is None:
            return (self._newest - self._first) / _HZ
        return max(0, _step(self._sound_raw, self._raw)) / _HZ

    @property
    def keyframes_apart_s(self) -> float | None:
        """The longest way from one keyframe to the next so far; None before the second. Sound can be cut anywhere."""
        if self._cut_pid is not None and not self._cut_is_video:
            return 0.0
        return self._apart / _HZ if self._apart else None

    def reach(self, target_duration_s: int) -> None:
        """From now on no segment rounds to more than this."""
        self._limit = target_duration_s * _HZ

    @property
    def pending_s(self) -> float:
        """How much media the open segment holds."""
        if self._opened_at is None or self._newest is None:
            return 0.0
        return (self._newest + self._spacing - self._opened_at) / _HZ

    def feed(self, data: bytes) -> list[Segment]:
        """Takes the next bytes, in slices of any size; gives the segments that they close."""
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
        if self._opened_at is None or self._newest is None:
            return None
        if ended:
            segment = self._close(self._scanned, self._newest + self._spacing)
            self._opened_at = None
        elif self._newest == self._opened_at:
            return None
        else:
            offset, independent = self._frame
            cut = self._before_tables(offset)
            segment = self._close(cut, self._newest)
            self._open(cut, cut != offset, self._newest, independent, False)
        self._trim()
        return segment

    def _aligned(self) -> int:
        """How many whole packets follow the scanned ones; skips to the next packet where the alignment is lost."""
        buffer = self._buffer
        while count := (len(buffer) - self._scanned) // _PACKET:
            syncs = buffer[self._scanned : self._scanned + count * _PACKET : _PACKET]
            in_step = count - len(syncs.lstrip(b"\x47"))
            if in_step == count:
                return count
            if in_step > 1:
                return in_step - 1  # what no packet follows is none itself
            at = buffer.find(_SYNC, self._scanned + 1)
            while 0 <= at < len(buffer) - _PACKET and buffer[at + _PACKET] != _SYNC:
                at = buffer.find(_SYNC, at + 1)
            del buffer[self._scanned : at if at >= 0 else len(buffer)]
        return 0

    def _scan(self, count: int, closed: list[Segment]) -> None:
        buffer, base = self._buffer, self._scanned
        end = base + count * _PACKET
        headers = bytearray(2 * count)
        headers[::2] = buffer[base + 1 : end : _PACKET].translate(_START_AND_PID)
        headers[1::2] = buffer[base + 2 : end : _PACKET]
        for n in sorted(n for wanted in self._wanted_headers for n in _found(headers, wanted)):
            offset = base + n * _PACKET
            packet = bytes(buffer[offset : offset + _PACKET])
            pid = (packet[1] & 0x1F) << 8 | packet[2]
            table = self._tables.get(pid)
            if pid == self._sound_pid:
                self._take_sound(packet)
            elif table is None:
                if segment := self._take_frame(offset, packet):
                    closed.append(segment)
            else:
                self._table_offsets.append((offset, table))
                if table.take(packet):
                    self._layout()
                    end = offset + _PACKET  # other packets may matter from here on
                    break
        self._scanned = end

    def _layout(self) -> None:
        """Which packets matter, as the tables say."""
        program = next((pid for number, pid in _programs(self._pat.section) if number), None)
        if program is not None and self._tables.get(program) is not self._pmt:
            self._pmt = _Table()
            self._tables = {0: self._pat, program: self._pmt}
        streams = _streams(self._pmt.section)
        video = [pid for kind, pid in streams if kind in _VIDEO]
        audio = [pid for kind, pid in streams if kind in _AUDIO] or [pid for _, pid in streams]
        self._cut_pid = next(iter(video or audio), None)
        self._cut_is_video = bool(video)
        self._has_start_codes = bool(video) and next(kind for kind, pid in streams if pid == video[0]) in _WITH_START_CODES
        sound_pid = next((pid for kind, pid in streams if video and kind in _AUDIO), None)
        if sound_pid != self._sound_pid:
            self._sound_pid, self._sound_raw = sound_pid, None
        self._wanted_headers = [bytes((start | pid >> 8, pid & 255)) for pid in self._tables for start in (0, _STARTS)]
        for pid in (self._cut_pid, self._sound_pid):
            if pid is not None:
                self._wanted_headers.append(bytes((_STARTS | pid >> 8, pid & 255)))

    def _take_sound(self, packet: bytes) -> None:
        raw = _dts(_payload(packet))
        if raw is not None:
            self._sound_raw = raw
            self.sounds += 1

    def _take_frame(self, offset: int, packet: bytes) -> Segment | None:
        payload = _payload(packet)
        raw = _dts(payload)
        if raw is None or (self._has_start_codes and not _begins_with_start_code(payload)):
            return None
        keyframe = not self._cut_is_video or _random_access(packet)
        previous = self._newest
        continuous = self._advance(raw)
        self._frame = (offset, keyframe)
        newest = self._newest
        assert newest is not None
        if keyframe and self._cut_is_video:
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
        segment = self._close(cut, newest if continuous else previous + self._spacing)
        self._open(cut, cut != offset, newest, keyframe, not continuous)
        return segment

    def _advance(self, raw: int) -> bool:
        """Moves the timeline on to a new DTS; False where the media before do not reach up to it, or it lies before
        them."""
        if self._newest is None:
            self._raw = self._newest = self._first = raw
            return True
        step = _step(self._raw, raw)
        self._raw = raw
        self._newest += step if step >= 0 else self._spacing
        if step > max(_GAP, 2 * self._spacing):
            self.losses += 1
            self._lost += step - self._spacing
        if not 0 <= step <= _HOLE:
            return False
        self._spacing = step or self._spacing
        return True

    def _cut_at_passed(self, offset: int, at: int) -> Segment:
        """The segment up to a keyframe that it went on beyond; what has come since begins the next one."""
        cut = self._before_tables(offset)
        segment = self._close(cut, at)
        self._open(cut, cut != offset, at, True, False)
        return segment

    def _is_full(self, length: int) -> bool:
        return length >= self._limit or length + self._spacing > self._limit + _ROUNDING

    def _due(self, length: int, keyframe: bool) -> bool:
        if self._is_full(length):
            return True
        if self._first_wanted is not None and length >= self._first_wanted:
            return True
        # What does not start with a keyframe ends early, so that the next one does again.
        return keyframe and length >= (self._wanted if self._independent else _LEAST)

    def _before_tables(self, offset: int) -> int:
        """Where to cut before a frame: in front of the PAT and PMT if they stand right before it."""
        wanted = [self._pat] + [self._pmt] * len(self._pmt.packets)
        # Those that are right before the frame, of which others may have followed.
        last = [each for each in self._table_offsets if each[0] < offset][-len(wanted) :]
        first = offset - len(wanted) * _PACKET
        if last == [(first + n * _PACKET, table) for n, table in enumerate(wanted)] and first > self._start:
            return first
        return offset

    def _open(self, start: int, has_tables: bool, at: int, independent: bool, discontinuity: bool) -> None:
        self._start, self._opened_at, self._passed = start, at, None
        self._independent, self._discontinuity = independent, discontinuity
        self._head = [(table, p) for table in (self._pat, self._pmt) for p in table.packets] if not has_tables else []
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
        start_s, duration_s = self._opened_at / _HZ, (end_at - self._opened_at) / _HZ
        return Segment(data, start_s, duration_s, self._independent, self._discontinuity)

    def _trim(self) -> None:
        """Lets go of what has been given out."""
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


class _Table:
    """PAT or PMT as it comes: the newest complete section, its packets, and the counter of what is given out."""

    def __init__(self) -> None:
        self.packets: list[bytes] = []
        self.section = b""
        self._partial: list[bytes] = []
        self._gathered = b""
        self._counter = 15

    def take(self, packet: bytes) -> bool:
        """Takes the next packet; True where it completes a section that is not the same as the one before."""
        payload = _payload(packet)
        if packet[1] & _STARTS:
            self._partial, self._gathered = [packet], payload[1 + payload[0] :] if payload else b""
        elif self._partial:
            self._partial, self._gathered = [*self._partial, packet], self._gathered + payload
        length = 3 + ((self._gathered[1] & 0x0F) << 8 | self._gathered[2]) if len(self._gathered) >= 3 else 3
        if not self._partial or len(self._gathered) < length:
            return False
        before, self.section, self.packets = self.section, self._gathered[:length], self._partial
        self._partial = []
        return self.section != before

    def count(self) -> int:
        """The continuity counter of the next packet to give out."""
        self._counter = (self._counter + 1) & 15
        return self._counter


def _found(headers: bytearray, wanted: bytes) -> list[int]:
    found = []
    at = headers.find(wanted)
    while at >= 0:
        if at & 1:  # across two headers
            at = headers.find(wanted, at + 1)
        else:
            found.append(at >> 1)
            at = headers.find(wanted, at + 2)
    return found


def _payload(packet: bytes) -> bytes:
    control = packet[3] & 0x30  # adaptation_field_control
    if not control & 0x10:
        return b""
    return packet[5 + packet[4] :] if control & 0x20 else packet[4:]


def _random_access(packet: bytes) -> bool:
    return bool(packet[3] & 0x20 and packet[4] and packet[5] & 0x40)


def _dts(pes: bytes) -> int | None:
    """The DTS of a PES packet, else its PTS, in units of 1/90,000 s; None where it has neither."""
    if len(pes) < 19 or pes[:3] != b"\x00\x00\x01" or not pes[7] & 0x80:
        return None
    b = pes[14:19] if pes[7] & 0x40 else pes[9:14]
    return (b[0] >> 1 & 7) << 30 | b[1] << 22 | b[2] >> 1 << 15 | b[3] << 7 | b[4] >> 1


def _begins_with_start_code(pes: bytes) -> bool:
    """Whether what follows the PES header begins as a picture of H.264 or HEVC does (Annex B of both). What does not is
    something else: an encoder may give the PID of its picture to its sound, and FFmpeg copies on."""
    begin = 9 + pes[8]
    return len(pes) < begin + 3 or pes[begin : begin + 2] == b"\0\0"


def _step(before: int, after: int) -> int:
    """The way from one timestamp to another, across the wrap if that is shorter."""
    return (after - before + _WRAP // 2) % _WRAP - _WRAP // 2


def _programs(pat: bytes) -> list[tuple[int, int]]:
    """(program number, PID) of each entry; the CRC ends the section."""
    return [(pat[n] << 8 | pat[n + 1], (pat[n + 2] & 0x1F) << 8 | pat[n + 3]) for n in range(8, len(pat) - 7, 4)]


def _streams(pmt: bytes) -> list[tuple[int, int]]:
    """(stream type, PID) of each elementary stream."""
    streams = []
    at = 12 + ((pmt[10] & 0x0F) << 8 | pmt[11]) if len(pmt) >= 12 else len(pmt)
    while at + 5 <= len(pmt) - 4:
        streams.append((pmt[at], (pmt[at + 1] & 0x1F) << 8 | pmt[at + 2]))
        at += 5 + ((pmt[at + 3] & 0x0F) << 8 | pmt[at + 4])
    return streams
