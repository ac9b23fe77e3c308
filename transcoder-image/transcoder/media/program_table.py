"""The PAT or the PMT of a transport stream as it comes in: the newest complete section, and the packets that it came in.

A segment must begin with both tables (RFC 8216, 3.2). Their packets are put in front of it once more, with continuity counters
of their own, so that all segments one after the other are one valid transport stream.
"""

from transcoder.media.transport_stream import STARTS, payload_of, section_bytes, section_in


class ProgramTable:
    """One table: `section` is the newest complete one, `packets` are those that it came in; both empty before there is one."""

    def __init__(self) -> None:
        self.packets: list[bytes] = []
        self.section = b""
        self._partial: list[bytes] = []
        self._gathered = b""
        self._counter = 15

    def take(self, packet: bytes) -> bool:
        """Takes the next packet; True where it completes a section that differs from the one before."""
        content = payload_of(packet)
        if packet[1] & STARTS:
            self._partial, self._gathered = [packet], section_in(content)
        elif self._partial:
            self._partial, self._gathered = [*self._partial, packet], self._gathered + content
        length = section_bytes(self._gathered)
        if not self._partial or len(self._gathered) < length:
            return False
        before, self.section, self.packets = self.section, self._gathered[:length], self._partial
        self._partial = []
        return self.section != before

    def count(self) -> int:
        """The continuity counter of the next packet that is written."""
        self._counter = (self._counter + 1) & 15
        return self._counter
