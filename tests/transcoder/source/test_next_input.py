"""Which input is opened next: its rules over any history, and the order in which several are tried."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transcoder.input import Input, SlateInput, SourceInput, Streams
from transcoder.job import Job
from transcoder.source.hold_off import hold_off_s
from transcoder.source.next_input import Fit, InputChoice, NextInput, fit


def made(name: str, provider: str = "", **changes: object) -> Input:
    source = SourceInput(f"http://{provider or name}.example/{name}", None, {})
    return Input(name, provider, source, None, None, False)._replace(**changes)  # type: ignore[arg-type]


A, B, C, D = made("a", "p"), made("b", "p"), made("c", "q"), made("d", "r")


@dataclass
class Story:
    """One attempt's inputs over time; everything may be opened unless `closed` says from when on."""

    granted: tuple[Input, ...]
    choice: InputChoice = field(default_factory=InputChoice)
    now_s: float = 1000.0
    closed: dict[str, float] = field(default_factory=dict)
    fits: dict[str, Fit] = field(default_factory=dict)

    def next(self) -> NextInput:
        return self.choice.next(
            self.granted,
            lambda each: self.fits.get(each.id, Fit.COPIED),
            lambda each: max(self.now_s, self.closed.get(each.id, 0.0)),
            self.now_s,
        )

    def opens(self) -> str:
        found = self.next().input
        return found.id if found else ""

    def fails(self, input: Input) -> str:
        self.choice.failed(input, self.now_s)
        return self.opens()


def test_other_providers_come_first_for_five_seconds_after_a_failure() -> None:
    story = Story((A, B, C))
    assert story.fails(A) == "c"
    later = Story((A, B, C))
    later.choice.failed(A, later.now_s)
    later.now_s += 5.0
    assert later.opens() == "b", "the order that was granted"


def test_an_input_that_can_be_copied_comes_before_one_that_must_be_transcoded() -> None:
    assert Story((A, C, D), fits={"c": Fit.TRANSCODED}).fails(A) == "d"


def test_one_whose_segments_are_too_far_apart_comes_last_of_all() -> None:
    assert Story((A, C, B), fits={"c": Fit.UNSUITABLE}).fails(A) == "b", "also after one of the provider that has failed"


def test_one_that_has_failed_in_the_incident_is_not_opened_before_the_others() -> None:
    story = Story((A, C, D), closed={"d": 1011.0})
    assert story.fails(A) == "c"
    assert story.fails(C) == ""
    story.now_s = 1011.0
    assert story.opens() == "d", "although the first may be opened again"


def test_all_have_failed_so_the_first_whose_hold_off_ends_is_opened() -> None:
    story = Story((A, C))
    story.fails(A)
    assert story.fails(C) == ""
    story.now_s = story.next().at_s
    assert story.now_s == pytest.approx(1000.0 + min(hold_off_s("a", 1), hold_off_s("c", 1)))
    assert story.opens() in ("a", "c")


def test_a_failure_after_a_settled_leg_counts_as_the_first() -> None:
    story = Story((A,))
    for _ in range(6):
        story.fails(A)
    assert story.next().at_s == pytest.approx(1000.0 + hold_off_s("a", 6))
    story.choice.settled(A)
    story.fails(A)
    assert story.next().at_s == pytest.approx(1000.0 + hold_off_s("a", 1))


def test_after_a_crash_the_same_input_is_opened_once_more_and_then_another() -> None:
    story = Story((C, A, B))
    story.choice.crashed(A, story.now_s)
    assert story.opens() == "a"
    story.choice.crashed(A, story.now_s)
    assert story.opens() == "c"
    story.choice.settled(C)
    story.now_s += 400
    story.choice.crashed(A, story.now_s)
    assert story.opens() == "a", "another incident"


def test_a_crash_is_no_reason_to_avoid_the_provider() -> None:
    story = Story((C, A, B))
    for _ in range(2):
        story.choice.crashed(A, story.now_s)
    story.closed["c"] = 2000.0
    assert story.opens() == "b"


def test_hold_off_doubles_up_to_five_minutes() -> None:
    times = [hold_off_s("x", n) for n in range(1, 12)]
    for expected_s, s in zip([10, 20, 40, 80, 160, *[300] * 6], times, strict=True):
        assert 0.8 * expected_s <= s <= expected_s


INPUTS = (A, B, C, D)
happenings = st.lists(
    st.tuples(
        st.floats(0, 30),
        st.sampled_from(["failed", "failed", "crashed", "settled"]),
        st.dictionaries(st.sampled_from("abcd"), st.floats(0, 90), max_size=4),
        st.dictionaries(st.sampled_from("abcd"), st.sampled_from(Fit), max_size=4),
    ),
    max_size=60,
)


@given(st.integers(1, 4), happenings)
def test_rules_of_any_history(count: int, history: list[tuple[float, str, dict[str, float], dict[str, Fit]]]) -> None:
    story = Story(INPUTS[:count])
    playing: Input | None = story.granted[0]
    failed: set[str] = set()  # in this incident
    held_off_s: dict[str, float] = {}  # the least that the hold-off of each lasts
    crashed: set[str] = set()
    last_failure: tuple[Input, float] | None = None
    for wait_s, what, closed_for_s, story.fits in history:
        story.now_s += wait_s
        story.closed = {name: story.now_s + s for name, s in closed_for_s.items() if s > 1}
        if playing is not None:
            match what:
                case "settled":
                    story.choice.settled(playing)
                    failed.clear()
                    crashed.clear()
                    held_off_s.pop(playing.id, None)
                    continue
                case "failed":
                    story.choice.failed(playing, story.now_s)
                    last_failure = playing, story.now_s
                case _:
                    story.choice.crashed(playing, story.now_s)
            again = what == "crashed" and playing.id not in crashed
            if again:
                crashed.add(playing.id)
            else:
                failed.add(playing.id)
                held_off_s[playing.id] = story.now_s + 8.0
        else:
            again = False
        before, playing = playing, None
        chosen, at_s = story.next()
        openable = [each for each in story.granted if story.closed.get(each.id, 0.0) <= story.now_s]
        fresh = [each for each in openable if each.id not in failed]
        if chosen is None:
            assert at_s > story.now_s, "a time to ask again, which is not now"
            assert [each for each in fresh if held_off_s.get(each.id, 0.0) <= story.now_s - 300] == []
            assert all(each.id in held_off_s for each in openable), "something that may be opened is opened"
            continue
        playing = chosen
        assert chosen in openable
        assert story.now_s >= held_off_s.get(chosen.id, 0.0), "held off"
        if again and before in openable and story.now_s >= held_off_s.get(before.id, 0.0) + 292:
            assert chosen is before
        never_failed = [each for each in fresh if each.id not in held_off_s]
        if never_failed:
            assert chosen.id not in failed, "one that has not failed in the incident comes first"
        if last_failure and story.now_s - last_failure[1] < 5.0 and not again and chosen.provider == last_failure[0].provider:
            suitable = [each for each in never_failed if story.fits.get(each.id, Fit.COPIED) <= Fit.TRANSCODED]
            assert all(each.provider == chosen.provider for each in suitable), "other providers come first"


JOB = Job(*[None] * len(Job._fields))._replace(profile="copy", hevc="copy")  # type: ignore[arg-type]
SENDING = Streams("h264", "aac", 2)


@pytest.mark.parametrize(
    ("input", "expected"),
    [
        (A, Fit.COPIED),
        (made("x", expected=SENDING, cadence_s=4.0), Fit.COPIED),
        (made("x", expected=Streams("h264", "mp2", 2)), Fit.COPIED),
        (made("x", expected=Streams("hevc", "aac", 2)), Fit.TRANSCODED),
        (made("x", expected=SENDING, cadence_s=6.0), Fit.UNSUITABLE),
        (made("x", expected=Streams(None, "aac", 2)), Fit.UNSUITABLE),
        (made("slate", source=SlateInput("")), Fit.SLATE),
    ],
)
def test_how_well_an_input_continues_the_session(input: Input, expected: Fit) -> None:
    assert fit(input, JOB, SENDING, 4.0) is expected
