"""How many probes start at once: a semaphore for all, and a smaller one for each host.

A probe that has waited for its source for a second gives its slot to another one. From then on it costs memory but no CPU, so
sources that hang do not delay the others.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from weakref import WeakValueDictionary

_SLOT_S = 1.0


class ProbeSlots:
    """`count` slots for all probes; one host has half of them at most."""

    def __init__(self, count: int) -> None:
        self._all = asyncio.Semaphore(count)
        self._a_hosts_share = max(1, count // 2)
        self._hosts: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    @contextlib.asynccontextmanager
    async def one(self, host: str) -> AsyncIterator[None]:
        """Waits for a slot."""
        share = self._hosts.get(host)
        if share is None:
            share = self._hosts[host] = asyncio.Semaphore(self._a_hosts_share)
        await share.acquire()
        try:
            await self._all.acquire()
        except BaseException:
            share.release()
            raise
        kept = [share, self._all]

        def release() -> None:
            while kept:
                kept.pop().release()

        timer = asyncio.get_running_loop().call_later(_SLOT_S, release)
        try:
            yield
        finally:
            timer.cancel()
            release()
