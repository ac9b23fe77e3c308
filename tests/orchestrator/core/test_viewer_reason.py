"""What a viewer is told of a reason: a class of a closed set, and none of its words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.adapters import ffprobe
from orchestrator.core import viewer_reason
from orchestrator.core.blame import of_exit
from orchestrator.core.decide import PLANNED
from orchestrator.core.model import Event, EventType
from orchestrator.core.viewer_reason import ViewerReason
from transcoder.ending import Ending

CLASSES = {each.value for each in ViewerReason}


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("404 Not Found", "refused"),
        ("HTTP status 458", "refused"),
        ("503 Service Unavailable", "unreachable"),
        ("HTTP status 509", "unreachable"),
        ("no answer within 5 s", "unreachable"),
        ("no media within 5 s", "unreachable"),
        ("not media (text/html)", "unplayable"),
        ("provider Acme: its only connection is in use", "busy"),
        ("provider Acme: all 3 connections are in use", "busy"),
        ("requested; provider Acme: its only connection is in use", "planned"),
        ("source stalled; provider Acme: its only connection is in use", "stalled"),
        ("container refused: the transcoder image is missing", "service"),
        ("replaced: failback", "planned"),
        ("ended for its successor (operator): no connection for both", "planned"),
        ("http://tv.test/live/joe/hunter2/1.ts: Input/output error", "failed"),
        ("", "failed"),
    ],
)
def test_the_class_of_a_reason(reason: str, told: str) -> None:
    assert viewer_reason.of(reason) == told


@pytest.mark.parametrize("reason", PLANNED)
def test_what_was_planned_is_no_failure(reason: str) -> None:
    assert viewer_reason.of(reason) is ViewerReason.PLANNED


@pytest.mark.parametrize("ending", [each for each in Ending if each is not Ending.BY_REQUEST])
def test_every_ending_has_a_class(ending: Ending) -> None:
    told = viewer_reason.of(of_exit(ending).reason)
    assert told is not ViewerReason.FAILED
    assert (told is ViewerReason.SERVICE) is not ending.blames_source


@pytest.mark.parametrize("reason", {words for _, words in ffprobe._REASONS} | {"no video or audio"})
def test_every_reason_of_a_probe_that_can_be_told_apart_has_a_class(reason: str) -> None:
    unknown = {"not media", "leads to a protocol that is not let in", "this FFmpeg does not speak the protocol"}
    assert viewer_reason.of(reason) is not ViewerReason.FAILED or reason in unknown


@given(st.text() | st.text().map(lambda text: f"provider {text}: in use") | st.text().map(lambda text: f"404 {text}"))
def test_no_word_goes_through(reason: str) -> None:
    event = Event(
        id=1, session_id="s", type=EventType.STREAM_UNAVAILABLE, at=0.0, fields={"reason": reason, "sources": {"x": reason}}
    )
    told = viewer_reason.of_event(event).fields
    assert told["reason"] in CLASSES
    assert isinstance(told["sources"], dict) and set(told["sources"].values()) <= CLASSES
    assert viewer_reason.of_end(reason) in CLASSES | viewer_reason.END_REASONS


def test_a_session_s_own_end_is_told_as_it_is() -> None:
    event = Event(id=1, session_id="s", type=EventType.SESSION_ENDED, at=0.0, fields={"reason": "idle"})
    assert viewer_reason.of_event(event) == event
