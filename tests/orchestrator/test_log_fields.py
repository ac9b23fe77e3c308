"""Which fields the orchestrator's log lines have: bound to the task that works on a session, and to no other."""

from __future__ import annotations

import logging
from typing import Any

from structlog.contextvars import get_contextvars

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


def test_what_a_session_does_is_logged_with_its_session_attempt_and_source() -> None:
    fields = Fields()
    root = logging.getLogger()
    root.addHandler(fields)
    level = root.level
    root.setLevel(logging.INFO)
    try:
        with World("a") as world:
            one, other = world.live("one"), world.live("other")
            world.runtime.refusing = "no space left on device"
            world.kill(one)
            world.kill(other)
            world.until(lambda: len(fields.of("did not start")) >= 4, 30.0)
            source = world.row("a").id
    finally:
        root.removeHandler(fields)
        root.setLevel(level)
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
