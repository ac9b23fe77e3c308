"""Uploads the attempt's log: from time to time while it runs, and at its end.

Rules: media never wait for the log. One thread sends the documents one after the other, so the last one wins. A log without
news is not sent again.
"""

from queue import SimpleQueue
from threading import Thread

from transcoder.job import Job
from transcoder.publish.attempt_log import AttemptLog
from transcoder.publish.store import Store
from transcoder.publish.store_requests import Stored

_FIRST_S = 2.0  # the first moments of an attempt belong to its media
_EVERY_S = 10.0
_UPLOAD_S = 0.5


class LogUpload:
    """Has no thread before there is something to send."""

    def __init__(self, job: Job, log: AttemptLog, now_s: float) -> None:
        self._job = job
        self._log = log
        self._next_s = now_s + _FIRST_S
        self._stored = 0  # how much of the log is in the store; only the thread writes this
        self._documents: SimpleQueue[tuple[bytes, int] | None] = SimpleQueue()
        self._thread: Thread | None = None

    def look(self, now_s: float) -> None:
        """Sends the log if it has news and its time has come. Never blocks, and tries again where the store did not take it."""
        if now_s >= self._next_s and self._log.news != self._stored and self._documents.empty():
            self._next_s = now_s + _EVERY_S
            self._send()

    def finish(self) -> None:
        """Sends the whole of it, behind what is under way; gives up on a store that does not answer."""
        self._send()
        self._documents.put(None)
        if self._thread is not None:
            self._thread.join(2 * _UPLOAD_S)

    def _send(self) -> None:
        self._documents.put((self._log.document(), self._log.news))
        if self._thread is None:
            self._thread = Thread(target=self._carry, name="log-upload", daemon=True)
            self._thread.start()

    def _carry(self) -> None:
        store = Store(self._job)
        while (each := self._documents.get()) is not None:
            document, news = each
            if isinstance(store.put_log(document, _UPLOAD_S), Stored):
                self._stored = news
        store.close()
