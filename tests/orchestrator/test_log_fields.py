"""Which fields the orchestrator's log lines have: bound to the task that works on a session, and to no other."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from structlog.contextvars import get_contextvars

from tests.orchestrator.simulated.agent import Fault
from tests.orchestrator.simulated.world import World


class Fields(logging.Handler):
    """Keeps each record's message together with the fields that were bound when it was logged."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[tuple[str, dict[str, Any]]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append((record.getMessage(), get_contextvars()))

    def of(self, words: str) -> list[dict[str, Any]]:
        return [fields for message, fields in self.lines if words in message]


@pytest.fixture
def fields() -> Iterator[Fields]:
    fields = Fields()
    root = logging.getLogger()
    level = root.level
    root.addHandler(fields)
    root.setLevel(logging.INFO)
    yield fields
    root.removeHandler(fields)
    root.setLevel(level)


def test_what_a_session_does_is_logged_with_its_session_attempt_and_source(fields: Fields) -> None:
    with World("a") as world:
        one, other = world.live("one"), world.live("other")
        world.runtime.refusing = "no space left on device"
        world.kill(one)
        world.kill(other)
        world.until(lambda: len(fields.of("did not start")) >= 4, 30.0)
        source = world.row("a").id
    failed = fields.of("did not start")
    assert {each["session"] for each in failed} == {one, other}
    for message, each in fields.lines:
        if "did not start" in message:
            assert each["session"] in message, "the fields are those of this line's session"
            assert f"attempt {each['attempt']} " in message
            assert each["source"] == source
    steps = [(message, each) for message, each in fields.lines if " -> " in message]
    assert steps and all(message.startswith(each["session"]) for message, each in steps)
    assert get_contextvars() == {}


def test_a_probe_is_logged_with_its_source(fields: Fields) -> None:
    with World("a", "b") as world:
        for name in ("a", "b"):
            world.sources[name].fault = Fault.REFUSES
        world.request("one")
        world.until(lambda: len(fields.of(": refuses")) >= 2, 30.0)
        ids = {world.row(name).id for name in ("a", "b")}
    probes = [(message, each) for message, each in fields.lines if ": refuses" in message]
    assert {each["source"] for _, each in probes} == ids
    assert all(each["source"] in message for message, each in probes)
    assert get_contextvars() == {}
