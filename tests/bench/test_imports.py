"""The import's row does not rot."""

from __future__ import annotations

import pytest

from bench.playlist_imports import measure


@pytest.mark.slow
async def test_imports() -> None:
    first, again, memory = await measure(1, entries=20)
    assert (len(first.values), len(again.values), len(memory.values)) == (1, 1, 2)
    assert memory.met
