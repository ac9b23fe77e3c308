"""A server that answers as the console's API would, from a fixture: for looking at the pages, their pictures and their speed.

`python -m tests.console.mock` serves a thousand channels on a free port, in which something happens every second or so.
"""

from __future__ import annotations

import contextlib
import functools
import json
import queue
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from lab import default_ffmpeg
from tests.console.fixture import Fixture, stamp

DIST: Final = Path(__file__).parents[2] / "api" / "web" / "dist"
KEY: Final = "key"
POLICY: Final = (
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self'; connect-src 'self'"
)
_TYPES: Final = {
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".html": "text/html",
    ".map": "text/plain",
}
_POSTERS: Final = 10
_SHAPES: Final = ("radial", "linear", "spiral")
_LOG: Final = (
    "21:04:09.901 attempt 3 on edge1.acme-tv.example/news.m3u8\n"
    "21:04:10.113 first segment after 0.21 s\n"
    "21:04:10.115 listed 5 segments of the backlog, the programme continues\n"
    "21:06:41.020 the next listing is overdue: listed what is held, 1.2 s\n"
    "21:06:41.860 the source sends again\n"
)


class Mock:
    """What is served, and what was asked for. The fixture may be changed at any time."""

    def __init__(self, fixture: Fixture) -> None:
        self.fixture = fixture
        self.down = False  # every call is answered by 503
        self.delay_s = 0.0  # of every call but the page's
        self.refusals: dict[tuple[str, str], dict[str, Any]] = {}  # method and path → the problem that it gets
        self.asked: list[tuple[str, str, Any]] = []  # method, path with its query, body
        self.overview_bytes = 0
        self.logged_in = True
        self._listeners: list[queue.SimpleQueue[bytes | None]] = []
        self._server = _Server(("127.0.0.1", 0), functools.partial(_Handler, self))
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    @contextlib.contextmanager
    def running(self) -> Iterator[Mock]:
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield self
        finally:
            self.hang_up()
            self._server.shutdown()
            thread.join()
            self._server.server_close()

    def emit(self, *events: dict[str, Any]) -> None:
        """Events happen: each gets the next cursor."""
        for event in events:
            self.fixture.cursor += 1
            sent = event | {"id": self.fixture.cursor}
            self.fixture.recent.insert(0, sent)
            self._send(_sse(sent))

    def change(self) -> None:
        self._send(b"event: change\ndata: {}\n\n")

    def hang_up(self) -> None:
        """Ends every stream of events."""
        for listener in self._listeners:
            listener.put(None)

    def _send(self, message: bytes) -> None:
        for listener in self._listeners:
            listener.put(message)

    def listen(self, after: int) -> queue.SimpleQueue[bytes | None]:
        listener: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        for event in reversed(self.fixture.recent):
            if event["id"] > after:
                listener.put(_sse(event))
        self._listeners.append(listener)
        return listener

    def leave(self, listener: queue.SimpleQueue[bytes | None]) -> None:
        self._listeners.remove(listener)

    def switch(self, session: dict[str, Any], reason: str = "source stalled: nothing for 3.0 s") -> dict[str, Any]:
        """The session moves to its channel's next source; the event that tells so."""
        channel = self.fixture.channel(session["channel_id"])
        assert channel is not None
        ids = [source["id"] for source in channel["sources"]]
        before = session["source_id"]
        after = ids[(ids.index(before) + 1) % len(ids)] if before in ids else ids[0]
        session |= {
            "source_id": after,
            "attempt": session["attempt"] + 1,
            "phase": "live",
            "shown": "source",
            "attempt_started_at": stamp(time.time()),
        }
        return {"type": "stream.switch", "at": stamp(time.time()), "session_id": session["id"], "channel_id": channel["id"],
                "from": before, "to": after, "reason": reason, "attempt": session["attempt"], "gap_ms": 0}  # fmt: skip

    # What is asked for; None: there is no such thing.

    def get(self, path: str, query: dict[str, list[str]]) -> Any:
        fixture = self.fixture
        match path.strip("/").split("/")[1:]:
            case ["overview"]:
                return fixture.overview(time.time())
            case ["providers"]:
                return fixture.providers
            case ["providers", name]:
                return next((each for each in fixture.providers if each["id"] == name), None)
            case ["channels", name] if channel := fixture.channel(name):
                policy = {each: channel[each] for each in ("profile", "hevc", "sharing", "failback", "slate")}
                return channel | {"policy": policy | {"failback_stable_s": 60.0}}
            case ["sources", name] if source := fixture.source(name):
                url = f"http://user:secret@{source['label']}"
                return source | {"url": url, "user_agent": None, "headers": {"Referer": "https://www.example.com/"}}
            case ["doctor"]:
                return {"healthy": not any(each["level"] == "wrong" for each in fixture.findings), "findings": fixture.findings}
            case ["drain"]:
                return {"draining_since": fixture.draining_since}
            case ["channels", name, "history"] if channel := fixture.channel(name):
                recent = [event for event in fixture.recent if event["channel_id"] == channel["id"]]
                return {"channel_id": channel["id"], "quarters": fixture.quarters(channel), "recent": recent}
            case ["sessions", session_id, *rest] if session := fixture.session(session_id):
                channel = fixture.channel(session["channel_id"]) or {}
                match rest:
                    case []:
                        return session | {
                            "channel": {name: channel.get(name) for name in ("id", "slug", "name")},
                            "playlist_url": "http://origin.example/index.m3u8", "ended_at": None, "end_reason": None,
                        }  # fmt: skip
                    case ["attempts"]:
                        return fixture.attempts(session)
                    case ["history"]:
                        return {"events": fixture.history(session)}
                    case ["attempts", _, "log"]:
                        return _LOG * 4
        return None

    def act(self, method: str, path: str, body: Any) -> Any:
        fixture = self.fixture
        match method, path.strip("/").split("/")[1:]:
            case "PUT", ["drain"]:
                fixture.draining_since = stamp(time.time()) if body["draining"] else None
                return {"draining_since": fixture.draining_since}
            case "POST", ["channels"]:
                return {"id": fixture.channels[0]["id"]}
            case "PATCH", ["channels", name] if channel := fixture.channel(name):
                policy = body.pop("policy", {})
                channel |= body | {each: policy[each] for each in policy if each in channel}
                return self.get(path, {})
            case "DELETE", ["channels", name] if channel := fixture.channel(name):
                fixture.channels.remove(channel)
                fixture.sessions = [each for each in fixture.sessions if each["channel_id"] != channel["id"]]
                return channel
            case "POST", ["channels", name, "sources"] if channel := fixture.channel(name):
                made = channel["sources"][-1] | {"id": f"x-new-{len(channel['sources'])}", "status": "unknown", "in_use": 0}
                channel["sources"].append(made)
                return made
            case "DELETE", ["sources", name] if source := fixture.source(name):
                for channel in fixture.channels:
                    channel["sources"] = [each for each in channel["sources"] if each is not source]
                return source
            case "POST", ["providers"]:
                made = {"id": f"p-{len(fixture.providers)}", "connections_in_use": 0} | body
                fixture.providers.append(made)
                return made
            case "PATCH", ["providers", name]:
                found = next(each for each in fixture.providers if each["id"] == name)
                found |= body
                return found
            case "DELETE", ["providers", name]:
                found = next(each for each in fixture.providers if each["id"] == name)
                fixture.providers.remove(found)
                return found
            case "PUT", ["channels", name, "sources"] if channel := fixture.channel(name):
                channel["sources"].sort(key=lambda source: body["source_ids"].index(source["id"]))
                return channel["sources"]
            case "PUT", ["channels", name, "failovers"] if channel := fixture.channel(name):
                channel["failovers"] = body["channels"]
                return {"channels": []}
            case "PATCH", ["sources", source_id] if source := fixture.source(source_id):
                if "enabled" in body:
                    source |= {"enabled": body["enabled"], "status": "unknown" if body["enabled"] else "disabled"}
                return source
            case "POST", ["sources", source_id, "probe"] if source := fixture.source(source_id):
                names = ("video", "audio", "width", "height", "bitrate_bps")
                return source | {"media": {name: source[name] for name in names}}
            case "POST", ["sessions", session_id, "switch"] if session := fixture.session(session_id):
                self.emit(self.switch(session, "an operator's switch"))
                return session
            case "DELETE", ["sessions", session_id] if session := fixture.session(session_id):
                fixture.sessions.remove(session)
                self.emit({"type": "session.ended", "at": stamp(time.time()), "session_id": session_id,
                           "channel_id": session["channel_id"], "reason": "stopped"})  # fmt: skip
                return session
        return None


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):  # who asked has left
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, mock: Mock, *rest: Any) -> None:
        self.mock = mock
        super().__init__(*rest)

    def do_GET(self) -> None:
        mock, url = self.mock, urlsplit(self.path)
        if url.path.startswith("/assets/"):
            return self._file(DIST / Path(url.path).name)
        if url.path.split("/")[1] in ("console", "watch"):
            return self._file(DIST / "console.html", {"Content-Security-Policy": POLICY})
        time.sleep(mock.delay_s)
        if mock.down:
            return self._problem(503, "The database does not answer")
        if not mock.logged_in:
            return self._problem(401, "Unauthorized")
        query = parse_qs(url.query)
        if url.path == "/v1/events":
            return self._events(int(self.headers.get("Last-Event-ID") or query.get("after", ["0"])[0]))
        if poster := re.fullmatch(r"/v1/sessions/(.*)/poster.jpg", url.path):
            session = mock.fixture.session(poster[1])
            if session is None or session["source_id"] is None:
                return self._problem(404, "No picture")
            return self._answer(200, "image/jpeg", posters()[int(session["id"][2:7]) % _POSTERS])
        found = mock.get(url.path, query)
        if found is None:
            return self._problem(404, "Not found")
        if isinstance(found, str):
            return self._answer(200, "text/plain", found.encode())
        content = json.dumps(found).encode()
        if url.path == "/v1/overview":
            mock.overview_bytes = len(content)
        return self._answer(200, "application/json", content)

    def do_POST(self) -> None:
        mock, url = self.mock, urlsplit(self.path)
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        is_json = self.headers.get("Content-Type") == "application/json"
        body: Any = json.loads(content or b"null") if is_json else content.decode()
        mock.asked.append((self.command, self.path, body))
        time.sleep(mock.delay_s)
        if refusal := mock.refusals.get((self.command, url.path)):
            return self._problem(**refusal)
        if url.path == "/console/login":
            if not isinstance(body, dict) or body["key"] != KEY:
                return self._problem(401, "Unauthorized")
            mock.logged_in = True
            return self._answer(204, "application/json", b"")
        if url.path == "/console/logout":
            mock.logged_in = False
            return self._answer(204, "application/json", b"")
        if self.headers.get("X-Console") != "1":
            return self._problem(403, "Forbidden")
        if url.path == "/v1/imports":
            dry_run = body["dry_run"] if isinstance(body, dict) else "dry_run=true" in url.query
            return self._answer(200, "application/json", json.dumps(_IMPORT | {"dry_run": dry_run}).encode())
        found = mock.act(self.command, url.path, body)
        if found is None:
            return self._problem(404, "Not found")
        return self._answer(200, "application/json", json.dumps(found).encode())

    do_PUT = do_PATCH = do_DELETE = do_POST  # noqa: N815

    def _file(self, path: Path, headers: dict[str, str] | None = None) -> None:
        if not path.is_file():
            return self._problem(404, "Not found")
        return self._answer(200, _TYPES.get(path.suffix, "application/octet-stream"), path.read_bytes(), headers)

    def _problem(self, status: int, title: str, **more: Any) -> None:
        self._answer(status, "application/problem+json", json.dumps({"title": title, "status": status} | more).encode())

    def _answer(self, status: int, media_type: str, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Type", media_type)
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _events(self, after: int) -> None:
        listener = self.mock.listen(after)
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        self.close_connection = True
        try:
            self.wfile.write(b"retry: 300\n\n")
            while message := listener.get():
                self.wfile.write(message)
        except OSError:
            pass  # who listened has left
        finally:
            self.mock.leave(listener)

    def log_message(self, *_: object) -> None: ...


_IMPORT: Final[dict[str, Any]] = {
    "provider": "Acme TV", "provider_is_new": True, "entries": 1204, "duplicates": 3, "changed_meanwhile": 0,
    "counts": {"channels_added": 2, "channels_updated": 1, "channels_enabled": 0, "channels_disabled": 1, "sources_added": 4,
               "sources_updated": 2, "sources_enabled": 0, "sources_disabled": 1},
    "faults": [{"line": 17, "reason": "no address follows"}], "fault_count": 1, "change_count": 4,
    "changes": [
        {"channel": slug, "name": name, "is_new": new, "fields": fields, "counts": {
            "channels_added": int(new), "channels_updated": int(bool(fields)), "channels_enabled": 0,
            "channels_disabled": int(gone), "sources_added": 2 if new else 0, "sources_updated": 0 if new or gone else 2,
            "sources_enabled": 0, "sources_disabled": int(gone)}}
        for slug, name, new, fields, gone in (
            ("harbour-live", "Harbour Live", True, [], False), ("night-train", "Night Train", True, [], False),
            ("world-news", "World News", False, ["name", "group"], False), ("teleshop", "Teleshop", False, [], True))
    ],
}  # fmt: skip


def _sse(event: dict[str, Any]) -> bytes:
    return f"id: {event['id']}\nevent: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()


@functools.cache
def posters() -> tuple[bytes, ...]:
    """Pictures that look like something, and not all like the same."""
    with tempfile.TemporaryDirectory() as directory:
        made = []
        for index in range(_POSTERS):
            picture = Path(directory) / f"{index}.jpg"
            source = (
                f"gradients=size=320x180:seed={index * 7 + 3}:n={3 + index % 4}:type={_SHAPES[index % 3]}"
                if index % 4
                else f"mandelbrot=size=320x180:start_scale={0.02 + index * 0.03}:start_x=-0.743643887:start_y=-0.131825904"
            )
            subprocess.run(
                [
                    default_ffmpeg(),
                    "-loglevel",
                    "error",
                    "-f",
                    "lavfi",
                    "-i",
                    source,
                    "-vf",
                    "hue=s=0.55:b=-0.6",
                    "-frames:v",
                    "1",
                    "-q:v",
                    "4",
                    str(picture),
                ],
                check=True,
            )
            made.append(picture.read_bytes())
        return tuple(made)


TROUBLE: Final = {"off": 2, "slate": 4, "dead": 1, "backup": 9, "risk": 14}


def main() -> None:
    mock = Mock(Fixture(time.time(), trouble=TROUBLE))
    with mock.running(), contextlib.suppress(KeyboardInterrupt):
        print(f"{mock.url}/console  (key: {KEY})")
        while True:
            time.sleep(1)
            mock.emit(mock.switch(random.choice(mock.fixture.sessions)))


if __name__ == "__main__":
    main()
