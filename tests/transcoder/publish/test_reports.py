"""The queue of reports against a store that loses posts, or their answers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from transcoder.ending import Ending
from transcoder.publish.reports import MOST_WAITING, Reports
from transcoder.report import MOST_HAPPENINGS, Happening, Report, What, parse, render


def listed(leg: int) -> Happening:
    return Happening(What.LISTED, 0.0, leg, "a")


def test_what_waits_is_sent_together_with_its_age() -> None:
    reports = Reports()
    reports.tell(listed(1), 10.0)
    reports.tell(Happening(What.ENDED, 0.0, 1, "a", ending=Ending.SOURCE_ENDED), 12.0)
    sent = reports.next(13.0)
    assert sent is not None
    assert (sent.n, [each.age_s for each in sent.happenings]) == (1, [3.0, 1.0])
    reports.tell(listed(2), 13.0)
    assert reports.next(14.0) is None, "one is under way"
    reports.sent(True, 14.0)
    assert reports.next(14.0) == Report(2, (listed(2)._replace(age_s=1.0),))


def test_a_report_that_is_sent_again_has_the_same_contents_and_new_ages() -> None:
    reports = Reports()
    reports.tell(listed(1), 10.0)
    assert reports.next(10.0) == Report(1, (listed(1),))
    reports.tell(listed(2), 10.0)
    reports.sent(False, 11.0)
    assert reports.next(11.2) is None, "backoff"
    assert reports.next(11.5) == Report(1, (listed(1)._replace(age_s=1.5),))


def test_that_it_is_still_working_waits_once() -> None:
    reports = Reports()
    for at_s in range(10):
        reports.tell(Happening(What.WORKING, 0.0, 1, "a"), float(at_s))
    assert reports.next(9.0) == Report(1, (Happening(What.WORKING, 0.0, 1, "a"),))


steps = st.lists(
    st.one_of(
        st.integers(1, 40),  # so many things happen
        st.sampled_from(["stored", "answer lost", "not stored"]),
        st.floats(0, 10),  # time passes
    ),
    max_size=200,
)


@given(steps)
def test_any_store_gets_everything_in_order_and_numbers_without_a_gap(history: list[int | str | float]) -> None:
    reports, now_s, happened = Reports(), 1e6, 0
    inbox: dict[int, list[int]] = {}  # what the store has: report number -> legs
    contents: dict[int, list[int]] = {}  # what was sent under each number

    def post(outcome: str) -> None:
        report = reports.next(now_s)
        if report is None:
            return
        legs = [each.leg for each in report.happenings]
        assert parse(render(report)).n == report.n
        assert 1 <= len(legs) <= MOST_HAPPENINGS
        assert contents.setdefault(report.n, legs) == legs, "a number's contents never change"
        assert reports.next(now_s) is None
        if outcome != "not stored":
            inbox[report.n] = legs
        reports.sent(outcome == "stored", now_s)

    for what in history:
        match what:
            case int():
                for _ in range(what):
                    happened += 1
                    reports.tell(listed(happened), now_s)
            case str():
                post(what)
            case float():
                now_s += what
        assert len(reports) <= MOST_WAITING
    for _ in range(MOST_WAITING):  # the store works again
        now_s += 5.0
        post("stored")
    assert len(reports) == 0
    assert sorted(inbox) == list(range(1, len(inbox) + 1))
    delivered = [leg for n in sorted(inbox) for leg in inbox[n]]
    assert delivered == sorted(set(delivered)), "in order, and once"
    assert len(delivered) + reports.dropped == happened
    if not reports.dropped:
        assert delivered == list(range(1, happened + 1))
    elif happened:
        assert delivered[-1] == happened, "the newest are kept"


@given(st.lists(st.floats(0, 5), max_size=300))
def test_no_attempt_posts_as_often_as_one_that_is_distrusted(pauses_s: list[float]) -> None:
    """Something happens after each of these pauses, and the store takes all at once."""
    reports, now_s, sent_s, told = Reports(), 1e6, list[float](), 0
    for pause_s in pauses_s:
        now_s += pause_s
        reports.tell(listed(1), now_s)
        if (report := reports.next(now_s)) is not None:
            sent_s.append(now_s)
            told += len(report.happenings)
            reports.sent(True, now_s)
    assert all(sum(0 <= each - first < 60.0 for each in sent_s) <= 30 for first in sent_s)
    assert told + len(reports) == len(pauses_s), "what waits is told later"
    if len(reports):
        assert reports.next(now_s, last=True) is not None, "an attempt that ends does not wait for its turn"
