"""Posts an attempt's reports to the store, on a thread of its own.

Rule: segments and playlists never wait for a report, and neither does the loop. A post ends by a time-out, and no thread
outlives the process.
"""

from queue import Empty, SimpleQueue
from threading import Thread

from transcoder.job import Job
from transcoder.publish.reports import Reports
from transcoder.publish.store import Store
from transcoder.publish.store_requests import Stored
from transcoder.report import Happening, render

_POST_S = 3.0
_LAST_S = 0.5  # how long the end of an attempt waits for its last report


class ReportLane:
    """Takes what has happened; has no thread before there is something to send."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._reports = Reports()
        self._documents: SimpleQueue[tuple[int, bytes] | None] = SimpleQueue()
        self._answers: SimpleQueue[bool] = SimpleQueue()
        self._thread: Thread | None = None

    def tell(self, happening: Happening, now_s: float) -> None:
        """Something has happened now."""
        self._reports.tell(happening, now_s)

    def look(self, now_s: float, *, last: bool = False) -> None:
        """Takes the answers that have come, and sends the next report. Never blocks."""
        try:
            self._reports.sent(self._answers.get_nowait(), now_s)
        except Empty:
            pass
        if (report := self._reports.next(now_s, last=last)) is not None:
            self._documents.put((report.n, render(report)))
            if self._thread is None:
                self._thread = Thread(target=self._carry, name="reports", daemon=True)
                self._thread.start()

    def finish(self, now_s: float) -> None:
        """Sends what waits, and gives up on a store that does not answer soon."""
        self.look(now_s, last=True)
        self._documents.put(None)
        if self._thread is not None:
            self._thread.join(_LAST_S)

    def _carry(self) -> None:
        store = Store(self._job)
        while (each := self._documents.get()) is not None:
            self._answers.put(isinstance(store.post_report(*each, _POST_S), Stored))
        store.close()
