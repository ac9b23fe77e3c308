"""Sessions as Docker containers: the only module that knows the Docker SDK.

Law: the engine is never waited for on the event loop. Calls run in a bounded pool, each thread with its own client; only the
event stream has a thread to itself. All calls may be repeated: a container is found again by its name.

Docker Engine API: https://docs.docker.com/reference/api/engine/
"""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any, TypeVar

import docker
import requests
import urllib3
from docker.errors import APIError, DockerException, ImageNotFound, NotFound
from docker.types import LogConfig
from docker.utils import kwargs_from_env

from orchestrator.app.settings import Settings
from orchestrator.core.model import Container, ContainerState
from orchestrator.core.session.blame import refused_field
from orchestrator.errors import EngineUnavailable, ImageMissing
from orchestrator.ports import ContainerEvent, EngineReport, Launch
from transcoder.ending import Ending

T = TypeVar("T")

_TIMEOUT_S = 10
_SHARES_OF_WHO_GIVES_WAY = 64
_LABEL = "hls-failover"
REVISION_LABEL = f"{_LABEL}.revision"
_EVENTS = ("start", "die", "oom", "pause", "unpause", "health_status", "destroy")
_HEALTH = re.compile(r"\((healthy|unhealthy)\)$")
_REFUSAL_LINES = 5  # the agent ends with it
_NEVER = "0001-01-01T00:00:00Z"  # Go's zero time: the engine's word for "not yet"


class DockerRuntime:
    """`ports.ContainerRuntime` on the engine that DOCKER_HOST names, or the one at the usual socket."""

    kind = "docker"

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._pool = ThreadPoolExecutor(settings.docker_pool, thread_name_prefix="docker")
        self._thread = threading.local()
        self._clients: list[docker.APIClient] = []

    async def start(self, launch: Launch) -> None:
        await self._call(lambda client: self._start(client, launch))

    async def stop(self, session_id: str, attempt: int, grace_s: float) -> None:
        name = self._name(session_id, attempt)
        deadline = time.monotonic() + grace_s
        pause_s = 0.02
        # Between two looks no thread is held: starts go past stops that wait.
        running = await self._call(lambda client: _terminate(client, name))
        while running and time.monotonic() < deadline:
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, 0.2)
            running = await self._call(lambda client: _is_running(client, name))
        await self._call(lambda client: _remove(client, name))

    async def containers(self, session_id: str | None = None) -> tuple[Container, ...]:
        labels = [f"{_LABEL}.deployment={self._settings.deployment}"]
        if session_id is not None:
            labels.append(f"{_LABEL}.session={session_id}")
        return await self._call(lambda client: _containers(client, labels, closely=session_id is not None))

    def events(self) -> AsyncIterator[ContainerEvent]:
        # From this moment on, not from when the engine has answered: nothing falls between.
        return self._events(since=time.time())

    async def check(self) -> None:
        image = self._settings.transcoder_image

        def check(client: docker.APIClient) -> None:
            client.ping()
            client.inspect_image(image)  # type: ignore[no-untyped-call]

        await self._call(check)

    async def examine(self) -> EngineReport:
        image = self._settings.transcoder_image

        def examine(client: docker.APIClient) -> EngineReport:
            asked_at = time.time()
            info = client.info()
            skew_s = datetime.fromisoformat(info["SystemTime"]).timestamp() - (asked_at + time.time()) / 2
            labels = client.inspect_image(image)["Config"]["Labels"] or {}  # type: ignore[no-untyped-call]
            return EngineReport(
                clock_skew_s=skew_s, image_revision=labels.get(REVISION_LABEL), directory=info.get("DockerRootDir")
            )

        return await self._call(examine)

    async def close(self) -> None:
        await asyncio.to_thread(self._pool.shutdown, cancel_futures=True)
        for client in self._clients:
            client.close()

    # --- calls --------------------------------------------------------------------------------------------------------

    async def _call(self, work: Callable[[docker.APIClient], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._in_thread, work)

    def _in_thread(self, work: Callable[[docker.APIClient], T]) -> T:
        try:
            try:
                return work(self._client())
            except requests.ConnectionError:
                return work(self._client())  # the engine has restarted, and the kept connection is from before
        except ImageNotFound as error:
            image = self._settings.transcoder_image
            raise ImageMissing(f"the engine has no image {image}: `make image` builds it") from error
        except APIError as error:
            raise EngineUnavailable(str(error.explanation or error)) from error
        except (DockerException, requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise EngineUnavailable(f"no Docker engine answers: {_cause(error)}") from error

    def _client(self) -> docker.APIClient:
        client: docker.APIClient | None = getattr(self._thread, "client", None)
        if client is None:
            client = self._thread.client = _connect()
            self._clients.append(client)
        return client

    # --- one container ------------------------------------------------------------------------------------------------

    def _name(self, session_id: str, attempt: int) -> str:
        return f"{self._settings.deployment}-{session_id}-{attempt}"

    def _start(self, client: docker.APIClient, launch: Launch) -> None:
        name = self._name(launch.session_id, launch.attempt)
        try:
            client.create_container(
                self._settings.transcoder_image,
                name=name,
                environment={"TRANSCODER_JOB": launch.job},
                labels={
                    f"{_LABEL}.deployment": self._settings.deployment,
                    f"{_LABEL}.session": launch.session_id,
                    f"{_LABEL}.attempt": str(launch.attempt),
                },
                host_config=self._host_config(client, launch),
            )
        except APIError as error:
            if error.status_code != 409:
                raise
            # Created before: the reply was lost, or the orchestrator. An attempt that has ended is not run twice, because
            # a segment's key is written once.
            if client.inspect_container(name)["State"]["Status"] != "created":
                return
        client.start(name)

    def _host_config(self, client: docker.APIClient, launch: Launch) -> dict[str, Any]:
        settings = self._settings
        return client.create_host_config(
            network_mode=settings.docker_network,
            # A decoder that is subverted by what it decodes finds nothing to write to and nothing to become.
            read_only=True,
            cap_drop=["ALL"],
            security_opt=["no-new-privileges:true"],
            tmpfs={"/tmp": "rw,noexec,nosuid,nodev,size=16m,mode=1777"},  # noqa: S108 - the container's
            # No shared memory: nothing asks for it, and a mount less starts faster.
            ipc_mode="none",
            mem_limit=f"{settings.container_memory_mb}m",
            memswap_limit=f"{settings.container_memory_mb}m",
            nano_cpus=int(settings.container_cpus * 1e9),
            # Only where containers compete; 1024 is the engine's own.
            cpu_shares=_SHARES_OF_WHO_GIVES_WAY if launch.gives_way else 1024,
            pids_limit=256,
            # The agent uploads its log itself; this copy is for containers that could not.
            log_config=LogConfig(type="local", config={"max-size": "1m", "max-file": "1", "compress": "false"}),
            # Restarting is the orchestrator's decision.
            restart_policy={"Name": "no"},
        )

    # --- events -------------------------------------------------------------------------------------------------------

    async def _events(self, since: float) -> AsyncIterator[ContainerEvent]:
        loop = asyncio.get_running_loop()
        queue: asyncio.Queue[ContainerEvent | EngineUnavailable] = asyncio.Queue()
        feed = _EventFeed(self._settings.deployment, since, lambda item: loop.call_soon_threadsafe(queue.put_nowait, item))
        feed.start()
        try:
            while True:
                item = await queue.get()
                if isinstance(item, EngineUnavailable):
                    raise item
                yield item
        finally:
            feed.close()


class _EventFeed(threading.Thread):
    """Reads the engine's event stream and hands on what concerns this deployment, until it breaks or is closed."""

    def __init__(self, deployment: str, since: float, emit: Callable[[ContainerEvent | EngineUnavailable], object]) -> None:
        super().__init__(name="docker-events", daemon=True)
        self._filters = {"type": "container", "label": f"{_LABEL}.deployment={deployment}", "event": list(_EVENTS)}
        self._since = since
        self._emit = emit
        self._lock = threading.Lock()
        self._stream: Any = None
        self._closed = False

    def run(self) -> None:
        reason = "the event stream has ended"
        try:
            with _connect() as client:
                client.ping()  # bounded in time, as the stream is not
                # The engine takes fractions of a second, though the SDK's types know whole ones only.
                since: Any = f"{self._since:.6f}"
                stream = client.events(since=since, filters=self._filters, decode=True)
                with self._lock:
                    self._stream = stream
                    if self._closed:
                        self._shut_down()
                        return
                for event in stream:
                    attributes = event["Actor"]["Attributes"]
                    if not attributes.get(f"{_LABEL}.attempt", "").isdecimal():
                        continue
                    seen = ContainerEvent(attributes[f"{_LABEL}.session"], int(attributes[f"{_LABEL}.attempt"]))
                    self._tell(seen)
        except (DockerException, requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            reason = _cause(error)
        self._tell(EngineUnavailable(f"no engine events: {reason}"))

    def _tell(self, item: ContainerEvent | EngineUnavailable) -> None:
        with self._lock:
            if not self._closed:
                self._emit(item)

    def close(self) -> None:
        """Ends the connection, and with it the thread."""
        with self._lock:
            self._closed = True
            if self._stream is not None:
                self._shut_down()
        self.join(timeout=1.0)

    def _shut_down(self) -> None:
        try:
            self._stream.close()
        except (OSError, AttributeError):
            pass  # it had ended by itself


def _connect() -> docker.APIClient:
    return docker.APIClient(**kwargs_from_env(), version="auto", timeout=_TIMEOUT_S)


def _terminate(client: docker.APIClient, name: str) -> bool:
    """Whether there is something to wait for. What is paused hears no signal."""
    try:
        client.kill(name, "SIGTERM")
    except APIError as error:
        if error.status_code in (404, 409):  # gone; or not running, or paused
            return False
        raise
    return True


def _is_running(client: docker.APIClient, name: str) -> bool:
    try:
        return bool(client.inspect_container(name)["State"]["Running"])
    except NotFound:
        return False


def _remove(client: docker.APIClient, name: str) -> None:
    try:
        client.remove_container(name, force=True, v=True)
    except APIError as error:
        if error.status_code not in (404, 409):  # gone, or going
            raise


def _containers(client: docker.APIClient, labels: list[str], *, closely: bool) -> tuple[Container, ...]:
    listed = client.containers(all=True, filters={"label": labels})
    return tuple(found for each in listed if (found := _container(client, each, closely=closely)) is not None)


def _container(client: docker.APIClient, listed: dict[str, Any], *, closely: bool) -> Container | None:
    """One line of the list. What no longer runs, or not yet, is asked about: the list says nothing of exit codes.

    `closely`: what it calls running is asked about, too. The engine tells of a death or a pause first and brings its list up to
    date afterwards, so who looks because of an event would see what was before it.
    """
    if not listed["Labels"].get(f"{_LABEL}.attempt", "").isdecimal():
        return None  # not by us: it must not keep ours from being seen
    state = {}
    match listed["State"]:
        case "removing":
            return None
        case "running" | "restarting" if not closely:
            status = ContainerState.RUNNING
        case "paused" if not closely:
            status = ContainerState.PAUSED
        case _:
            try:
                state = client.inspect_container(listed["Id"])["State"]
            except NotFound:
                return None
            status = _status(state)
    health = _HEALTH.search(listed["Status"])
    verdict = state["Health"]["Status"] if state.get("Health") else health[1] if health else None
    # What the engine says of it quotes what it was given; who started it has that in the log.
    detail = "the engine cannot start it" if state.get("Error") else ""
    if status is ContainerState.EXITED and state["ExitCode"] == Ending.BAD_JOB:
        detail = _refused_field(client, listed["Id"])
    return Container(
        id=listed["Id"],
        session_id=listed["Labels"][f"{_LABEL}.session"],
        attempt=int(listed["Labels"][f"{_LABEL}.attempt"]),
        state=status,
        exit_code=state["ExitCode"] if status is ContainerState.EXITED else None,
        oom_killed=bool(state.get("OOMKilled")),
        healthy=verdict == "healthy" if verdict in ("healthy", "unhealthy") else None,
        created_at=float(listed["Created"]),
        detail=detail,
    )


def _refused_field(client: docker.APIClient, container_id: str) -> str:
    """What of its job the agent refuses; "" where that cannot be read, which keeps nobody from deciding."""
    try:
        log = client.logs(container_id, stdout=False, stderr=True, tail=_REFUSAL_LINES)
    except APIError:
        return ""
    return refused_field(log.decode(errors="replace"))


def _status(state: dict[str, Any]) -> ContainerState:
    if state["Running"]:
        return ContainerState.PAUSED if state["Paused"] else ContainerState.RUNNING
    if state["StartedAt"] != _NEVER:
        return ContainerState.EXITED
    return ContainerState.REFUSED if state.get("Error") else ContainerState.CREATED


def _cause(error: BaseException) -> str:
    """The innermost words: the SDK, requests and urllib3 each wrap the one error that says something."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
