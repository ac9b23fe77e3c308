"""`failover play URL ...`: starts a local deployment with one channel of these addresses and plays it until Ctrl-C."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import httpx
from rich.console import Console
from rich.markup import escape

from failover.api_client import ApiClient
from failover.local_deployment import LocalDeployment
from orchestrator.app.settings import Settings
from orchestrator.errors import FailoverError

console = Console(highlight=False, soft_wrap=True)

_GOODBYE_S = 8.0

_COMMON = frozenset(("id", "type", "at", "session_id", "playlist_url"))  # fields that every event has


class PlayingChannel(NamedTuple):
    """A deployment, a client of its API, and the API's answers that created the channel and the session."""

    deployment: LocalDeployment
    client: ApiClient
    channel: Any
    session: Any


@contextlib.asynccontextmanager
async def playing(
    settings: Settings, data_dir: Path | None, slug: str, name: str, urls: Sequence[str], profile: str = "copy"
) -> AsyncIterator[PlayingChannel]:
    """A local deployment with one channel and one session, which ends with the context. `data_dir` None: a temporary one."""
    with contextlib.ExitStack() as files:
        if data_dir is None:
            data_dir = Path(
                files.enter_context(tempfile.TemporaryDirectory(prefix="hls-failover-", ignore_cleanup_errors=True))
            )
        console.print("[dim]starting the store, Redis, the API and the orchestrator[/]")
        async with LocalDeployment(settings, data_dir, port=None) as deployment:
            headers = {"Authorization": f"Bearer {deployment.settings.admin_key}"}
            async with httpx.AsyncClient(base_url=deployment.api_url, headers=headers, timeout=30.0, trust_env=False) as http:
                client = ApiClient(http)
                channel = await client.add_channel(slug, name, urls, profile)
                session = await client.session(channel["id"])
                try:
                    async with client.watching(session["id"]):
                        yield PlayingChannel(deployment, client, channel, session)
                finally:
                    with contextlib.suppress(FailoverError, httpx.HTTPError, TimeoutError):
                        # After Ctrl-C the user does not wait for a deployment that hangs
                        async with asyncio.timeout(_GOODBYE_S):
                            await client.call("DELETE", f"/v1/sessions/{session['id']}")
                            await _ended(client, session["id"])


async def _ended(client: ApiClient, session_id: str) -> None:
    while (await client.call("GET", f"/v1/sessions/{session_id}"))["phase"] != "ended":
        await asyncio.sleep(0.1)


async def play(settings: Settings, data_dir: Path | None, urls: Sequence[str], profile: str) -> int:
    """Print the channel's addresses, then each event of its session. Exit code 0: Ctrl-C; 1: the session ended by itself."""
    async with playing(settings, data_dir, "play", "Play", urls, profile) as (deployment, client, channel, session):
        console.print(f"page      {deployment.api_url}/watch/{channel['slug']}")
        console.print(f"playlist  {session['playlist_url']}")
        console.print("[dim]Ctrl-C ends it[/]")
        try:
            async for event in client.events(session):
                own = {name: value for name, value in event.items() if name not in _COMMON}
                console.print(f"{event['at']}  {event['type']:<20} {escape(in_words(own, client.names))}")
        except asyncio.CancelledError:
            task = asyncio.current_task()
            assert task is not None
            task.uncancel()  # Ctrl-C is the normal end here: leave the context in order
            return 0
    return 1


def in_words(fields: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """An event's own fields as `name=value`, with each source's id replaced by its name."""

    def word(value: Any) -> str:
        if isinstance(value, dict):
            return "; ".join(f"{names.get(key, key)}: {each}" for key, each in value.items())
        return names.get(value, value) if isinstance(value, str) else str(value)

    return "  ".join(f"{field}={word(value)}" for field, value in fields.items())
