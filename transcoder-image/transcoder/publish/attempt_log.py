"""The log of one attempt: on standard error as it happens, and in memory for the upload (log_upload.py).

Rules: no line has more of a source's address than its host, whatever text it quotes (source/redaction.py). Memory is bounded.
"""

import sys
import time
from collections import deque

from transcoder.source.redaction import Redaction, without_servers_words

_LIMIT_BYTES = 1 << 20
_BURST_LINES = 40  # FFmpeg's lines in one window of time; what it repeats beyond that is counted only
_WINDOW_S = 10.0


class AttemptLog:
    """Timestamped lines; the first and the newest ones are kept when there are too many."""

    def __init__(self, limit_bytes: int = _LIMIT_BYTES, redaction: Redaction | None = None) -> None:
        self.redaction = redaction or Redaction()
        self._head: list[str] = []
        self._tail: deque[str] = deque()
        self._head_left = limit_bytes // 4
        self._tail_left = limit_bytes - self._head_left
        self._lost = 0
        self.news = 0  # how many lines have come that are worth an upload of their own
        self._window_at = 0.0
        self._in_window = 0

    def __call__(self, text: str, *, news: bool = True) -> None:
        """Writes one line; `news`: it says more than that all is well."""
        self.news += news
        line = f"{_timestamp(time.time())} {self.redaction(text)}\n"
        try:
            sys.stderr.write(line)
            sys.stderr.flush()
        except OSError:  # nobody reads standard error any more; the upload has the line
            pass
        size = len(line.encode())
        if self._head_left >= size and not self._tail:
            self._head.append(line)
            self._head_left -= size
            return
        self._tail.append(line)
        self._tail_left -= size
        while self._tail_left < 0 and self._tail:
            self._tail_left += len(self._tail.popleft().encode())
            self._lost += 1

    def ffmpeg(self, line: str) -> None:
        """Writes a line of FFmpeg's, unless it has said too much lately."""
        now_s = time.monotonic()
        if now_s - self._window_at > _WINDOW_S:
            if self._in_window > _BURST_LINES:
                self(f"ffmpeg: {self._in_window - _BURST_LINES} more lines")
            self._window_at, self._in_window = now_s, 0
        self._in_window += 1
        if self._in_window <= _BURST_LINES:
            self(f"ffmpeg: {without_servers_words(line)[:2000]}")

    def document(self) -> bytes:
        """Everything that was kept, for the upload."""
        gap = [f"... {self._lost} lines left out ...\n"] if self._lost else []
        return "".join([*self._head, *gap, *self._tail]).encode()


def _timestamp(unix_s: float) -> str:
    milliseconds = int(unix_s * 1000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(milliseconds // 1000)) + f".{milliseconds % 1000:03d}Z"
