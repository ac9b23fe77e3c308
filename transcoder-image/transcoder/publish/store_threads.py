"""Threads that make the publisher's requests to the store and return the answers.

Rule: the loop that owns the publisher never blocks on the store, and no thread outlives the process.
"""

import os
from queue import Empty, SimpleQueue
from threading import Thread

from transcoder.job import Job
from transcoder.publish.store import Store
from transcoder.publish.store_requests import Reply, Request

_THREADS = 4  # two segments on their way, a playlist beside them, and a correction that neither may wait for


class StoreThreads:
    """Takes requests and returns answers; a byte is written to `wake_fd` for each answer."""

    def __init__(self, job: Job, wake_fd: int) -> None:
        self._job = job
        self._wake_fd = wake_fd
        self._requests: SimpleQueue[Request | None] = SimpleQueue()
        self._replies: SimpleQueue[tuple[Request, Reply]] = SimpleQueue()
        self._threads = [Thread(target=self._carry, name=f"store-{n}", daemon=True) for n in range(_THREADS)]
        for thread in self._threads:
            thread.start()

    def carry(self, request: Request) -> None:
        """Has the next free thread make the request."""
        self._requests.put(request)

    def replies(self) -> list[tuple[Request, Reply]]:
        """The answers that have come since the last call."""
        replies = []
        while True:
            try:
                replies.append(self._replies.get_nowait())
            except Empty:
                return replies

    def close(self, timeout_s: float) -> None:
        """Ends the threads; one that waits for the store longer than `timeout_s` dies with the process."""
        for _ in self._threads:
            self._requests.put(None)
        for thread in self._threads:
            thread.join(timeout_s / _THREADS)

    def _carry(self) -> None:
        store = Store(self._job)
        while (request := self._requests.get()) is not None:
            self._replies.put((request, store.execute(request)))
            os.write(self._wake_fd, b"\0")
        store.close()
