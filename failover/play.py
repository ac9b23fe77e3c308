"""`failover play URL ...`: a stack of its own, a channel from these addresses, one session, until Ctrl-C."""

from __future__ import annotations

import asyncio
import contextlib
import json
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.markup import escape

from api.glances import label_of
from failover.stack import Stack
from orchestrator.app.settings import Settings
from orchestrator.errors import FailoverError

console = Console(highlight=False)

HEARTBEAT_S = 10.0
_GOODBYE_S = 8.0

_COMMON = frozenset(("id", "type", "at", "session_id", "playlist_url"))  # of every event


class Client:
    """The API as a client's backend uses it. `names`: by id, what a person knows the sources by that were added here."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http
        self.names: dict[str, str] = {}

    async def call(self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None) -> Any:
        """The answer's JSON. Raises FailoverError with the problem document's own words."""
        answer = await self._http.request(method, path, json=body, headers=headers)
        if answer.is_success:
            return answer.json() if answer.content else None
        try:
            said = refusal_in_words(answer.json(), self.names)
        except ValueError:
            said = f"{answer.status_code} {answer.reason_phrase}"
        raise FailoverError(said)

    async def events(self, session: Any) -> AsyncIterator[dict[str, Any]]:
        """The events of a session that was granted, from its first on, until it ends (server-sent events). Who listens with
        the session's token watches: the lease is renewed meanwhile. The admin key beside it has reasons told in words."""
        path, own = f"/v1/sessions/{session['id']}/events", {"token": session["token"]}
        async with self._http.stream("GET", path, params=own, timeout=None) as answer:
            async for line in answer.aiter_lines():
                if line.startswith("data:"):
                    yield json.loads(line.removeprefix("data:"))

    async def add_channel(self, slug: str, name: str, urls: Sequence[str], profile: str = "copy") -> Any:
        body = {"slug": slug, "name": name, "sources": [{"url": url} for url in urls], "policy": {"profile": profile}}
        channel = await self.call("POST", "/v1/channels", body)
        self.names |= {source["id"]: label_of(source["url"]) for source in channel["sources"]}
        return channel

    @contextlib.asynccontextmanager
    async def watching(self, session_id: str) -> AsyncIterator[None]:
        """Renews the session's lease for as long as the block runs, as a player's page does."""

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

    async def session(self, channel: str) -> Any:
        return await self.call("POST", f"/v1/channels/{channel}/sessions", {}, {"Prefer": "wait=20"})


@contextlib.asynccontextmanager
async def playing(
    settings: Settings, data_dir: Path | None, slug: str, name: str, urls: Sequence[str], profile: str = "copy"
) -> AsyncIterator[tuple[Stack, Client, Any, Any]]:
    """(stack, client, channel, session). A data directory that nobody named is temporary."""
    with contextlib.ExitStack() as files:
        if data_dir is None:
            data_dir = Path(
                files.enter_context(tempfile.TemporaryDirectory(prefix="hls-failover-", ignore_cleanup_errors=True))
            )
        console.print("[dim]starting the store, Redis, the API and the orchestrator[/]")
        async with Stack(settings, data_dir, port=None) as stack:
            headers = {"Authorization": f"Bearer {stack.settings.admin_key}"}
            async with httpx.AsyncClient(base_url=stack.api_url, headers=headers, timeout=30.0, trust_env=False) as http:
                client = Client(http)
                channel = await client.add_channel(slug, name, urls, profile)
                session = await client.session(channel["id"])
                try:
                    async with client.watching(session["id"]):
                        yield stack, client, channel, session
                finally:
                    with contextlib.suppress(FailoverError, httpx.HTTPError, TimeoutError):
                        # Whoever has pressed Ctrl-C does not wait for a stack that has hung
                        async with asyncio.timeout(_GOODBYE_S):
                            await client.call("DELETE", f"/v1/sessions/{session['id']}")
                            await _ended(client, session["id"])


async def _ended(client: Client, session_id: str) -> None:
    while (await client.call("GET", f"/v1/sessions/{session_id}"))["phase"] != "ended":
        await asyncio.sleep(0.1)


async def play(settings: Settings, data_dir: Path | None, urls: Sequence[str], profile: str) -> int:
    async with playing(settings, data_dir, "play", "Play", urls, profile) as (stack, client, channel, session):
        console.print(f"page      {stack.api_url}/watch/{channel['slug']}", soft_wrap=True)
        console.print(f"playlist  {session['playlist_url']}", soft_wrap=True)
        console.print("[dim]Ctrl-C ends it[/]")
        try:
            async for event in client.events(session):
                own = {name: value for name, value in event.items() if name not in _COMMON}
                console.print(f"{event['at']}  {event['type']:<20} {escape(in_words(own, client.names))}", soft_wrap=True)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            assert task is not None
            task.uncancel()  # Ctrl-C is how playing ends: tidy up
            return 0
    return 1  # the session ended by itself


def in_words(fields: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """An event's own fields; sources by their names."""

    def word(value: Any) -> str:
        if isinstance(value, dict):
            return "; ".join(f"{names.get(key, key)}: {each}" for key, each in value.items())
        return names.get(value, value) if isinstance(value, str) else str(value)

    return "  ".join(f"{field}={word(value)}" for field, value in fields.items())


def refusal_in_words(problem: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """A problem document's own words; the reasons beneath each other, where it has one for each source."""
    reasons = problem.get("sources")
    if not reasons:
        return str(problem.get("detail") or problem.get("title"))
    return "\n  ".join([str(problem.get("title")), *(f"{names.get(key, key)}: {each}" for key, each in reasons.items())])
