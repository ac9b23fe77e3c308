"""What a viewer is told of a cause: a class of a closed set, and none of the operators' words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.model import PLANNED, TITLES, Cause, Causes, Event, EventType, Fields
from orchestrator.core.presentation import viewer_reason
from orchestrator.core.presentation.viewer_reason import ViewerReason
from orchestrator.core.session.blame import of_exit
from tests.words import why
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
        ("HTTP status 999", "refused"),
        ("not media (text/html)", "unplayable"),
        ("a compressed answer (gzip) that is broken", "unplayable"),
        ("SRT: this FFmpeg does not speak the protocol", "unplayable"),
        ("only http, https, rtmp sources are let in", "unplayable"),
        ("bad job: channels: must be a number", "service"),
        ("provider A; B: all 3 connections are in use", "busy"),
        ("no other source", "planned"),
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
    assert viewer_reason.of(why(reason).cause) == told


@pytest.mark.parametrize("cause", sorted(PLANNED))
def test_what_was_planned_is_no_failure(cause: Cause) -> None:
    assert viewer_reason.of(cause) is ViewerReason.PLANNED


@pytest.mark.parametrize("ending", [each for each in Ending if each is not Ending.BY_REQUEST])
def test_every_ending_has_a_class(ending: Ending) -> None:
    told = viewer_reason.of(of_exit(ending).why.cause)
    assert told is not ViewerReason.FAILED
    assert (told is ViewerReason.SERVICE) is not ending.blames_source


@pytest.mark.parametrize("cause", Cause)
def test_every_cause_has_a_class_and_a_title(cause: Cause) -> None:
    assert cause in viewer_reason.CLASSES
    assert TITLES[cause]


@given(st.text(), st.none() | st.sampled_from(Cause))
def test_no_word_goes_through(reason: str, cause: Cause | None) -> None:
    fields: Fields = {"reason": reason, "sources": {"x": reason, "y": reason}}
    causes = Causes(cause, {} if cause is None else {"x": cause})
    event = Event(id=1, session_id="s", type=EventType.STREAM_UNAVAILABLE, at=0.0, fields=fields, causes=causes)
    told = viewer_reason.of_event(event).fields
    assert told["reason"] in CLASSES
    assert isinstance(told["sources"], dict) and set(told["sources"].values()) <= CLASSES
    assert told["sources"]["y"] == "failed", "what is not known"


def test_a_session_s_own_end_is_told_as_it_is() -> None:
    event = Event(id=1, session_id="s", type=EventType.SESSION_ENDED, at=0.0, fields={"reason": "idle"})
    assert viewer_reason.of_event(event) == event
