"""In-memory cache and timer of one supervised session. All of it can be lost: it is observed again."""

from __future__ import annotations

import asyncio

from orchestrator.core.model import Observation, Session


class SessionWork:
    """`session` and `observation` are what was last known; None: nothing is."""

    __slots__ = ("asked_at", "doubtful", "observation", "outdated", "pending", "session", "task", "timer")

    def __init__(self) -> None:
        self.session: Session | None = None
        self.observation: Observation | None = None
        self.asked_at: float | None = None  # when this process first observed the session; unix seconds
        self.pending = False  # it has been woken since the last step
        self.outdated = True  # its rows may have changed since they were read
        self.doubtful = False  # a timer would act on what is known: read the playlist first
        self.task: asyncio.Task[None] | None = None
        self.timer: asyncio.TimerHandle | None = None

    @property
    def is_under_way(self) -> bool:
        return self.task is not None and not self.task.done()

    def cancel_timer(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
