"""A provider's limit on real parts: real sources count who is connected to them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from lab import Lab
from tests.e2e.stage import Stage
from tests.support import eventually

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]


async def test_the_second_viewer_of_a_provider_with_one_connection_is_served_from_another_source(
    stage: Stage, lab: Lab
) -> None:
    """Two channels of one provider. When the first viewer leaves, the connection is the second one's to have."""
    provider = await stage.client.call("POST", "/v1/providers", {"name": "Acme TV", "max_connections": 1})
    of_acme = {"provider_id": provider["id"]}
    most = 0

    async def count() -> None:
        nonlocal most
        while True:  # one endless MPEG-TS is one connection
            most = max(most, lab.open_connections("a") + lab.open_connections("b"))
            await asyncio.sleep(0.01)

    async def channel(slug: str, *sources: Any) -> Any:
        return await stage.client.call("POST", "/v1/channels", {"slug": slug, "name": slug, "sources": sources})

    one = await channel("acme-one", {"url": lab["a"].ts_url, **of_acme})
    two = await channel("acme-two", {"url": lab["b"].ts_url, **of_acme}, {"url": lab["c"].ts_url})
    counting = asyncio.create_task(count())
    async with stage.watch(two) as second_alone:
        assert (await second_alone.view())["source_id"] == two["sources"][0]["id"], "as long as the connection is free"
    async with stage.watch(one) as first:
        await first.plays(2)
        async with stage.watch(two) as second:
            await second.plays(3)
            assert (await second.view())["source_id"] == two["sources"][1]["id"]
            reason = "requested; provider Acme TV: its only connection is in use"
            assert [row["start_reason"] for row in await second.rows()] == [reason]
            assert (await second.is_told("session.live"))["reason"] == reason
            (shown,) = await stage.client.call("GET", "/v1/providers")
            assert (shown["max_connections"], shown["connections_in_use"]) == (1, 1)
            passed_over = (await stage.sources(two))[0]
            assert (passed_over["failure_count"], passed_over["last_failure_reason"]) == (0, None)
            assert lab.open_connections("a") == 1
            await stage.stop(first.id)
            await second.switch(two["sources"][0]["id"])
            await second.plays_from(2)
            assert not second.told("stream.unavailable")
        assert first.viewer.faults == second.viewer.faults == []
    counting.cancel()
    await eventually(lambda: lab.open_connections("a") + lab.open_connections("b") == 0, what="the end of all connections")
    assert most == 1
