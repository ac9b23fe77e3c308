"""What every test may use: waiting for a condition instead of sleeping, and saying what a test needs of the machine."""

from __future__ import annotations

import asyncio
import inspect
import os
import secrets
import socket
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

import pytest

T = TypeVar("T")


@overload
async def eventually(
    condition: Callable[[], Awaitable[T]], timeout_s: float = 10.0, every_s: float = 0.05, what: str = ""
) -> T: ...
@overload
async def eventually(condition: Callable[[], T], timeout_s: float = 10.0, every_s: float = 0.05, what: str = "") -> T: ...
async def eventually(condition: Callable[[], Any], timeout_s: float = 10.0, every_s: float = 0.05, what: str = "") -> Any:
    """Await until `condition()` (plain or async) is truthy, and return it. An AssertionError in it means: not yet.

    Fails with the last value, or the last assertion, when `timeout_s` have passed.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            result = condition()
            value: Any = await result if inspect.isawaitable(result) else result
            if value:
                return value
            last = repr(value)
        except AssertionError as error:
            last = str(error) or "an assertion that does not hold"
        if time.monotonic() > deadline:
            pytest.fail(f"{what or 'the condition'} did not come true within {timeout_s:g} s; last: {last}")
        await asyncio.sleep(every_s)


def eventually_sync(condition: Callable[[], T], timeout_s: float = 10.0, every_s: float = 0.05, what: str = "") -> T:
    """The same for tests and fixtures without an event loop."""
    return asyncio.run(eventually(condition, timeout_s, every_s, what))


def free_port() -> int:
    """A port of loopback that nobody listens on. It is below those that the kernel gives to outgoing connections, so it stays
    free until it is used; and no seed of a test decides it, so workers side by side choose different ones."""
    while True:
        port = 15_000 + secrets.randbelow(17_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def require(name: str, available: object, why: str) -> None:
    """Skip the test where `name` is not available, saying why; with FAILOVER_TEST_REQUIRE=all that is a failure."""
    if available:
        return
    if os.environ.get("FAILOVER_TEST_REQUIRE") == "all":
        pytest.fail(f"{name} is required and missing: {why}")
    pytest.skip(f"needs {name}: {why}")
