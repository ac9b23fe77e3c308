"""How often an attempt opens sources of one provider, over any history."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transcoder.input import Input, SlateInput, SourceInput
from transcoder.source.opening_limits import CLOSING_ANSWERS, OpeningLimits, account_of

_NEARLY = 1e-6  # windows are compared by floating-point sums


def most_within(times: list[float], window_s: float) -> int:
    return max((sum(0 <= each - first < window_s - _NEARLY for each in times) for first in times), default=0)


steps = st.lists(
    st.tuples(
        st.one_of(st.just(0.0), st.floats(0, 3), st.floats(0, 200)),
        st.sampled_from(["open", "open", "open", "wait", "leg", 403, 404, 458]),
    ),
    max_size=120,
)


@given(steps)
def test_no_history_opens_more_than_the_limits_allow(history: list[tuple[float, object]]) -> None:
    limits, now_s, opened, closed_until_s = OpeningLimits(), 1e9, list[float](), 0.0
    for wait_s, what in history:
        now_s += wait_s
        if isinstance(what, int):
            limits.answered("p", what, now_s)
            closed_until_s = now_s + 60.0 if what in CLOSING_ANSWERS else closed_until_s
            continue
        if what == "wait":
            now_s = limits.opens_at_s("p", now_s)
        if limits.opens_at_s("p", now_s, spare=1 if what == "leg" else 0) <= now_s:
            assert now_s >= closed_until_s
            limits.opened("p", now_s)
            opened.append(now_s)
            assert what != "leg" or limits.opens_at_s("p", now_s) <= now_s, "a new leg may be corrected at once"
    assert most_within(opened, 10.0) <= 4
    assert most_within(opened, 60.0) <= 12


@given(steps)
def test_what_is_refused_now_is_allowed_at_the_time_that_was_said(history: list[tuple[float, object]]) -> None:
    limits, now_s = OpeningLimits(), 1e9
    for wait_s, what in history:
        now_s += wait_s
        if isinstance(what, int):
            limits.answered("p", what, now_s)
        at_s = limits.opens_at_s("p", now_s)
        assert at_s <= now_s + 60.0 + _NEARLY, "never longer than a minute"
        assert limits.opens_at_s("p", at_s) <= at_s + _NEARLY
        if at_s <= now_s and what == "open":
            limits.opened("p", now_s)


def test_who_opens_for_ever_opens_once_a_minute_in_the_end() -> None:
    limits, now_s, opened = OpeningLimits(), 0.0, list[float]()
    while now_s < 3600:
        now_s = limits.opens_at_s("p", now_s)
        limits.opened("p", now_s)
        opened.append(now_s)
    assert opened[:4] == [0.0] * 4
    assert opened[4] == 10.0
    assert opened[-1] - opened[-2] == pytest.approx(60.0)
    assert len(opened) < 3600 / 60 + 13


def test_an_answer_that_refuses_the_account_closes_its_provider_alone_for_a_minute() -> None:
    limits = OpeningLimits()
    limits.answered("p", 458, 100.0)
    assert limits.opens_at_s("p", 101.0) == 160.0
    assert limits.opens_at_s("q", 101.0) == 101.0
    limits.answered("q", 404, 100.0)
    assert limits.opens_at_s("q", 101.0) == 101.0


def source(url: str, provider: str = "") -> Input:
    return Input("i", provider, SourceInput(url, None, {}), None, None, False)


def test_openings_count_for_the_provider_or_else_for_the_host() -> None:
    assert account_of(source("http://user:word@TV.example:8080/live/1.ts")) == "tv.example"
    assert account_of(source("https://tv.example/2.m3u8?x=a@b:1")) == "tv.example"
    assert account_of(source("rtmp://[::1]:1935/x")) == "[::1]"
    assert account_of(source("http://tv.example/1", "acme")) == account_of(source("http://cdn.example/1", "acme"))
    assert account_of(Input("slate", "", SlateInput(""), None, None, False)) == ""
    assert OpeningLimits().opens_at_s("", 5.0, spare=100) == 5.0
