"""Removes the audio from MPEG-TS packets, or sends it on the PID of the video, as encoders do in the middle of a programme.

ISO/IEC 13818-1: the program map section (2.4.4.8), its CRC (Annex A). The PIDs are those of FFmpeg's muxer.
"""

from __future__ import annotations

from collections.abc import Callable

from lab.media.mpegts import PACKET

_PMT_PID, _VIDEO_PID, _AUDIO_PID = 0x1000, 0x100, 0x101


def without_audio(packets: bytes) -> bytes:
    """Without audio packets; the program map still announces them."""
    return b"".join(packet for packet in _each(packets) if _pid(packet) != _AUDIO_PID)


def without_announced_audio(packets: bytes) -> bytes:
    """Without audio packets, and with a program map that does not announce them."""
    return _mapped(without_audio(packets), lambda streams: [each for each in streams if _stream_pid(each) != _AUDIO_PID])


def audio_in_place_of_video(packets: bytes) -> bytes:
    """Without video packets; audio is sent on the PID of the video, as the program map says."""
    heard = bytearray()
    for packet in _each(packets):
        if _pid(packet) == _AUDIO_PID:
            heard += bytes((packet[0], packet[1] & 0xE0 | _VIDEO_PID >> 8, _VIDEO_PID & 255)) + packet[3:]
        elif _pid(packet) != _VIDEO_PID:
            heard += packet

    def moved(streams: list[bytes]) -> list[bytes]:
        audio = next(each for each in streams if _stream_pid(each) == _AUDIO_PID)
        return [audio[:1] + bytes((audio[1] & 0xE0 | _VIDEO_PID >> 8, _VIDEO_PID & 255)) + audio[3:]]

    return _mapped(bytes(heard), moved)


def _each(packets: bytes) -> list[bytes]:
    return [packets[at : at + PACKET] for at in range(0, len(packets), PACKET)]


def _pid(packet: bytes) -> int:
    return (packet[1] & 0x1F) << 8 | packet[2]


def _stream_pid(stream: bytes) -> int:
    return (stream[1] & 0x1F) << 8 | stream[2]


def _mapped(packets: bytes, changed: Callable[[list[bytes]], list[bytes]]) -> bytes:
    """The packets with changed streams in each program map, whose version number is increased."""
    return b"".join(_remapped(each, changed) if _pid(each) == _PMT_PID else each for each in _each(packets))


def _remapped(packet: bytes, changed: Callable[[list[bytes]], list[bytes]]) -> bytes:
    header, section = packet[:5], packet[5:]  # the section fits into one packet and follows the pointer field
    length = (section[1] & 0x0F) << 8 | section[2]
    first = 12 + ((section[10] & 0x0F) << 8 | section[11])
    streams, at = [], first
    while at < 3 + length - 4:
        end = at + 5 + ((section[at + 3] & 0x0F) << 8 | section[at + 4])
        streams.append(section[at:end])
        at = end
    body = section[:first] + b"".join(changed(streams))
    length = len(body) - 3 + 4
    version = (section[5] >> 1 & 0x1F) + 1 & 0x1F
    body = bytes((body[0], body[1] & 0xF0 | length >> 8, length & 255, *body[3:5], body[5] & 0xC1 | version << 1)) + body[6:]
    return (header + body + _crc(body)).ljust(PACKET, b"\xff")


def _crc(section: bytes) -> bytes:
    crc = 0xFFFFFFFF
    for byte in section:
        crc ^= byte << 24
        for _ in range(8):
            crc = crc << 1 ^ (0x04C11DB7 if crc & 0x80000000 else 0)
            crc &= 0xFFFFFFFF
    return crc.to_bytes(4, "big")
