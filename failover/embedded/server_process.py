"""Runs one server as a supervised child process: restarted with backoff when it ends, stopped within a time limit.

Rule: it never outlives this process, not even after SIGKILL. On Linux the kernel ends it (PR_SET_PDEATHSIG) when the *thread*
that called `spawn` ends; so call `spawn` from the main thread, where the event loop runs, never from a thread pool.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from orchestrator.errors import FailoverError

log = logging.getLogger(__name__)

# Asks the kernel for SIGKILL at the parent's death, checks that the parent has not died meanwhile, and executes the server.
# subprocess's preexec_fn could deadlock, because this process has threads; this costs the start of a bare interpreter (10 ms).
_LAUNCH = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 9)
if os.getppid() == int(sys.argv[1]): os.execv(sys.argv[2], sys.argv[2:])
"""

_LOG_LIMIT_BYTES = 10_000_000
_STABLE_S = 10.0  # a server that ran for so long is restarted without delay
_MAX_RESTART_DELAY_S = 5.0


class ServerProcess:
    """A server's command and a probe that tells when it is ready. It runs from `spawn` or `start` on."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        directory: Path,
        log_file: Path,
        ready: Callable[[], Awaitable[bool]],
        environ: Mapping[str, str] | None = None,
        start_limit_s: float = 20.0,
        stop_signal: signal.Signals = signal.SIGTERM,
        stop_limit_s: float = 3.0,
    ) -> None:
        self.name = name
        self.log_file = log_file
        self._command = command
        self._directory = directory
        self._ready = ready
        self._environ = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(directory), **(environ or {})}
        self._start_limit_s = start_limit_s
        self._stop_signal = stop_signal
        self._stop_limit_s = stop_limit_s
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process id; None while the server does not run."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def spawn(self) -> None:
        """Start it and return at once. It gets a session of its own, so that a terminal's Ctrl-C reaches this process only."""
        if self.log_file.exists() and self.log_file.stat().st_size > _LOG_LIMIT_BYTES:
            self.log_file.replace(self.log_file.with_suffix(".old.log"))
        launcher = [sys.executable, "-I", "-S", "-c", _LAUNCH, str(os.getpid())] if sys.platform == "linux" else []
        with self.log_file.open("ab") as output:
            self._process = subprocess.Popen(
                [*launcher, *self._command], cwd=self._directory, env=self._environ,
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip

    async def start(self) -> None:
        """Start it and wait until it is ready. Raises FailoverError where it does not become ready; then it does not run."""
        self.spawn()
        await self.until_ready()

    async def until_ready(self) -> None:
        """Wait until a spawned server is ready; otherwise as `start`."""
        deadline = time.monotonic() + self._start_limit_s
        while not await self._ready():
            if self.pid is None or time.monotonic() > deadline:
                why = f"was not ready within {self._start_limit_s:g} s" if self.pid else f"ended ({self._last_words()})"
                await self.stop()
                raise FailoverError(f"{self.name} {why}; its log is {self.log_file}")
            await asyncio.sleep(0.02)

    async def keep(self) -> None:
        """Restart it whenever it has ended, until cancelled. The delay doubles while it ends soon after each start."""
        delay_s, since = 0.0, time.monotonic()
        while True:
            await asyncio.sleep(0.2)
            if self.pid is not None:
                continue
            delay_s = 0.0 if time.monotonic() - since > _STABLE_S else min(delay_s * 2 or 0.2, _MAX_RESTART_DELAY_S)
            log.warning("%s ended (%s); starting it again; its log is %s", self.name, self._last_words(), self.log_file)
            await asyncio.sleep(delay_s)
            since = time.monotonic()
            try:
                self.spawn()
            except OSError as error:
                log.warning("%s does not start: %s", self.name, error)

    @contextlib.asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Run `keep` in the background for as long as the context is open."""
        keeping = asyncio.create_task(self.keep(), name=f"keep {self.name}")
        try:
            yield
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)

    def kill(self) -> None:
        """Send SIGKILL and wait for the end. Does nothing where the server does not run."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    async def stop(self) -> None:
        """Send its stop signal, and SIGKILL after `stop_limit_s`. Does nothing where the server does not run."""
        if self.pid is None or self._process is None:
            return
        self._process.send_signal(self._stop_signal)
        with contextlib.suppress(subprocess.TimeoutExpired):
            await asyncio.to_thread(self._process.wait, self._stop_limit_s)
        self.kill()

    def _last_words(self) -> str:
        code = self._process.returncode if self._process is not None else None
        lines = self.log_file.read_bytes()[-4000:].decode(errors="replace").strip().splitlines()
        return f"exit code {code}" + (f": {lines[-1][:300]}" if lines else "")


async def answers(port: int, request: bytes, expected: bytes, timeout_s: float = 0.5) -> bool:
    """Whether the server on this loopback port answers `request` within `timeout_s` with bytes that contain `expected`."""
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(request)
                return expected in await reader.read(1000)
            finally:
                writer.close()
                await writer.wait_closed()
    except (OSError, TimeoutError):
        return False
