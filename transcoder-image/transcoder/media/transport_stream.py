"""The syntax of MPEG-TS, as far as the agent reads it (ISO/IEC 13818-1): packets (2.4.3.2), PES packets (2.4.3.6), tables
(2.4.4).

Functions on bytes, without state. Whatever the bytes are, they raise nothing: what is too short has no value.
"""

from collections.abc import Iterator

PACKET_BYTES = 188
SYNC = 0x47  # the first byte of each packet
STARTS = 0x40  # payload_unit_start_indicator: stands in the second byte, above the upper five bits of the PID

HZ = 90_000  # of timestamps
WRAP = 1 << 33  # where timestamps begin anew


def payload_of(packet: bytes) -> bytes:
    """What follows a packet's header and adaptation field; empty where it has only those."""
    control = packet[3] & 0x30  # adaptation_field_control
    if not control & 0x10:
        return b""
    return packet[5 + packet[4] :] if control & 0x20 else packet[4:]


def is_random_access(packet: bytes) -> bool:
    """Whether the packet says that decoding can begin with it (random_access_indicator)."""
    return bool(packet[3] & 0x20 and packet[4] and packet[5] & 0x40)


def pid_at(data: bytes | bytearray, at: int) -> int:
    """The PID in the two bytes at `at`."""
    return (data[at] & 0x1F) << 8 | data[at + 1]


def packets_with(headers: bytearray, header: bytes) -> Iterator[int]:
    """The numbers of the packets that have this header, found at C speed. `headers`: of each packet its second and third byte,
    which hold the PID and whether something starts in it."""
    at = headers.find(header)
    while at >= 0:
        if at % 2:  # across two headers
            at = headers.find(header, at + 1)
        else:
            yield at // 2
            at = headers.find(header, at + 2)


def decode_time(pes: bytes) -> int | None:
    """The DTS of a PES packet, else its PTS, in units of 1/90,000 s; None where it has neither."""
    if len(pes) < 19 or pes[:3] != b"\0\0\1" or not pes[7] & 0x80:
        return None
    b = pes[14:19] if pes[7] & 0x40 else pes[9:14]
    return (b[0] >> 1 & 7) << 30 | b[1] << 22 | b[2] >> 1 << 15 | b[3] << 7 | b[4] >> 1


def elementary_bytes(pes: bytes) -> bytes:
    """What follows the header of a PES packet; empty where that is not a whole header."""
    return pes[9 + pes[8] :] if len(pes) > 9 and pes[:3] == b"\0\0\1" else b""


def step(before: int, after: int) -> int:
    """The way from one timestamp to another, across the wrap where that is shorter; negative: back."""
    return (after - before + WRAP // 2) % WRAP - WRAP // 2


def section_in(payload: bytes) -> bytes:
    """The beginning of the section that a packet's payload starts with, behind its pointer field."""
    return payload[1 + payload[0] :] if payload else b""


def section_bytes(section: bytes) -> int:
    """How long the section is that begins so; 3 where that cannot be told yet."""
    return 3 + ((section[1] & 0x0F) << 8 | section[2]) if len(section) >= 3 else 3


def program_pid(pat: bytes) -> int | None:
    """The PID of the first program's table (PMT), by the PAT; None where it names none. The CRC ends the section."""
    return next((pid_at(pat, n + 2) for n in range(8, len(pat) - 7, 4) if pat[n : n + 2] != b"\0\0"), None)


def elementary_streams(pmt: bytes) -> list[tuple[int, int]]:
    """(stream type, PID) of each elementary stream, by the PMT."""
    found = []
    at = 12 + ((pmt[10] & 0x0F) << 8 | pmt[11]) if len(pmt) >= 12 else len(pmt)
    while at + 5 <= len(pmt) - 4:
        found.append((pmt[at], pid_at(pmt, at + 1)))
        at += 5 + ((pmt[at + 3] & 0x0F) << 8 | pmt[at + 4])
    return found
