"""Shifts MPEG-TS packets along an endless timeline: timestamps and continuity counters of the loop keep counting.

ISO/IEC 13818-1: packets of 188 bytes (2.4.3.2), PCR in the adaptation field (2.4.3.4), PTS and DTS in the PES header
(2.4.3.6). Timestamps count 90 kHz ticks modulo 2^33.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

PACKET = 188
TICKS_PER_S = 90_000
WRAP_TICKS = 1 << 33


def moved(packets: bytes, ticks: int, counted: Mapping[int, int]) -> bytes:
    """`packets` with PCR, PTS and DTS later by `ticks`, and each PID's continuity counters by `counted[pid]`."""
    out = bytearray(packets)
    for at in range(0, len(out), PACKET):
        pid = (out[at + 1] & 0x1F) << 8 | out[at + 2]
        out[at + 3] = out[at + 3] & 0xF0 | (out[at + 3] + counted.get(pid, 0)) & 0x0F
        payload = at + 4
        if out[at + 3] & 0x20:
            payload += 1 + out[at + 4]
            if out[at + 4] and out[at + 5] & 0x10:
                _move_pcr(out, at + 6, ticks)
        if out[at + 1] & 0x40 and out[at + 3] & 0x10 and out[payload : payload + 3] == b"\x00\x00\x01":
            flags = out[payload + 7]
            if flags & 0x80:
                _move_pts(out, payload + 9, ticks)
            if flags & 0x40:
                _move_pts(out, payload + 14, ticks)
    return bytes(out)


def payload_counts(packets: bytes) -> Counter[int]:
    """The number of packets with payload per PID: by so much its continuity counter advances."""
    counts: Counter[int] = Counter()
    for at in range(0, len(packets), PACKET):
        if packets[at + 3] & 0x10:
            counts[(packets[at + 1] & 0x1F) << 8 | packets[at + 2]] += 1
    return counts


def frame_starts(packets: bytes, pid: int) -> list[tuple[int, int]]:
    """(offset, decode time in ticks) of each packet that starts a frame (a PES packet) on `pid`."""
    starts = []
    for at in range(0, len(packets), PACKET):
        unit_start = packets[at + 1] & 0x40 and (packets[at + 1] & 0x1F) << 8 | packets[at + 2] == pid
        if not unit_start:
            continue
        payload = at + 4 + (1 + packets[at + 4] if packets[at + 3] & 0x20 else 0)
        starts.append((at, pts(packets, payload + (14 if packets[payload + 7] & 0x40 else 9))))
    return starts


def pts(packets: bytes | bytearray, at: int) -> int:
    """The 33-bit timestamp in the five bytes at `at`."""
    return (
        (packets[at] >> 1 & 0x07) << 30
        | packets[at + 1] << 22
        | (packets[at + 2] >> 1) << 15
        | packets[at + 3] << 7
        | packets[at + 4] >> 1
    )


def _move_pts(out: bytearray, at: int, ticks: int) -> None:
    value = (pts(out, at) + ticks) % WRAP_TICKS
    out[at] = out[at] & 0xF0 | (value >> 30) << 1 | 1
    out[at + 1] = value >> 22 & 0xFF
    out[at + 2] = (value >> 15 & 0x7F) << 1 | 1
    out[at + 3] = value >> 7 & 0xFF
    out[at + 4] = (value & 0x7F) << 1 | 1


def _move_pcr(out: bytearray, at: int, ticks: int) -> None:
    # 33 bits of 90 kHz base, 6 reserved bits, 9 bits of 27 MHz extension: only the base moves.
    field = int.from_bytes(out[at : at + 6], "big")
    base = ((field >> 15) + ticks) % WRAP_TICKS
    out[at : at + 6] = (base << 15 | field & 0x7FFF).to_bytes(6, "big")
