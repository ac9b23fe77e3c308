"""The edges as real processes on loopback, with the configuration files that are deployed."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.deploy.origin import Origin
from tests.support import free_port

CONFIGURATIONS = Path(__file__).parents[2] / "infra" / "edge"
ORIGIN_URL = "https://cdn.example"  # where viewers read segments
PROGRAMS = {"nginx": "/usr/sbin/nginx", "apache": "/usr/sbin/apache2"}


class Edge:
    """`with Edge("nginx", origin) as edge`: its store is the origin's bucket `hls`, its API the origin's other port."""

    def __init__(self, kind: str, origin: Origin) -> None:
        self.kind = kind
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._directory = Path(tempfile.mkdtemp(prefix="failover-edge-"))
        self._directory.chmod(0o755)
        self.log = self._directory / "access.log"
        self.output = self._directory / "output"  # what it says of errors
        self.run = self._directory / "run"
        for name in ("cache", "run", "run/lock"):
            (self._directory / name).mkdir()
        self._environ = {
            "EDGE_LISTEN": f"127.0.0.1:{self.port}", "EDGE_STORE_URL": f"{origin.url}/hls", "EDGE_API_URL": origin.api_url,
            "EDGE_ORIGIN_URL": ORIGIN_URL,
            "EDGE_RESOLVER": "127.0.0.1", "EDGE_TRUSTED_PROXY": "192.0.2.1", "EDGE_CACHE_DIR": str(self._directory / "cache"),
            "EDGE_CACHE_SIZE": "100m", "EDGE_RUN_DIR": str(self._directory / "run"), "EDGE_LOG": str(self.log),
            "EDGE_USER": "www-data",
        }  # fmt: skip
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        configuration = (CONFIGURATIONS / f"{self.kind}.conf").read_text()
        if self.kind == "nginx":  # as the image's envsubst does
            configuration = re.sub(r"\$\{(EDGE_\w+)\}", lambda found: self._environ[found[1]], configuration)
        file = self._directory / "edge.conf"
        file.write_text(configuration)
        if self.kind == "nginx":
            argv = [PROGRAMS["nginx"], "-c", str(file), "-g", "daemon off;" + (" user root;" if os.geteuid() == 0 else "")]
        else:
            argv = [PROGRAMS["apache"], "-f", str(file), "-D", "FOREGROUND"]
            if os.geteuid() == 0:
                for path in self._directory.rglob("*"):
                    shutil.chown(path, "www-data")
        with self.output.open("wb") as output:
            self._process = subprocess.Popen(
                argv, env={**os.environ, **self._environ}, stdout=output, stderr=output, start_new_session=True
            )
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:  # somebody still listens to events
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait(5)
        shutil.rmtree(self._directory, ignore_errors=True)

    def listens(self) -> bool:
        """Fails where it has ended."""
        assert self._process is not None
        if self._process.poll() is not None:
            raise RuntimeError(self.output.read_text())
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


class Caller:
    """A viewer with one connection, which costs next to nothing: there are two hundred of them."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()

    async def get(self, path: str) -> bytes:
        """The body. Fails where the answer is not 200."""
        self._writer.write(f"GET {path} HTTP/1.1\r\nHost: edge\r\n\r\n".encode())
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode().lower()
        assert " 200 " in head.splitlines()[0], head
        found = re.search(r"content-length: (\d+)", head)
        assert found is not None, head
        return await self._reader.readexactly(int(found[1]))
