"""`failover play` names sources by labels that a person recognises and that contain no credentials."""

from __future__ import annotations

import httpx
import pytest

from failover.api_client import ApiClient, refusal_in_words
from failover.commands.play import in_words
from orchestrator.errors import FailoverError

NAMES = {"x-1": "a.example/live.m3u8", "x-2": "b.example/live.ts"}


def test_an_event_names_sources_as_a_person_knows_them() -> None:
    switch = {"from": "x-1", "to": "x-2", "reason": "source stalled", "attempt": 2, "gap_ms": 0}
    words = "from=a.example/live.m3u8  to=b.example/live.ts  reason=source stalled  attempt=2  gap_ms=0"
    assert in_words(switch, NAMES) == words
    unavailable = {"sources": {"x-1": "404 Not Found", "x-3": "refused"}}
    assert in_words(unavailable, NAMES) == "sources=a.example/live.m3u8: 404 Not Found; x-3: refused"


def test_a_refusal_has_each_sources_reason_on_a_line_of_its_own() -> None:
    problem = {
        "title": "No source of the channel works",
        "detail": "x-1: 404; x-2: 500",
        "sources": {"x-1": "404", "x-2": "500"},
    }
    said = "No source of the channel works\n  a.example/live.m3u8: 404\n  b.example/live.ts: 500"
    assert refusal_in_words(problem, NAMES) == said
    assert refusal_in_words({"title": "Invalid input", "detail": "slug: taken"}, NAMES) == "slug: taken"
    assert refusal_in_words({"title": "Unauthorized", "sources": None}, NAMES) == "Unauthorized"


async def test_a_refused_session_says_no_id_and_no_password() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v1/channels":
            url = "http://me:secret@a.example/account/live.m3u8?key=secret"
            return httpx.Response(201, json={"id": "c-1", "sources": [{"id": "x-1", "url": url}]})
        problem = {"title": "No source of the channel works", "detail": "x-1: 404", "sources": {"x-1": "404"}}
        return httpx.Response(503, json=problem)

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer), base_url="http://api.test") as http:
        client = ApiClient(http)
        channel = await client.add_channel("play", "Play", ["http://me:secret@a.example/account/live.m3u8?key=secret"])
        with pytest.raises(FailoverError) as refused:
            await client.session(channel["id"])
    assert str(refused.value) == "No source of the channel works\n  a.example/live.m3u8: 404"
