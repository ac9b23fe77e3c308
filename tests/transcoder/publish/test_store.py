"""The agent's way to the store, where the store or the network is odd: over TLS, slow, rude, or gone."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.support import require
from tests.transcoder.test_job import GOOD
from transcoder.job import Job, parse
from transcoder.publish.playlist_syntax import LIMIT_BYTES
from transcoder.publish.store import Store
from transcoder.publish.store_requests import (
    Conflict,
    Found,
    GetIndex,
    GetMain,
    NotStored,
    PostSegment,
    PutIndex,
    PutMain,
    Request,
    RequestFailed,
    Stored,
)


class Server(ThreadingHTTPServer):
    """Answers each request with what the test has put there, and keeps what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer: tuple[int, dict[str, str], bytes] = (200, {}, b"")
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []
        self.connections = 0
        self.hang_up_after = False  # after each answer, without saying so
        self.answers: Callable[[], object] = lambda: None  # called before each answer
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def process_request(self, request: object, client_address: object) -> None:
        self.connections += 1
        super().process_request(request, client_address)  # type: ignore[arg-type]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def _any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.asked.append((self.command, self.path, dict(self.headers), body))
        self.server.answers()
        status, headers, text = self.server.answer
        self.send_response(status)
        for name, value in {"Content-Length": str(len(text)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        with contextlib.suppress(ConnectionError):  # who asked has given up
            self.wfile.write(text)
        self.close_connection = self.server.hang_up_after

    do_GET = do_PUT = do_POST = _any  # noqa: N815 - the base class's names

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def job(url: str) -> Job:
    """The good job, at this store."""
    return parse(json.dumps(GOOD).replace("http://store", url).replace("https://store", url))


@pytest.fixture
def store(server: Server) -> Iterator[Store]:
    store = Store(job(server.url))
    yield store
    store.close()


def test_one_connection_is_kept(server: Server, store: Store) -> None:
    server.answer = 200, {"ETag": '"e"'}, b"#EXTM3U\n"
    for _ in range(3):
        assert store.execute(GetMain()) == Found("#EXTM3U\n", '"e"')
    assert store.execute(PutMain("text", '"e"')) == Stored('"e"')
    assert server.connections == 1


def test_a_playlist_larger_than_any_is_a_failure_and_no_part_of_it_is_read_as_one(server: Server, store: Store) -> None:
    server.answer = 200, {"ETag": '"e"'}, b"#EXTM3U\n" + bytes(LIMIT_BYTES)
    for _ in range(2):
        reply = store.execute(GetMain())
        assert isinstance(reply, RequestFailed) and "more than" in reply.reason
    server.answer = 200, {"ETag": '"e"'}, b"#EXTM3U\n"
    assert store.execute(GetMain()) == Found("#EXTM3U\n", '"e"')


def test_conditions_and_headers_are_the_contracts(server: Server, store: Store) -> None:
    store.execute(PutMain("text", None))
    store.execute(PutMain("text", '"e"'))
    store.execute(PutIndex("text", None))
    store.execute(PutIndex("text", '"e"'))
    sent = [{name.lower(): value for name, value in headers.items()} for _, _, headers, _ in server.asked]
    assert [path for _, path, _, _ in server.asked] == ["/m?p", "/m?p", "/i?p", "/i?p"]
    assert [(each.get("if-none-match"), each.get("if-match")) for each in sent] == [("*", None), (None, '"e"')] * 2
    assert {each["content-type"] for each in sent} == {"application/vnd.apple.mpegurl"}
    assert {each["cache-control"] for each in sent} == {"public, max-age=1"}


def test_a_segment_is_a_form_with_the_policys_fields_its_key_and_its_bytes(server: Server, store: Store) -> None:
    data = bytes(range(256)) * 4
    server.answer = 204, {}, b""
    assert store.execute(PostSegment(7, data)) == Stored(None)
    _, path, headers, body = server.asked[0]
    assert path == "/bucket"
    assert headers["Content-Type"].startswith("multipart/form-data; boundary=")
    assert b'name="key"\r\n\r\nsegments/s-7f3a/3/main/7.ts\r\n' in body
    assert b'name="policy"\r\n\r\np\r\n' in body
    assert b'name="Content-Type"\r\n\r\nvideo/mp2t\r\n' in body
    assert body.index(b'name="file"') > body.index(b'name="x-amz-signature"'), "what follows the file is ignored by S3"
    assert data in body


@pytest.mark.parametrize(
    ("status", "body", "get", "put", "post"),
    [
        (404, b"", NotStored(), Conflict(), RequestFailed("HTTP 404")),
        (412, b"", RequestFailed("HTTP 412"), Conflict(), RequestFailed("HTTP 412")),
        (409, b"", RequestFailed("HTTP 409"), Conflict(), RequestFailed("HTTP 409")),
        (403, b"<Code>AccessDenied</Code>", *[RequestFailed("HTTP 403 AccessDenied")] * 3),
        (503, b"", *[RequestFailed("HTTP 503")] * 3),
        (400, b"<Error><Code>EntityTooLarge</Code></Error>", *[RequestFailed("HTTP 400 EntityTooLarge", final=True)] * 3),
    ],
)
def test_each_answer_means_one_thing(
    server: Server, store: Store, status: int, body: bytes, get: object, put: object, post: object
) -> None:
    server.answer = status, {}, body
    asked: list[tuple[Request, object]] = [
        (GetMain(), get),
        (GetIndex(), get),
        (PutMain("text", '"e"'), put),
        (PutIndex("text", None), put),
        (PostSegment(0, b"data"), post),
    ]
    for request, expected in asked:
        reply = store.execute(request)
        assert (type(reply), reply) == (type(expected), expected)


def test_a_server_that_hangs_up_between_requests_is_asked_again_at_once(server: Server, store: Store) -> None:
    server.hang_up_after = True
    server.answer = 200, {"ETag": '"e"'}, b""
    for _ in range(3):
        assert store.execute(PutMain("text", '"e"')) == Stored('"e"')


def test_nobody_there_and_nobody_answering_are_failures_within_bounds() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{silent.getsockname()[1]}"
        store = Store(job(nobody))
        assert isinstance(store.execute(GetMain()), RequestFailed)
        silent.listen()
        reply = store.put_log(b"log", timeout_s=0.2)
        store.close()
    assert isinstance(reply, RequestFailed)
    assert "timed out" in reply.reason


def test_over_tls(server: Server, tmp_path: Path) -> None:
    """In a process of its own, since it is about what is imported there."""
    require("openssl", shutil.which("openssl"), "no certificate can be made")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-days", "2"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.answer = 200, {"ETag": '"e"'}, b"#EXTM3U\n"
    url = server.url.replace("http:", "https:")
    assert in_a_process(url, trust=certificate) == "Found('#EXTM3U\\n', '\"e\"') True"
    assert in_a_process(url, trust=None).startswith("RequestFailed('SSLCertVerificationError")


def test_without_tls_it_is_not_even_imported(server: Server) -> None:
    server.answer = 200, {"ETag": '"e"'}, b""
    assert in_a_process(server.url, trust=None).endswith("False")


def in_a_process(url: str, trust: Path | None) -> str:
    """Reads the playlist from there; gives the reply, and whether TLS was imported."""
    text = json.dumps(GOOD).replace("http://store", url).replace("https://store", url)
    code = (
        "import sys; from transcoder.job import parse; from transcoder.publish.store import Store; "
        "from transcoder.publish.store_requests import GetMain; "
        "text = str(Store(parse(sys.argv[1])).execute(GetMain()))[:200]; "
        "print(text.replace('Found(text=', 'Found(').replace('etag=', '')"
        ".replace('RequestFailed(reason=', 'RequestFailed('), bool(sys.modules.get('ssl')))"
    )
    environment = {"PYTHONPATH": str(Path(__file__).parents[3] / "transcoder-image")}
    if trust:
        environment["SSL_CERT_FILE"] = str(trust)
    done = subprocess.run(
        [sys.executable, "-S", "-P", "-c", code, text], env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()
