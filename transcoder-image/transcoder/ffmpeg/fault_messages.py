"""Reads from FFmpeg's messages what went wrong with the source, and what a new start should do differently.

Rule: FFmpeg's messages are the only witness of a source's answer, so each fault keeps the line that it was read from. FFmpeg's
exit code says next to nothing: it is 0 after an HLS source has answered 404.
"""

import re
from typing import NamedTuple

from transcoder.ending import Ending
from transcoder.source.redaction import without_servers_words

# The server refuses: asking again will not help.
_REFUSED = re.compile(r"HTTP error 4\d\d|Server returned 4|StreamNotFound|method \w+ failed: 4\d\d")
# There is no answer, or not a whole one.
_UNREACHABLE = re.compile(
    r"HTTP error 5\d\d|Server returned 5|Connection refused|Connection reset|[Tt]imed out|[Nn]o route to host"
    r"|[Nn]etwork (is )?unreachable|[Hh]ost (is )?unreachable|Failed to resolve|Error reading HTTP response"
    r"|Stream ends prematurely|[Tt]he TLS connection|TLS handshake|certificate|Connection to \S+ failed|Broken pipe"
    r"|method \w+ failed: 5\d\d|Error opening input: End of file|Cannot open connection"
)
# Something comes, but no media.
_UNDECODABLE = re.compile(
    r"Invalid data found|Error when loading first segment|does not contain any stream|moov atom not found"
    r"|changing packet size|matches no streams|not allowed|Not yet implemented|need zlib"
    r"|bitstream error, startcode missing"  # the data are no picture; repeated for each frame, so it is noise, too
)
# Waiting longer does not help: FFmpeg does not have the protocol or the decoder, its decoder has given up, or MPEG-TS cannot
# contain the codec.
_NO_DECODER = re.compile(
    r"doesn't support hardware accelerated (\w+) decoding|no decoder found for: (\w+)|Decoder \(codec (\w+)\) not found"
)
_DECODER_ENDED = re.compile(r"\[dec:(\w+)[^]]*\] Task finished with error")
_NO_PROTOCOL = re.compile(r"Protocol not found")
_NO_HEADER = re.compile(r"Could not write header|not currently supported in container|Could not find tag for codec")
# The picture's size is in its first keyframe, which has not come in the time that FFmpeg was given.
_NO_SIZE = re.compile(r"dimensions not set")
# An HLS source whose address, type or segments do not have the names that FFmpeg expects.
ODDLY_NAMED_HLS = re.compile(r"Not detecting m3u8/hls|not in allowed_(segment_)?extensions|blocked for security reasons")
# Messages without a cause of their own: the lines before them may have it.
_LOST_PLAYLIST = re.compile(r"Failed to reload playlist")
_LOST_SEGMENT = re.compile(r"Failed to open segment|failed too many times, skipping")
# The server has closed a body of unknown length, which is a regular end (2^64-1 is FFmpeg's "unknown").
_CLOSED = re.compile(r"Stream ends prematurely at \d+, should be 18446744073709551615")
_UNKNOWN_OPTION = re.compile(r"Unrecognized option '(\w+)'|Option (\w+) not found")
# The server's status, in the words of HTTP and RTSP.
_STATUS = re.compile(r"(?:HTTP error|Server returned|method \w+ failed:) (\d{3})\b")
_WHATEVER = re.compile(r"I/O error|Input/output error")

_NEW_SOUND = re.compile(r"New audio stream")

_NEVER = float("inf")
_HELD_BACK_S = 0.5  # of media that FFmpeg's muxer may hold, waiting for the other stream
_MOST_FAULTS = 32  # that are kept

# Which of several faults says most: a server's answer more than a broken connection, that more than odd bytes.
_WEIGHT = (Ending.SOURCE_REFUSED, Ending.SOURCE_UNREACHABLE, Ending.SOURCE_UNDECODABLE)


class SourceFault(NamedTuple):
    """One thing that went wrong with the source: the ending that it would explain, and FFmpeg's line, with no word of a
    server's."""

    ending: Ending
    line: str


class FaultMessages:
    """What FFmpeg has reported of faults so far. Faults count from when media last came: media that come end them."""

    def __init__(self) -> None:
        self.closed = False  # the server ended the body
        self.playlists_lost = 0  # reloads of an HLS playlist that failed since media came
        self.segments_lost = 0  # segments given up since media came
        self.sound_has_begun = False  # an audio stream that the source did not announce when it was described
        self.unknown_option: str | None = None  # this FFmpeg does not know it
        self.unplayable: str | None = None  # why it can never be sent, whatever else comes
        self.is_sizeless = False  # the picture's size was not known in time
        self.is_oddly_named_hls = False  # FFmpeg did not take it for HLS, or refused its segments
        self.status: int | None = None  # the newest one that the server refused with since media came
        self._faults: list[SourceFault] = []
        self._newest_s = 0.0
        self._faulty_until_s = _NEVER

    @property
    def fault(self) -> SourceFault | None:
        """The weightiest fault since media last came, the latest of several; None where there was none."""
        return min(reversed(self._faults), key=lambda fault: _WEIGHT.index(fault.ending), default=None)

    def media_came(self, newest_s: float) -> None:
        """Media up to `newest_s` have come: faults before them are over, unless these are only what FFmpeg had held back."""
        self._newest_s = newest_s
        if newest_s > self._faulty_until_s:
            self._faults.clear()
            self.status = None
            self.playlists_lost = self.segments_lost = 0
            self._faulty_until_s = _NEVER

    def take(self, text: str) -> None:
        """Takes one line, without its level."""
        if unknown := _UNKNOWN_OPTION.search(text):
            self.unknown_option = "-" + (unknown[1] or unknown[2])
        elif ODDLY_NAMED_HLS.search(text):
            self.is_oddly_named_hls = True
        elif _NO_SIZE.search(text):
            self.is_sizeless = True
        elif lacking := _NO_DECODER.search(text):
            self.unplayable = f"this FFmpeg cannot decode {(lacking[1] or lacking[2] or lacking[3]).upper()}"
        elif ended := _DECODER_ENDED.search(text):
            self.unplayable = self.unplayable or f"FFmpeg cannot decode this {ended[1].upper()}"
        elif _NO_PROTOCOL.search(text):
            self.unplayable = "this FFmpeg does not speak the source's protocol"
        elif _NO_HEADER.search(text):
            self.unplayable = self.unplayable or f"it cannot be put into MPEG-TS; {text}"
        elif _NEW_SOUND.search(text):
            self.sound_has_begun = True
            return
        elif _CLOSED.search(text):
            self.closed = True
        elif _REFUSED.search(text):
            status = _STATUS.search(text)
            self.status = int(status[1]) if status else self.status
            self._faults.append(SourceFault(Ending.SOURCE_REFUSED, without_servers_words(text)))
        elif _UNREACHABLE.search(text):
            self._faults.append(SourceFault(Ending.SOURCE_UNREACHABLE, without_servers_words(text)))
        elif _UNDECODABLE.search(text):
            self._faults.append(SourceFault(Ending.SOURCE_UNDECODABLE, without_servers_words(text)))
        elif _LOST_PLAYLIST.search(text):
            self.playlists_lost += 1
            if not self._faults:  # the server has answered, so the answer was no playlist
                self._faults.append(SourceFault(Ending.SOURCE_UNDECODABLE, without_servers_words(text)))
        elif _LOST_SEGMENT.search(text):
            self.segments_lost += "skipping" in text
        elif _WHATEVER.search(text) and not self._faults and not self.closed:
            self._faults.append(SourceFault(Ending.SOURCE_UNREACHABLE, without_servers_words(text)))
        else:
            return
        del self._faults[:-_MOST_FAULTS]
        if self._faulty_until_s == _NEVER:
            self._faulty_until_s = self._newest_s + _HELD_BACK_S
