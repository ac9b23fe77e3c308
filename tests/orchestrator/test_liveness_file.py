"""The file by which a container's health is told."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from orchestrator.app import liveness_file
from tests.support import eventually


async def test_the_file_is_touched_for_as_long_as_the_loop_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liveness_file, "TOUCH_INTERVAL_S", 0.01)
    file = tmp_path / "healthy"
    async with liveness_file.keep_touched(str(file)):
        await eventually(file.exists)
        assert liveness_file.TASK in {task.get_name() for task in asyncio.all_tasks()}
        os.utime(file, (0, 0))
        await eventually(lambda: file.stat().st_mtime > 0, what="it is touched again")
    assert {task.get_name() for task in asyncio.all_tasks()}.isdisjoint({liveness_file.TASK})


async def test_a_disk_that_was_full_does_not_end_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liveness_file, "TOUCH_INTERVAL_S", 0.01)
    directory = tmp_path / "later"
    async with liveness_file.keep_touched(str(directory / "healthy")):
        await asyncio.sleep(0.03)
        directory.mkdir()
        await eventually((directory / "healthy").exists)


async def test_without_a_file_nothing_runs() -> None:
    async with liveness_file.keep_touched(None):
        assert liveness_file.TASK not in {task.get_name() for task in asyncio.all_tasks()}
