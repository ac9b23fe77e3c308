"""What follows from a state for everybody who only looks: the phase, what viewers see, the attempts that are to run."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from orchestrator.core.model import (
    SLATE,
    TITLES,
    Attempt,
    Cause,
    Ended,
    Live,
    Phase,
    Requested,
    Session,
    Shown,
    Starting,
    State,
    Switching,
    Unavailable,
    Why,
)
from orchestrator.core.presentation import viewer_reason
from orchestrator.core.session.blame import of_exit
from tests.words import why
from transcoder.ending import Ending

FIRST, SECOND = Attempt.on(1, "a", 1.0, 2.0), Attempt.on(2, "b", 3.0, why=Why(Cause.FAILBACK))
SLATE_STARTS, SLATE_PLAYS = Attempt.on(3, SLATE, 3.0), Attempt.on(3, SLATE, 3.0, 4.0)
DOWN = Unavailable(since=1.0, why=Why(Cause.SOURCE_ENDED), from_source_id="a", retry_at=9.0)


@pytest.mark.parametrize(
    ("state", "phase", "shown", "attempts"),
    [
        (Requested(), Phase.REQUESTED, Shown.NOTHING, ()),
        (Starting(SECOND), Phase.STARTING, Shown.NOTHING, (2,)),
        (Live(FIRST), Phase.LIVE, Shown.SOURCE, (1,)),
        (Live(FIRST, successor=SECOND), Phase.SWITCHING, Shown.SOURCE, (2, 1)),
        (Switching(SECOND, "a"), Phase.SWITCHING, Shown.SOURCE, (2,)),
        (DOWN, Phase.UNAVAILABLE, Shown.NOTHING, ()),
        (replace(DOWN, shown=SLATE_STARTS), Phase.UNAVAILABLE, Shown.NOTHING, (3,)),
        (replace(DOWN, shown=SLATE_PLAYS), Phase.UNAVAILABLE, Shown.SLATE, (3,)),
        (replace(DOWN, shown=SLATE_PLAYS, trying=SECOND), Phase.UNAVAILABLE, Shown.SLATE, (2, 3)),
        (replace(DOWN, trying=SECOND), Phase.UNAVAILABLE, Shown.NOTHING, (2,)),
        (Ended(9.0), Phase.ENDED, Shown.NOTHING, ()),
    ],
)
def test_what_follows_from_a_state(state: State, phase: Phase, shown: Shown, attempts: tuple[int, ...]) -> None:
    session = Session(id="s", channel_id="c", viewer="v", created_at=0.0, state=state)
    assert (session.phase, session.shown) == (phase, shown)
    assert tuple(each.number for each in session.attempts) == attempts
    assert (session.attempt and session.attempt.number) == (attempts[0] if attempts else None)


def test_a_cause_is_told_with_its_detail_and_what_was_passed_over() -> None:
    assert Why(Cause.SOURCE_REFUSED).text == "source refused"
    assert Why(Cause.BAD_JOB, "channels").text == "bad job: channels"
    assert Why(Cause.CONTAINER_FAILED, "1").text == "container failed with 1"
    assert Why(Cause.HANDED_ON, "failback").text == "ended for its successor (failback): no connection for both"
    assert Why(Cause.REQUESTED, passed_over="provider P: its only connection is in use").text == (
        "requested; provider P: its only connection is in use"
    )
    assert Why(Cause.CONTAINER_REFUSED, "no {space} left").text == "container refused: no {space} left"


@pytest.mark.parametrize("ending", [each for each in Ending if each is not Ending.BY_REQUEST])
def test_an_exit_code_is_said_in_the_agents_own_words(ending: Ending) -> None:
    failure = of_exit(ending)
    assert failure.why.text == TITLES[failure.why.cause] == ending.words
    assert failure.blames_source is ending.blames_source


ROOT = Path(__file__).parents[3]
PROBES = sorted(Path(ROOT, "orchestrator/adapters").glob("ffmpeg/*.py")) + sorted(
    Path(ROOT, "orchestrator/adapters").glob("http/*.py")
)


def said() -> Iterator[tuple[str, str]]:
    """Every cause with words of its own that a probe may find, as the source text has it."""
    for path in PROBES:
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(func=ast.Name(id="Why"), args=[ast.Attribute(value=ast.Name(id="Cause"), attr=cause), detail]):
                    if any(map(str.isalpha, words := _words(detail))):
                        yield cause, words


def _words(detail: ast.expr) -> str:
    match detail:
        case ast.Constant(value=str(words)):
            return words
        case ast.JoinedStr(values=parts):
            return "".join(str(part.value) if isinstance(part, ast.Constant) else "458" for part in parts)
        case _:
            return ""


@pytest.mark.parametrize(("cause", "words"), sorted(set(said())))
def test_a_probe_says_the_cause_that_its_words_have_always_meant(cause: str, words: str) -> None:
    """Viewers' classes follow from the cause now, and followed from the words before."""
    assert viewer_reason.of(Cause[cause]) is viewer_reason.of(why(words).cause)


def test_words_of_probes_are_found() -> None:
    found = {words for _, words in said()}
    assert {"connection refused", "DASH (an MPD), not HLS", "empty playlist", "not an address"} <= found
    assert len(found) > 25
