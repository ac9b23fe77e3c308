"""Supervised task group: runs an owner's background tasks; none fails unseen, and all have ended when the group is closed.

A task is started either once (`start`, `start_unless_running`), or is kept running until the group is closed (`keep_running`):
then whatever ends it, an error or a return, is logged, and it is started again after an exponential backoff.

Why not `asyncio.TaskGroup`: there one failure cancels all the others, and here one session's failure must not cost another
session its supervision.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from types import TracebackType
from typing import Any, Final, NamedTuple, Self, TypeVar

from orchestrator.errors import Temporary

log = logging.getLogger(__name__)
T = TypeVar("T")

CLOSE_LIMIT_S: Final = 10.0
_MAX_DOUBLINGS: Final = 32  # a float's exponent ends somewhere, and a process may run for years


class RestartDelay(NamedTuple):
    """Exponential backoff: doubles from `first_s` up to `longest_s`. A task that has run for at least `longest_s` since it was
    last started begins again with `first_s`."""

    first_s: float = 1.0
    longest_s: float = 30.0


DEFAULT_DELAY: Final = RestartDelay()


class TaskGroup:
    """Use as an async context manager, or call `close`. In a closed group nothing runs: what is started there is cancelled
    before its first step."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._singles: dict[str, asyncio.Task[Any]] = {}
        self._closed = False

    @property
    def closed(self) -> bool:
        return self._closed

    def start(self, work: Coroutine[Any, Any, T], name: str, *, awaited: bool = False) -> asyncio.Task[T]:
        """Runs it once. What it raises is logged, unless it is `awaited`: then the code that awaits the task handles it."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(partial(self._ended, awaited))
        if self._closed:
            task.cancel()
        return task

    def start_unless_running(self, work: Callable[[], Coroutine[Any, Any, T]], name: str) -> asyncio.Task[T]:
        """Single-flight: while the task of this name runs, that one is returned."""
        running = self._singles.get(name)
        if running is None or running.done():
            running = self._singles[name] = self.start(work(), name)
        return running

    def keep_running(
        self,
        work: Callable[[], Awaitable[None]],
        name: str,
        *,
        until_it_returns: bool = False,
        delay: RestartDelay = DEFAULT_DELAY,
    ) -> asyncio.Task[None]:
        """Runs it again and again until the group is closed. `until_it_returns`: only until it has once ended without an
        error. Of an outage (`Temporary`) that lasts, only the first error in a row is logged as a warning."""
        return self.start(self._keep_running(work, name, until_it_returns, delay), name)

    async def close(self, limit_s: float = CLOSE_LIMIT_S) -> None:
        """Cancels every task and waits until all have ended, but no longer than the limit; what is left then is logged."""
        self._closed = True
        for task in self._tasks:
            task.cancel()
        try:
            async with asyncio.timeout(limit_s):
                while self._tasks:  # also what they start while they end
                    await asyncio.wait(self._tasks)
        except TimeoutError:
            names = ", ".join(sorted(task.get_name() for task in self._tasks))
            log.error("background tasks have not ended within %g s of being cancelled: %s", limit_s, names)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        await self.close()

    async def _keep_running(
        self, work: Callable[[], Awaitable[None]], name: str, until_it_returns: bool, delay: RestartDelay
    ) -> None:
        now = asyncio.get_running_loop().time
        failures = 0  # in a row
        while True:
            started_at = now()
            try:
                await work()
            except asyncio.CancelledError:
                if _is_cancelled():
                    raise
                log.error("%s: something that it waited for was cancelled", name)
            except Temporary as error:
                log.log(logging.DEBUG if failures else logging.WARNING, "%s: %s", name, error)
            except Exception:
                log.exception("%s", name)
            else:
                if until_it_returns:
                    return
                log.error("%s has ended, though it is meant to run until the process stops", name)
            if now() - started_at >= delay.longest_s:
                failures = 0
            await asyncio.sleep(min(delay.first_s * 2.0 ** min(failures, _MAX_DOUBLINGS), delay.longest_s))
            failures += 1

    def _ended(self, awaited: bool, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if self._singles.get(task.get_name()) is task:
            del self._singles[task.get_name()]
        error = None if task.cancelled() else task.exception()
        if error is not None and not awaited:
            log.error("%s failed", task.get_name(), exc_info=error)


def _is_cancelled() -> bool:
    """Whether the current task itself is to end; else the error came out of something that it awaited."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0
