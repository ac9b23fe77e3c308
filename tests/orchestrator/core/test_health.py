"""A source's health: each transition by hand, and what holds after any history."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import asdict, replace

from orchestrator.core.model import Media, Source, SourceStatus
from orchestrator.core.source import health
from tests.words import why

UNKNOWN, HEALTHY, PROBLEMATIC, RECOVERED, DISABLED = SourceStatus
SEEN = health.ProbeSucceeded(Media(video="h264"))
UNSEEN = health.ProbeFailed(why("connection refused"))
FAILED = health.Failed(why("404"))
STALLED = health.Failed(why("source stalled"), stalled=True, in_a_row=3)
SOURCE = Source(id="x-1", channel_id="c-1", url="http://a/")

TRANSITIONS = [
    (UNKNOWN, SEEN, HEALTHY),
    (HEALTHY, SEEN, HEALTHY),
    (PROBLEMATIC, SEEN, RECOVERED),
    (RECOVERED, SEEN, RECOVERED),
    (UNKNOWN, UNSEEN, PROBLEMATIC),
    (HEALTHY, UNSEEN, PROBLEMATIC),
    (RECOVERED, UNSEEN, PROBLEMATIC),
    (PROBLEMATIC, health.ProbeInconclusive(), UNKNOWN),
    (HEALTHY, health.ProbeInconclusive(), HEALTHY),
    (HEALTHY, FAILED, PROBLEMATIC),
    (RECOVERED, STALLED, PROBLEMATIC),
    (UNKNOWN, health.Listed(), HEALTHY),
    (PROBLEMATIC, health.Listed(), HEALTHY),
    (RECOVERED, health.PlayedSteadily(), HEALTHY),
    (HEALTHY, health.Moved(), UNKNOWN),
    (PROBLEMATIC, health.Enabled(), UNKNOWN),
    (DISABLED, health.Enabled(), UNKNOWN),
    (HEALTHY, health.Disabled(), DISABLED),
    *((DISABLED, what, DISABLED) for what in (SEEN, UNSEEN, FAILED, STALLED, health.Listed(), health.Moved())),
]

happenings = st.one_of(
    st.sampled_from(
        [SEEN, UNSEEN, health.Listed(), health.PlayedSteadily(), health.Moved(), health.Enabled(), health.Disabled()]
    ),
    st.builds(health.Failed, why=st.just(why("404")), stalled=st.booleans(), in_a_row=st.integers(1, 9)),
)
histories = st.lists(happenings, max_size=30)


@pytest.mark.parametrize(("status", "what", "then"), TRANSITIONS, ids=str)
def test_the_next_status(status: SourceStatus, what: health.Happening, then: SourceStatus) -> None:
    assert health.after(replace(SOURCE, status=status), what, 5.0).status is then


def test_failures_are_counted_by_kind_and_dated() -> None:
    failed = health.after(health.after(SOURCE, FAILED, 5.0), STALLED, 8.0)
    assert (failed.failure_count, failed.stall_count, failed.failures_in_a_row) == (1, 1, 3)
    assert (failed.last_failed_at, failed.last_failure_reason, failed.problematic_since) == (8.0, "source stalled", 5.0)


def test_a_failed_probe_counts_no_failure() -> None:
    failed = health.after(SOURCE, UNSEEN, 5.0)
    assert (failed.failure_count, failed.failures_in_a_row, failed.last_checked_at) == (0, 0, 5.0)


def test_healthy_since_lasts_over_successes_and_ends_with_a_failure() -> None:
    seen = health.after(health.after(SOURCE, SEEN, 5.0), SEEN, 9.0)
    assert (seen.healthy_since, seen.healthy_at) == (5.0, 9.0)
    failed = health.after(seen, UNSEEN, 10.0)
    assert (failed.healthy_since, failed.healthy_at) == (None, None)


def test_a_probe_that_could_not_read_the_playlist_does_not_forget_what_it_declares() -> None:
    known = health.after(SOURCE, health.ProbeSucceeded(Media(video="h264", cadence_s=6.0)), 5.0)
    assert health.after(known, SEEN, 6.0).media == Media(video="h264", cadence_s=6.0)
    assert health.after(known, health.ProbeSucceeded(Media(video="hevc", cadence_s=2.0)), 6.0).media == Media(
        video="hevc", cadence_s=2.0
    )
    assert health.edited(known, 7.0, url="http://b/").media is None


def test_another_address_is_judged_anew() -> None:
    known = health.after(health.after(SOURCE, SEEN, 5.0), FAILED, 6.0)
    moved = health.edited(known, 7.0, url="http://b/")
    assert (moved.url, moved.media, moved.failures_in_a_row, moved.status) == ("http://b/", None, 0, UNKNOWN)
    assert moved.failure_count == 1, "the past stays"
    assert health.edited(known, 7.0, url=known.url) == known


@given(histories)
def test_after_any_history(history: list[health.Happening]) -> None:
    source = SOURCE
    for at, what in enumerate(history):
        then = health.after(source, what, float(at))
        kept = set(asdict(source)) - set(health.FIELDS)
        assert {name: getattr(then, name) for name in kept} == {name: getattr(source, name) for name in kept}
        assert (then.failure_count, then.stall_count) >= (source.failure_count, 0)
        assert source.status is not DISABLED or then.status is DISABLED or isinstance(what, health.Enabled)
        if then.status is PROBLEMATIC:
            assert then.problematic_since is not None
            assert then.last_failed_at is not None
            assert then.healthy_since is None
        if then.healthy_since is not None:
            assert then.healthy_at is not None
            assert then.healthy_since <= then.healthy_at
        source = then


LATER = 100.0


@pytest.mark.parametrize("stalled", [False, True])
@pytest.mark.parametrize(
    "newer",
    [
        health.Listed(),
        health.ProbeSucceeded(Media()),
        health.ProbeFailed(why("unreachable")),
        health.Failed(why("source ended")),
    ],
)
def test_a_failure_that_is_told_late_is_counted_and_changes_nothing_newer(newer: health.Happening, stalled: bool) -> None:
    known = health.after(SOURCE, newer, LATER)
    then = health.after(known, health.Failed(why("source stalled"), stalled, 7, at=LATER - 1.0), LATER + 500.0)
    counted = replace(known, failure_count=known.failure_count + (not stalled), stall_count=known.stall_count + stalled)
    assert then == counted


def test_a_failure_that_is_told_late_and_is_the_newest_that_is_known_is_dated_by_when_it_was() -> None:
    known = health.after(SOURCE, health.Listed(), LATER)
    then = health.after(known, health.Failed(why("source ended"), in_a_row=2, at=LATER), LATER + 500.0)
    assert (then.status, then.last_failed_at, then.problematic_since, then.failures_in_a_row) == (PROBLEMATIC, LATER, LATER, 2)
