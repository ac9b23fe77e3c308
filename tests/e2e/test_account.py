"""An IPTV account stands in a source's path. Whatever becomes of the source, nobody is told of it: no viewer, no operator, no
log; but where the operator has written it himself."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
import websockets

from lab import Lab, LabSource
from tests.e2e.stage import Stage
from tests.support import eventually

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(150)]

USER, PASSWORD = "joe4711", "hunter2secret"
OTHER_USER, OTHER_PASSWORD = "mary0815", "swordfish9"  # where a redirect or a playlist leads to
SECRETS = (USER, PASSWORD, OTHER_USER, OTHER_PASSWORD)


class Account:
    """A provider's server: `/live/USER/PASSWORD/{case}/...` is a lab's source as long as the case has no fault."""

    def __init__(self, source: LabSource) -> None:
        self._source = source
        self.faults: dict[str, str] = {}
        self.port = 0
        self._http = httpx.AsyncClient(trust_env=False)
        self._answering: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[Account]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        async with self._http:
            try:
                yield self
            finally:
                server.close()
                for each in self._answering:
                    each.cancel()
                await asyncio.gather(*self._answering, return_exceptions=True)

    def url(self, case: str) -> str:
        return f"http://127.0.0.1:{self.port}/live/{USER}/{PASSWORD}/{case}/media.m3u8"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)
        try:
            await self._hear(reader, writer)
        finally:
            writer.transport.abort()

    async def _hear(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, httpx.HTTPError, ValueError):
            _, path, _ = (await reader.readline()).decode().split()
            while (await reader.readline()).strip():
                pass
            _, _, user, password, case, rest = path.split("/", 5)
            fault = self.faults.get(case) if user == USER else "forbidden"
            await self._answer(writer, fault, case, rest, f"{user} {password}")
            writer.close()
            await writer.wait_closed()

    async def _answer(self, writer: asyncio.StreamWriter, fault: str | None, case: str, rest: str, who: str) -> None:
        other = f"http://127.0.0.1:{self.port}/live/{OTHER_USER}/{OTHER_PASSWORD}/{case}"
        quoted = f"<html>no stream for {who}: {self.url(case)} nor {other}</html>".encode()
        status, headers, body = f"200 OK for {who}", "Content-Type: application/vnd.apple.mpegurl", quoted
        match fault:
            case "gone":
                status = f"404 no stream for {who}"
            case "forbidden":
                status = f"403 {who} has expired"
            case "full":
                status = f"458 {who} plays already"
            case "broken":
                status = f"509 {who}"
            case "moved":
                status, headers = "302 Found", f"Location: {other}/media.m3u8"
            case "to-a-file":
                status, headers = "302 Found", f"Location: file:///live/{OTHER_USER}/{OTHER_PASSWORD}"
            case "page":
                headers = "Content-Type: text/html"
            case "odd-type":
                headers = f"Content-Type: {USER}/{PASSWORD}"
            case "elsewhere":
                body = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{other}/1.ts\n#EXTINF:1,\n{other}/2.ts\n".encode()
            case "locked":
                key = f'#EXT-X-KEY:METHOD=AES-128,URI="{other}/key"\n'
                body = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n{key}#EXTINF:1,\n{self.url(case)}\n".encode()
            case "closes":
                return
            case "hangs":
                await asyncio.sleep(30)
                return
            case _:
                base, _, name = self._source.hls_url.rpartition("/")
                found = await self._http.get(f"{base}/{rest}" if rest != name else self._source.hls_url)
                status, body = f"{found.status_code} x", found.content
        writer.write(
            f"HTTP/1.1 {status}\r\n{headers}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body
        )
        await writer.drain()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def account(lab: Lab) -> AsyncIterator[Account]:
    async with Account(lab["a"]).open() as opened:
        yield opened


FAULTS = (
    "gone",
    "forbidden",
    "full",
    "broken",
    "moved",
    "to-a-file",
    "page",
    "odd-type",
    "elsewhere",
    "locked",
    "closes",
    "hangs",
)
PATH = f"live/{USER}/{PASSWORD}/1.ts"
ADDRESSES = {
    "refused": f"http://127.0.0.1:1/{PATH}",
    "with user info": f"http://{USER}:{PASSWORD}@127.0.0.1:1/x.ts?password={PASSWORD}",
    "no such host": f"http://no-such-host.invalid/{PATH}",
    "unreachable": f"http://240.0.0.1/{PATH}",
    "rtmp": f"rtmp://127.0.0.1:1/{PATH}",
    "rtsp": f"rtsp://127.0.0.1:1/{PATH}",
    "srt": f"srt://127.0.0.1:1?streamid={USER}/{PASSWORD}",
    "not let in": f"rist://127.0.0.1:1/{PATH}",
}
UNPROBED = ("srt",)  # the static ffprobe does not speak it, so that there is no verdict and an attempt is made
WATCHED = ("gone", "moved", "odd-type")  # through the open routes


def assert_no_account(documents: dict[str, str]) -> None:
    found = [(name, text) for name, text in documents.items() if any(secret in text for secret in SECRETS)]
    assert not found, "\n".join(f"{name}: {text[:2000]}" for name, text in found)


async def told_viewer(stage: Stage, granted: Any) -> dict[str, str]:
    """All that the token of a session that has ended opens."""
    documents = {}
    own = {"Authorization": f"Bearer {granted['token']}"}
    async with httpx.AsyncClient(base_url=stage.stack.api_url, headers=own, trust_env=False, timeout=20.0) as viewer:
        for path in ("", "/events", "/history", "/attempts"):
            documents[f"viewer {path}"] = (await viewer.get(f"/v1/sessions/{granted['id']}{path}")).text
    async with websockets.connect(f"{granted['ws_url']}?token={granted['token']}", proxy=None) as socket:
        documents["viewer /ws"] = "".join([str(message) async for message in socket])
    assert "session.ended" in documents["viewer /events"] and "session.ended" in documents["viewer /ws"]
    return documents


async def told_operator(stage: Stage, session_id: str) -> dict[str, str]:
    paths = [f"/v1/sessions/{session_id}{rest}" for rest in ("", "/events", "/history", "/attempts")]
    paths += [f"/v1/sessions/{session_id}/attempts/{row['number']}/log" for row in await stage.client.call("GET", paths[-1])]
    return {f"operator {path}": (await stage.http.get(path)).text for path in paths}


async def told_by_all(stage: Stage) -> dict[str, str]:
    """What is not of one session, and the processes' own logs."""
    documents = {f"operator {path}": (await stage.http.get(path)).text for path in ("/v1/overview", "/v1/sessions?limit=1000")}
    logs = Path(stage.stack.api.log_file).parent
    return documents | {f"log {path.name}": path.read_text(errors="replace") for path in logs.glob("*.log")}


async def test_a_source_that_does_not_start_says_nothing_of_its_account(stage: Stage, account: Account) -> None:
    account.faults.update({fault: fault for fault in FAULTS})
    tls = account.url("gone").replace("http:", "https:")
    cases = {fault: account.url(fault) for fault in FAULTS} | ADDRESSES | {"tls": tls}
    documents: dict[str, str] = {}

    async def failed(channel: Any) -> bool:
        return (await stage.sources(channel))[0]["last_failure_reason"] is not None

    async def one(case: str, url: str) -> None:
        answer = await stage.http.post("/v1/channels", json={"name": f"start {case}", "sources": [{"url": url}]})
        if answer.status_code == 422:
            documents[f"{case}: adding it"] = answer.text
            return
        channel = answer.json()
        granted = await stage.client.call("POST", f"/v1/channels/{channel['id']}/sessions", {})
        refused = await stage.http.post(f"/v1/channels/{channel['id']}/sessions", json={}, headers={"Prefer": "wait=25"})
        expected = 201 if case in UNPROBED else 503
        assert refused.status_code == expected, f"{case}: {refused.text}"
        documents[f"{case}: operator's refusal"] = refused.text
        if case in UNPROBED:
            await eventually(lambda: failed(channel), timeout_s=30, every_s=0.3, what=f"the failure of {case}")
            await stage.client.call("DELETE", f"/v1/sessions/{granted['id']}")
        if case in WATCHED:
            async with httpx.AsyncClient(base_url=stage.stack.api_url, trust_env=False, timeout=40.0) as browser:
                for method, path in (("POST", "session"), ("GET", "")):
                    where = f"/watch/{channel['slug']}" + ("/session" if path else ".m3u8")
                    seen = await browser.request(method, where, headers={"Prefer": "wait=25"})
                    assert seen.status_code == 503, f"{case}: {seen.text}"
                    documents[f"{case}: {where}"] = seen.text
                    assert set(seen.json()["sources"].values()) <= {"refused", "unplayable", "unreachable", "failed"}

        async def over() -> bool:
            return bool((await stage.client.call("GET", f"/v1/sessions/{granted['id']}"))["phase"] == "ended")

        await eventually(over, timeout_s=30, every_s=0.3, what=f"the end of {case}")
        told = await told_viewer(stage, granted) | await told_operator(stage, granted["id"])
        documents.update({f"{case}: {name}": text for name, text in told.items()})
        row = (await stage.sources(channel))[0]
        print(f"{case}: {row['last_failure_reason']}")
        assert row["last_failure_reason"]
        documents[f"{case}: its row's reason"] = row["last_failure_reason"]

    async with asyncio.TaskGroup() as group:
        for case, url in cases.items():
            group.create_task(one(case, url))
    assert len(documents) > 100
    assert_no_account(documents | await told_by_all(stage))


async def test_a_source_that_fails_while_it_plays_says_nothing_of_its_account(stage: Stage, account: Account) -> None:
    documents: dict[str, str] = {}

    async def one(fault: str) -> None:
        case = f"playing-{fault}"
        policy = {"slate": False}
        body = {"name": case, "sources": [{"url": account.url(case)}], "policy": policy}
        channel = await stage.client.call("POST", "/v1/channels", body)
        granted = await stage.client.session(channel["id"])
        assert granted["phase"] == "live"
        account.faults[case] = fault
        history = f"/v1/sessions/{granted['id']}/history"

        async def unavailable() -> bool:
            return "stream.unavailable" in (await stage.http.get(history)).text

        await eventually(unavailable, timeout_s=40, every_s=0.3, what=f"the end of the picture where it is {fault}")
        await stage.stop(granted["id"])
        told = await told_viewer(stage, granted) | await told_operator(stage, granted["id"])
        documents.update({f"{case}: {name}": text for name, text in told.items()})
        classes = [
            event["reason"] for event in json.loads(told["viewer /history"])["events"] if event["type"].startswith("stream.")
        ]
        print(f"{fault}: {classes}")
        assert set(classes) <= {"refused", "unreachable", "unplayable", "stalled", "ended"}
        log = told[f"operator /v1/sessions/{granted['id']}/attempts/1/log"]
        assert "127.0.0.1" in log and "source" in log, "the log says something"

    async with asyncio.TaskGroup() as group:
        for fault in ("gone", "moved", "page", "elsewhere", "closes"):
            group.create_task(one(fault))
    assert_no_account(documents | await told_by_all(stage))
