"""Whether attempts may be granted inputs, to go on with another source by themselves: setting, image and store must allow it.

Rule: no orders are written before nobody can read them. Before the first ones and each hour a canary under the private prefixes
is written and read without a signature (`ObjectStore.examine_private`); where it can be read, or cannot be written, no attempt
is granted anything. What does not answer changes nothing (law 3); as long as nothing is known, nothing is granted.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

from orchestrator.errors import EngineUnavailable, ImageMissing, StoreUnavailable
from orchestrator.ports import ContainerRuntime, ObjectStore

log = logging.getLogger(__name__)

ORDERS_CONTRACT: Final = 2  # the first that has orders and reports
LOOK_S: Final = 5.0  # between looks at the image
_PRIVATE_S = 3600.0  # between canaries
_AGAIN_S = 60.0  # after one that has found something


class InputSwitches:
    """`wanted`: the setting. Where it is off, nothing is asked."""

    def __init__(
        self, wanted: bool, runtime: ContainerRuntime, store: ObjectStore, now: Callable[[], float] = time.time
    ) -> None:
        self._wanted = wanted
        self._runtime = runtime
        self._store = store
        self._now = now
        self._understood = False  # by the image's agent
        self._private: bool | None = None  # None: never examined
        self._examine_at = 0.0

    @property
    def allowed(self) -> bool:
        """As was last known; asks nobody."""
        return self._wanted and self._understood and self._private is True

    async def look(self) -> None:
        """Asks the engine for the image, and the store where it is time to. What does not answer raises nothing."""
        if not self._wanted:
            return
        try:
            await self.understood()
        except (EngineUnavailable, ImageMissing) as error:
            log.debug("input switches: %s", error)
        if self._now() >= self._examine_at:
            await self._examine()

    async def understood(self) -> bool:
        """Whether the agent that would be started now understands orders. Raises EngineUnavailable, ImageMissing."""
        understood = await self._runtime.contract() >= ORDERS_CONTRACT
        if understood is not self._understood:
            log.info("input switches: the transcoder image %s orders", "understands" if understood else "does not understand")
        self._understood = understood
        return understood

    async def _examine(self) -> None:
        try:
            found = await self._store.examine_private()
        except StoreUnavailable as error:
            log.debug("input switches: %s", error)
            return
        if found.is_private and self._private is not True:
            log.info("input switches: orders and reports are private in the store")
        elif not found.is_private and self._private is not False:
            log.error("input switches are off: %s. `failover doctor` names the rule that is missing", found.words)
        self._private = found.is_private
        self._examine_at = self._now() + (_PRIVATE_S if found.is_private else _AGAIN_S)
