"""Runs a lab in a child process, for code without an event loop. It ends when its parent does, however that ends."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from lab.serving.source import Addresses, LabFault


class RemoteSource(Addresses):
    """A source in another process, controlled like a `LabSource` through the lab's control endpoint."""

    def __init__(self, name: str, base_url: str, control_url: str) -> None:
        self.name = name
        self.base_url = base_url
        self._control_url = control_url

    @property
    def fault(self) -> LabFault | None:
        """The present fault; None: none. Setting it takes effect at once."""
        fault = self._control("GET")["fault"]
        return LabFault(fault) if fault else None

    @fault.setter
    def fault(self, fault: LabFault | None) -> None:
        self.inject(fault)

    @property
    def requests(self) -> int:
        """The number of requests that it has received."""
        return int(self._control("GET")["requests"])

    def inject(self, fault: LabFault | None, amount: float | None = None) -> None:
        """Set the fault and its number. Raises ValueError where the source refuses it."""
        self._control("POST", json.dumps({"fault": fault, "amount": amount}))

    def _control(self, method: str, body: str | None = None) -> Any:
        url = urlsplit(self._control_url)
        connection = http.client.HTTPConnection(url.netloc, timeout=5)
        try:
            connection.request(method, f"{url.path}/{self.name}", body)
            answer = connection.getresponse()
            said = json.loads(answer.read())
        finally:
            connection.close()
        if answer.status != 200:
            raise ValueError(said["error"])
        return said


class LabProcess:
    """Sources "a", "b", ... in a child process, with the defaults of `Lab`."""

    def __init__(
        self,
        sources: int = 2,
        *,
        segment_s: float = 2.0,
        bitrate_bps: int = 400_000,
        host: str = "127.0.0.1",
        port: int = 0,
        cache_dir: Path | None = None,
        ffmpeg: str | None = None,
    ) -> None:
        command = [sys.executable, "-m", "lab", "--control", "--until-stdin-closes", "--sources", str(sources)]
        command += ["--segment-s", str(segment_s), "--bitrate", str(bitrate_bps), "--host", host, "--port", str(port)]
        command += ["--cache-dir", str(cache_dir)] if cache_dir else []
        command += ["--ffmpeg", ffmpeg] if ffmpeg else []
        self._command = command
        self._process: subprocess.Popen[str] | None = None
        self._sources: dict[str, RemoteSource] = {}

    def __getitem__(self, name: str) -> RemoteSource:
        return self._sources[name]

    @property
    def sources(self) -> list[RemoteSource]:
        """All sources, in order."""
        return list(self._sources.values())

    def __enter__(self) -> Self:
        # A session of its own: Ctrl-C in the terminal reaches the parent only, which then closes the lab.
        process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        self._process = process
        assert process.stdout is not None
        addresses: dict[str, str] = {}
        for line in process.stdout:
            said = json.loads(line)
            if "control_url" in said:
                self._sources = {
                    name: RemoteSource(name, base_url, said["control_url"]) for name, base_url in addresses.items()
                }
                return self
            addresses[said["name"]] = said["base_url"]
        self.close()
        raise RuntimeError(f"the lab did not start: exit code {process.returncode}")

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
