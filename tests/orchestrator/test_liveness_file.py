"""The file by which a container's health is told."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from orchestrator.app import liveness_file
from tests.support import eventually


async def test_the_file_is_touched_for_as_long_as_the_loop_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liveness_file, "BEAT_S", 0.01)
    file = tmp_path / "healthy"
    async with liveness_file.pulse(str(file)):
        await eventually(file.exists)
        os.utime(file, (0, 0))
        await eventually(lambda: file.stat().st_mtime > 0, what="another beat")
    assert {task.get_name() for task in asyncio.all_tasks()}.isdisjoint({"pulse"})


async def test_a_disk_that_was_full_ends_no_beat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liveness_file, "BEAT_S", 0.01)
    room = tmp_path / "later"
    async with liveness_file.pulse(str(room / "healthy")):
        await asyncio.sleep(0.03)
        room.mkdir()
        await eventually((room / "healthy").exists)


async def test_without_a_file_nothing_beats() -> None:
    async with liveness_file.pulse(None):
        assert "pulse" not in {task.get_name() for task in asyncio.all_tasks()}
