"""A client of the HTTP API, as a viewer's backend would write one: channels, sessions, events, heartbeats.

Used by `failover play`, the demo, the tests and the benchmarks.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import httpx

from api.console.source_label import label_of
from orchestrator.errors import FailoverError

HEARTBEAT_S = 10.0


class ApiClient:
    """`http` carries the API's address and the admin key. `names` maps the ids of sources that were added through this client
    to labels that a person recognises and that contain no credentials."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http
        self.names: dict[str, str] = {}

    async def call(self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None) -> Any:
        """The answer's JSON; None where it has no body. Raises FailoverError with the problem document's text (RFC 9457)."""
        answer = await self._http.request(method, path, json=body, headers=headers)
        if answer.is_success:
            return answer.json() if answer.content else None
        try:
            said = refusal_in_words(answer.json(), self.names)
        except ValueError:
            said = f"{answer.status_code} {answer.reason_phrase}"
        raise FailoverError(said)

    async def events(self, session: Any) -> AsyncIterator[dict[str, Any]]:
        """The session's events (server-sent events), from its first one until it ends.

        `session` is the answer that created it. Listening with its token renews the session's lease, as a viewer's page does;
        the admin key beside the token makes the API give reasons in full."""
        path, own = f"/v1/sessions/{session['id']}/events", {"token": session["token"]}
        async with self._http.stream("GET", path, params=own, timeout=None) as answer:
            async for line in answer.aiter_lines():
                if line.startswith("data:"):
                    yield json.loads(line.removeprefix("data:"))

    async def add_channel(self, slug: str, name: str, urls: Sequence[str], profile: str = "copy") -> Any:
        """Create a channel whose sources are these addresses, the preferred one first."""
        body = {"slug": slug, "name": name, "sources": [{"url": url} for url in urls], "policy": {"profile": profile}}
        channel = await self.call("POST", "/v1/channels", body)
        self.names |= {source["id"]: label_of(source["url"]) for source in channel["sources"]}
        return channel

    async def session(self, channel: str) -> Any:
        """Request a session of the channel (its id or slug) and wait up to 20 s until it is live."""
        return await self.call("POST", f"/v1/channels/{channel}/sessions", {}, {"Prefer": "wait=20"})

    @contextlib.asynccontextmanager
    async def watching(self, session_id: str) -> AsyncIterator[None]:
        """Renew the session's lease in the background while the context is open."""

        async def beat() -> None:
            while True:
                with contextlib.suppress(FailoverError, httpx.HTTPError):
                    await self.call("POST", f"/v1/sessions/{session_id}/heartbeat")
                await asyncio.sleep(HEARTBEAT_S)

        beating = asyncio.create_task(beat(), name=f"heartbeat of {session_id}")
        try:
            yield
        finally:
            beating.cancel()
            await asyncio.gather(beating, return_exceptions=True)


def refusal_in_words(problem: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """A problem document as text: its detail; or its title and one line per source, where it gives a reason for each source."""
    reasons = problem.get("sources")
    if not reasons:
        return str(problem.get("detail") or problem.get("title"))
    return "\n  ".join([str(problem.get("title")), *(f"{names.get(key, key)}: {each}" for key, each in reasons.items())])
