"""A file whose age says whether a process's loop runs. It says nothing of any server: one that is down must not make an
orchestrator look ill that is only waiting for it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

MISSED_S: Final = 15.0


class Pulse:
    def __init__(self, path: Path) -> None:
        self._path = path

    async def beat(self) -> None:
        self._path.touch()

    def is_felt(self) -> bool:
        try:
            return time.time() - self._path.stat().st_mtime < MISSED_S
        except FileNotFoundError:
            return False
