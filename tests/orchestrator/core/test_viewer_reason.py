"""What a viewer is told of a reason: a class of a closed set, and none of its words."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.adapters.ffmpeg import ffprobe
from orchestrator.core.model import Event, EventType
from orchestrator.core.reading import viewer_reason
from orchestrator.core.reading.viewer_reason import ViewerReason
from orchestrator.core.session.blame import of_exit
from orchestrator.core.session.decide import PLANNED
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
    assert viewer_reason.of(reason) == told


@pytest.mark.parametrize("reason", PLANNED)
def test_what_was_planned_is_no_failure(reason: str) -> None:
    assert viewer_reason.of(reason) is ViewerReason.PLANNED


@pytest.mark.parametrize("ending", [each for each in Ending if each is not Ending.BY_REQUEST])
def test_every_ending_has_a_class(ending: Ending) -> None:
    told = viewer_reason.of(of_exit(ending).reason)
    assert told is not ViewerReason.FAILED
    assert (told is ViewerReason.SERVICE) is not ending.blames_source


ROOT = Path(__file__).parents[3]
SAID_IN = (
    "orchestrator/adapters/http/bounded_http.py",
    "orchestrator/adapters/ffmpeg/ffprobe.py",
    "orchestrator/adapters/http/hls_source.py",
    "orchestrator/core/session/blame.py",
    "orchestrator/core/session/choice.py",
    "orchestrator/core/session/decide.py",
    "orchestrator/core/session/slate.py",
    "orchestrator/core/session/steps.py",
    "orchestrator/core/session/operator_switch.py",
)
# Whose argument or result is a reason, and which names are given to one
CALLS = {"ProbeResult", "Look", "Unreadable", "_NotAPlaylist", "Failure", "Patience", "AttemptEnded"}
FUNCTIONS = {"_reason", "_why", "_why_not", "_why_none", "_what_it_is", "_encryption", "_lacks_a_decoder", "status_words"}
NAMES = {"reason", "refusal", "complaint", "_REASONS", "NO_PROTOCOL", "NOT_MEDIA", "FAILBACK", "FAILBACK_FAILED", "CHANGED",
         "OPERATOR", "ROLLED", "REQUESTED", "RENEWAL"}  # fmt: skip
UNKNOWN = {"cannot be read", "does not work"}  # by their very words


def words_of(node: ast.AST) -> Iterator[str]:
    """The sentences in an expression; "458" stands for what is known only when they are said."""
    match node:
        case ast.Constant(value=str(text)) if " " in text or text.isalpha():
            yield text
        case ast.JoinedStr(values=parts):
            text = "".join(str(part.value) if isinstance(part, ast.Constant) else "458" for part in parts)
            if any(map(str.isalpha, text)):
                yield text
        case ast.Tuple(elts=[ast.Constant(value=str()), told]):  # what FFmpeg says, and what is said for it
            yield from words_of(told)
        case ast.Compare() | ast.Subscript():
            pass
        case ast.Call() as call:
            for argument in (*call.args, *(each.value for each in call.keywords)):
                yield from words_of(argument)
        case ast.IfExp(body=body, orelse=orelse):
            yield from (*words_of(body), *words_of(orelse))
        case _:
            for child in ast.iter_child_nodes(node):
                yield from words_of(child)


def said(path: str) -> Iterator[str]:
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        match node:
            case ast.Call(func=ast.Name(id=name)) if name in CALLS:
                yield from words_of(node)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) if name in FUNCTIONS:
                for each in ast.walk(node):
                    if isinstance(each, ast.Return) and each.value is not None:
                        yield from words_of(each.value)
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if name in NAMES:
                yield from words_of(value)


@pytest.mark.parametrize(("path", "reason"), [(path, each) for path in SAID_IN for each in sorted(set(said(path)))])
def test_every_reason_that_is_written_down_anywhere_has_a_class(path: str, reason: str) -> None:
    """Read from the source text: a reason that somebody adds is found here without being listed."""
    assert (viewer_reason.of(reason) is ViewerReason.FAILED) is (reason in UNKNOWN)


def test_reasons_are_found() -> None:
    found = {each for path in SAID_IN for each in said(path)}
    assert {words for _, words in ffprobe._REASONS} <= found
    assert {"playlist stalled", "DASH (an MPD), not HLS", "protected by 458", "no other source"} <= found
    assert len(found) > 50


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
