"""The row of requests can be taken: real API processes and databases, the fake engine. What it says is not judged here."""

from __future__ import annotations

import pytest

from bench.requests import measure


@pytest.mark.stack
@pytest.mark.timeout(180)
async def test_requests() -> None:
    for row in await measure(rate_hz=5.0, seconds=2.0):
        assert len(row.values) == 10
        assert row.remark.startswith("0 errors; 10 of 10 live"), row.remark
