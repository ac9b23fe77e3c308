"""Which sources nobody has looked at yet are probed next, and how often one that never worked is asked again."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from orchestrator.core.model import Media, Source, SourceStatus
from orchestrator.core.source.first_probes import (
    AMONG_ALL,
    AT_ONCE,
    AT_ONE_HOST,
    AT_ONE_LIMITED,
    free_for_first_probes,
    host_of,
    next_first_probes,
)
from orchestrator.core.source.reprobe_interval import LONGEST_PAUSE_S, is_due


def source(number: int, host: str = "a", provider: str | None = None) -> Source:
    return Source(
        id=f"x-{number}", channel_id="c-1", url=f"http://user:pass@{host}.test:8000/{number}.ts", provider_id=provider
    )


def ids(sources: tuple[Source, ...]) -> list[str]:
    return [each.id for each in sources]


def test_a_few_at_once_in_their_order_and_two_at_one_host() -> None:
    unseen = [source(n, "a" if n < 5 else f"h{n}") for n in range(20)]
    assert ids(next_first_probes(unseen, (), probes=0, spare={})) == ["x-0", "x-1", "x-5", "x-6", "x-7", "x-8"]
    assert ids(next_first_probes(unseen, [source(90), source(91)], probes=2, spare={})) == ["x-5", "x-6", "x-7", "x-8"]


def test_four_at_a_host_whose_providers_limit_is_known() -> None:
    unseen = [source(n, "a", "p-1") for n in range(9)]
    assert ids(next_first_probes(unseen, (), probes=0, spare={"p-1": 9})) == ["x-0", "x-1", "x-2", "x-3"]
    assert ids(next_first_probes(unseen, (), probes=0, spare={})) == ["x-0", "x-1"]


def test_while_others_probe_much_none_is_begun() -> None:
    assert ids(next_first_probes([source(1)], (), probes=AMONG_ALL - 1, spare={})) == ["x-1"]
    assert next_first_probes([source(1)], (), probes=AMONG_ALL, spare={}) == ()
    assert next_first_probes([source(1)], (), probes=AMONG_ALL + 9, spare={}) == ()


def test_a_full_provider_is_passed_over_and_no_provider_is_made_full() -> None:
    unseen = [source(n, f"h{n}", "p-1") for n in range(4)] + [source(7, "h7", "p-2"), source(8, "h8", "p-3"), source(9, "h9")]
    assert ids(next_first_probes(unseen, (), probes=0, spare={"p-1": 1, "p-2": 0})) == ["x-0", "x-8", "x-9"]
    limit_and_in_use = [(1, 0), (1, 1), (2, 0), (2, 1), (5, 2), (5, 4), (5, 9)]
    assert [free_for_first_probes(*each) for each in limit_and_in_use] == [1, 0, 1, 0, 2, 0, 0]


def test_whom_a_probe_disturbs_is_told_by_its_host() -> None:
    assert host_of("http://user:pass@CDN.test:8000/a") == host_of("https://cdn.test/b") == "cdn.test"
    assert host_of("http://[::1/") == ""


hosts = st.sampled_from(("a", "b", "c"))
accounts = st.sampled_from((None, "p-1", "p-2"))
lists = st.lists(st.tuples(hosts, accounts), max_size=30)


@given(lists, lists, st.integers(0, 40), st.dictionaries(st.sampled_from(("p-1", "p-2")), st.integers(0, 3)))
def test_no_bound_is_ever_passed(
    unseen: list[tuple[str, str | None]], begun: list[tuple[str, str | None]], others: int, spare: dict[str, int]
) -> None:
    waiting = [source(n, *each) for n, each in enumerate(unseen)]
    under_way = next_first_probes([source(100 + n, *each) for n, each in enumerate(begun)], (), probes=0, spare={})
    chosen = next_first_probes(waiting, under_way, probes=len(under_way) + others, spare=spare)
    assert len(chosen) + len(under_way) <= AT_ONCE
    assert not chosen or len(chosen) + len(under_way) + others <= AMONG_ALL
    at = Counter(host_of(each.url) for each in (*chosen, *under_way))
    assert all(count <= AT_ONE_LIMITED for count in at.values())
    free = Counter(host_of(each.url) for each in (*chosen, *under_way) if each.provider_id not in spare)
    assert all(count <= AT_ONE_HOST for count in free.values())
    of = Counter(each.provider_id for each in chosen)
    assert all(of[provider] <= left for provider, left in spare.items())


# --- what never worked ------------------------------------------------------------------------------------------------

NEVER_WORKED = replace(source(1), status=SourceStatus.PROBLEMATIC, problematic_since=1000.0, last_checked_at=1000.0)


def test_what_never_worked_is_asked_more_and_more_rarely() -> None:
    asked, at, row = [], 1000.0, NEVER_WORKED
    while at < 1000.0 + 4 * 3600.0:
        at += 120.0
        if is_due(row, at, 120.0):
            asked.append(round((at - 1000.0) / 60))
            row = replace(row, last_checked_at=at)
    assert asked == [2, 4, 8, 16, 32, 64, 124, 184]
    assert is_due(row, at + LONGEST_PAUSE_S, 120.0)


def test_what_has_worked_or_played_is_asked_every_time() -> None:
    hours_later = replace(NEVER_WORKED, last_checked_at=20_000.0)
    assert not is_due(hours_later, 20_120.0, 120.0)
    for change in ({"media": Media(video="h264")}, {"failure_count": 1}, {"stall_count": 1}, {"problematic_since": None}):
        assert is_due(replace(hours_later, **change), 20_120.0, 120.0), change
