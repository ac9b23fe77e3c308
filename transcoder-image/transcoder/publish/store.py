"""The S3 store as the agent sees it: signed addresses over plain HTTP, one kept connection per host and thread.

Every request is answered by one of five values (`store_requests`); what follows from an answer is decided by the publisher.
"""

import sys
from typing import NamedTuple

from transcoder import bucket
from transcoder.job import Job, PostPolicy
from transcoder.publish.playlist_syntax import LIMIT_BYTES
from transcoder.publish.store_requests import (
    Conflict,
    Found,
    GetIndex,
    GetMain,
    NotStored,
    PostSegment,
    PutIndex,
    PutMain,
    Reply,
    Request,
    RequestFailed,
    Stored,
)

# A store that is silent for longer counts as down, and the request is repeated. Playlists are small, and listings wait for
# them.
_TIMEOUT_S = {"GET": 2.0, "PUT": 3.0, "POST": 5.0}
_BOUNDARY = "hls-failover-5f0c1d7e9b"


class Store:
    """One thread's connections to the store; not to be shared between threads."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._connections: dict[str, _Connection] = {}
        if not any(url.startswith("https:") for url in job.store_urls):
            # http.client imports ssl where it can. Where no address needs TLS, 20 ms of start and 4 MB of memory are saved.
            sys.modules.setdefault("ssl", None)  # type: ignore[arg-type]

    def execute(self, request: Request) -> Reply:
        """Makes one request. Whatever the network or the server does, it raises nothing."""
        job = self._job
        match request:
            case GetMain():
                return self._get(job.main_playlist.get)
            case GetIndex():
                return self._get(job.index_playlist.get)
            case PutMain(text, etag):
                return self._put(job.main_playlist.put, text.encode(), bucket.PLAYLIST_HEADERS | _over(etag))
            case PutIndex(text, etag):
                return self._put(job.index_playlist.put, text.encode(), bucket.PLAYLIST_HEADERS | _over(etag))
            case PostSegment(n, data):
                key = bucket.segment_key(job.session, job.attempt, n)
                return self._post(job.segments, key, bucket.SEGMENT_HEADERS, data)

    def put_log(self, document: bytes, timeout_s: float) -> Reply:
        """Uploads the attempt's log."""
        return self._put(self._job.log_put, document, bucket.LOG_HEADERS, timeout_s)

    def post_report(self, n: int, document: bytes, timeout_s: float) -> Reply:
        """Stores the attempt's report number `n`. Only for a job with orders."""
        job = self._job
        assert job.reports is not None
        key = bucket.report_key(job.session, job.attempt, n)
        return self._post(job.reports, key, bucket.REPORT_HEADERS, document, timeout_s)

    def close(self) -> None:
        """Closes every connection."""
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()

    def _get(self, url: str) -> Reply:
        answer = self._exchange("GET", url, [], {})
        if isinstance(answer, RequestFailed):
            return answer
        status, body, etag = answer
        if status == 200:
            return Found(body.decode("utf-8", "replace"), etag)
        return NotStored() if status == 404 else _failure(status, body)

    def _put(self, url: str, body: bytes, headers: dict[str, str], timeout_s: float | None = None) -> Reply:
        answer = self._exchange("PUT", url, [body], headers, timeout_s)
        if isinstance(answer, RequestFailed):
            return answer
        status, text, etag = answer
        if status in (200, 201, 204):
            return Stored(etag)
        # 412: the condition does not hold; 409: somebody is writing right now; 404: there is nothing to match.
        return Conflict() if status in (404, 409, 412) else _failure(status, text)

    def _post(self, policy: PostPolicy, key: str, kind: dict[str, str], data: bytes, timeout_s: float | None = None) -> Reply:
        fields = {**kind, **policy.fields, "key": key}
        form = "".join(
            f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in fields.items()
        )
        form += f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{key.rpartition("/")[2]}"\r\n'
        form += f"Content-Type: {kind['Content-Type']}\r\n\r\n"
        body = [form.encode(), data, f"\r\n--{_BOUNDARY}--\r\n".encode()]
        headers = {"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}"}
        answer = self._exchange("POST", policy.url, body, headers, timeout_s)
        if isinstance(answer, RequestFailed):
            return answer
        status, text, etag = answer
        return Stored(etag) if status in (200, 201, 204) else _failure(status, text)

    def _exchange(
        self, method: str, url: str, body: list[bytes], headers: dict[str, str], timeout_s: float | None = None
    ) -> "HttpAnswer | RequestFailed":
        scheme, _, rest = url.partition("://")
        host, slash, path = rest.partition("/")
        connection = self._connections.get(host)
        if connection is None:
            connection = self._connections[host] = _Connection(scheme, host)
        try:
            return connection.exchange(method, slash + path or "/", body, headers, timeout_s or _TIMEOUT_S[method])
        except Exception as error:  # http.client raises more kinds than its documentation lists
            connection.close()
            return RequestFailed(f"{type(error).__name__}: {error}")


class HttpAnswer(NamedTuple):
    """An HTTP response, as far as it matters."""

    status: int
    body: bytes
    etag: str | None


class _Connection:
    """One kept connection to one host."""

    def __init__(self, scheme: str, host: str) -> None:
        from http import client

        self._client = client.HTTPSConnection(host) if scheme == "https" else client.HTTPConnection(host)
        # The server may have closed a kept connection: these say so, and that no answer began.
        self._stale = (client.RemoteDisconnected, BrokenPipeError, ConnectionResetError, client.CannotSendRequest)

    def exchange(self, method: str, path: str, body: list[bytes], headers: dict[str, str], timeout_s: float) -> HttpAnswer:
        """One request and its answer; repeated once on a new connection where the kept one was closed. Each request may be made
        twice: segments are written under their own key, playlists under a condition."""
        kept = self._client.sock is not None
        self._client.timeout = timeout_s
        if self._client.sock is not None:
            self._client.sock.settimeout(timeout_s)
        try:
            return self._attempt(method, path, body, headers)
        except self._stale:
            self._client.close()
            if not kept:
                raise
            return self._attempt(method, path, body, headers)

    def _attempt(self, method: str, path: str, body: list[bytes], headers: dict[str, str]) -> HttpAnswer:
        length = {"Content-Length": str(sum(map(len, body)))} if method != "GET" else {}
        self._client.request(method, path, body=iter(body) if body else None, headers=headers | length)
        response = self._client.getresponse()
        data = response.read(LIMIT_BYTES)
        if not response.isclosed():  # more than any playlist has, and a part of one says something else
            self._client.close()
            raise ValueError(f"more than {LIMIT_BYTES >> 20} MiB")
        return HttpAnswer(response.status, data, response.headers["ETag"])

    def close(self) -> None:
        """Closes it; the next request opens it again."""
        self._client.close()


def _over(etag: str | None) -> dict[str, str]:
    """The condition that the stored object is still that version; None: that there is none."""
    return {"If-None-Match": "*"} if etag is None else {"If-Match": etag}


def _failure(status: int, body: bytes) -> RequestFailed:
    """An S3 error document names its code: <Code>EntityTooLarge</Code>."""
    code = body.partition(b"<Code>")[2].partition(b"</Code>")[0].decode("ascii", "replace")[:60]
    return RequestFailed(f"HTTP {status} {code}".rstrip(), final=status in (400, 405, 411, 413))
