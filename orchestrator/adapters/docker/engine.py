"""Calls to the Docker engine, in a bounded pool of threads, each thread with a client of its own.

Rule: the engine is never waited for on the event loop. Every failure of the engine becomes EngineUnavailable (law 3), and a
missing image ImageMissing.

Docker Engine API: https://docs.docker.com/reference/api/engine/
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

import docker
import requests
import urllib3
from docker.errors import APIError, DockerException, ImageNotFound
from docker.utils import kwargs_from_env

from orchestrator.errors import EngineUnavailable, ImageMissing

T = TypeVar("T")

LABEL: Final = "hls-failover"  # of our containers and images: prefix of the labels' names
_TIMEOUT_S = 10


class DockerEngine:
    """The engine that DOCKER_HOST names, or the one at the usual socket. `image`: named where it is missing."""

    def __init__(self, threads: int, image: str) -> None:
        self._image = image
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="docker")
        self._thread = threading.local()
        self._clients: list[docker.APIClient] = []

    async def call(self, work: Callable[[docker.APIClient], T]) -> T:
        """Runs the work in a thread of the pool. It may run twice, so it must be idempotent. Raises EngineUnavailable,
        ImageMissing."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._in_thread, work)

    async def close(self) -> None:
        await asyncio.to_thread(self._pool.shutdown, cancel_futures=True)
        for client in self._clients:
            client.close()

    def _in_thread(self, work: Callable[[docker.APIClient], T]) -> T:
        try:
            try:
                return work(self._client())
            except requests.ConnectionError:
                return work(self._client())  # the engine has been restarted, and the kept connection is from before
        except ImageNotFound as error:
            raise ImageMissing(f"the engine has no image {self._image}: `make image` builds it") from error
        except APIError as error:
            raise EngineUnavailable(str(error.explanation or error)) from error
        except (DockerException, requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise EngineUnavailable(f"no Docker engine answers: {innermost(error)}") from error

    def _client(self) -> docker.APIClient:
        client: docker.APIClient | None = getattr(self._thread, "client", None)
        if client is None:
            client = self._thread.client = connect()
            self._clients.append(client)
        return client


def connect() -> docker.APIClient:
    return docker.APIClient(**kwargs_from_env(), version="auto", timeout=_TIMEOUT_S)


def innermost(error: BaseException) -> str:
    """The text of the innermost error: the SDK, requests and urllib3 each wrap the one error that says something."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
