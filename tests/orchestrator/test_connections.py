"""The ledger: who holds what, who may have what, who is woken."""

from __future__ import annotations

from orchestrator.control.connection_ledger import ConnectionLedger
from orchestrator.core.model import Attempt, Cause, Container, ContainerState, Leg, Provider, Source, Why

ONE_LEFT = "provider Acme: its only connection is in use"


def source(name: str, provider: str | None = "p") -> Source:
    return Source(id=name, channel_id="c", url=f"http://{name}/", provider_id=provider)


A, B, FREE = source("a"), source("b"), source("free", None)
CURRENT = (Attempt.on(1, "a", 0.0),)


def runs(attempt: int, state: ContainerState = ContainerState.RUNNING) -> Container:
    return Container(id="", session_id="s", attempt=attempt, state=state)


class Ledger(ConnectionLedger):
    """Counted, of one provider with this limit."""

    def __init__(self, limit: int | None) -> None:
        self.woken_sessions: list[str] = []
        super().__init__(self.woken_sessions.append)
        self.set(limit)
        self.count({})

    def set(self, limit: int | None) -> None:
        self.limit([Provider(id="p", name="Acme", max_connections=limit)])


def test_what_one_session_takes_no_other_has() -> None:
    ledger = Ledger(1)
    assert ledger.full("s", [A, B, FREE]) == {}
    ledger.take("s", 1, A)
    assert ledger.full("t", [A, B, FREE]) == {"a": ONE_LEFT, "b": ONE_LEFT}
    assert ledger.full("s", [A, B, FREE]) == {}, "its own it may hand on"
    assert ledger.handed_on("s", [A, B, FREE]) == {"a", "b"}
    ledger.set(2)
    assert ledger.full("t", [A]) == {}
    assert ledger.handed_on("s", [A]) == frozenset()


def test_an_attempt_holds_on_until_its_container_is_seen_not_to_run() -> None:
    ledger = Ledger(1)
    ledger.take("s", 1, A)
    for state in (ContainerState.CREATED, ContainerState.RUNNING, ContainerState.PAUSED):
        ledger.observed("s", [runs(1, state)], CURRENT, [A])
        assert ledger.in_use("p") == 1
    ledger.take("s", 2, B)
    ledger.observed("s", [runs(1), runs(2)], [Attempt.on(2, "b", 0.0)], [A, B])
    assert ledger.in_use("p") == 2, "the old one is being stopped"
    ledger.observed("s", [runs(1, ContainerState.EXITED), runs(2)], [Attempt.on(2, "b", 0.0)], [A, B])
    assert ledger.in_use("p") == 1
    ledger.observed("s", [])
    assert ledger.in_use("p") == 0
    assert ledger.sessions == ()


def test_a_decision_that_was_not_committed_gives_back() -> None:
    ledger = Ledger(1)
    ledger.take("s", 1, A)
    ledger.give_back("s", 1)
    assert (ledger.in_use("p"), ledger.full("t", [A])) == (0, {})


def test_a_container_holds_for_the_provider_that_it_was_started_with() -> None:
    ledger = Ledger(1)
    ledger.take("s", 1, A)
    ledger.observed("s", [runs(1)], CURRENT, [source("a", "other")])
    assert (ledger.in_use("p"), ledger.in_use("other")) == (1, 0)


def test_a_source_that_is_given_a_provider_counts_from_then_on() -> None:
    ledger = Ledger(1)
    ledger.take("s", 1, source("a", None))
    ledger.observed("s", [runs(1)], CURRENT, [source("a", None)])
    assert ledger.in_use("p") == 0
    ledger.observed("s", [runs(1)], CURRENT, [A])
    assert ledger.in_use("p") == 1


def test_what_ran_before_is_counted_and_until_then_nothing_is_probed() -> None:
    ledger = ConnectionLedger(lambda _: None)
    ledger.limit([Provider(id="p", name="Acme", max_connections=2)])
    assert not ledger.take_for_probe(A)
    assert ledger.take_for_probe(FREE)
    ledger.count({("s", 4): "p", ("t", 1): "p"})
    assert ledger.in_use("p") == 2
    assert ledger.full("u", [A]) == {"a": "provider Acme: all 2 connections are in use"}
    assert set(ledger.sessions) == {"s", "t"}


def test_a_lowered_limit_takes_nothing_away() -> None:
    ledger = Ledger(None)
    for session_id in ("s", "t"):
        ledger.take(session_id, 1, A)
    ledger.set(1)
    assert ledger.full("s", [A, B]) == ledger.full("t", [A, B]) == {}
    assert ledger.handed_on("s", [A, B]) == {"a", "b"}
    assert ledger.full("u", [A]) == {"a": ONE_LEFT}
    ledger.observed("s", [])
    assert ledger.full("s", [A]) == {"a": ONE_LEFT}, "who has lost its own is a newcomer"


# --- probes -----------------------------------------------------------------------------------------------------------


def test_a_probe_takes_only_what_is_free() -> None:
    ledger = Ledger(2)
    ledger.take("s", 1, A)
    assert ledger.take_for_probe(A)
    assert not ledger.take_for_probe(B)
    ledger.probed("a")
    assert ledger.take_for_probe(B)


def test_a_probe_stands_in_no_sessions_way() -> None:
    ledger = Ledger(2)
    assert ledger.take_for_probe(A)
    assert ledger.take_for_probe(B)
    assert ledger.full("s", [A]) == {}
    ledger.take("s", 1, A)
    assert ledger.probes_in_the_way(A) == 1
    ledger.take("t", 1, A)
    assert ledger.probes_in_the_way(A) == 2
    ledger.probed("a")
    assert ledger.probes_in_the_way(A) == 1
    ledger.probed("b")
    assert ledger.probes_in_the_way(A) == 0


# --- who waits --------------------------------------------------------------------------------------------------------


def test_who_waits_is_woken_by_a_container_that_goes_a_probe_that_ends_or_a_limit_that_rises() -> None:
    ledger = Ledger(1)
    ledger.take("s", 1, A)
    ledger.wait("t", [B, FREE])
    ledger.wait("s", [A])
    assert ledger.awaited("t") == {"b": ONE_LEFT}
    ledger.observed("s", [], (), ())
    assert ledger.woken_sessions == ["t"], "who gives back is being looked at"
    ledger.no_longer_waits("s")
    assert ledger.take_for_probe(A)
    ledger.probed("a")
    ledger.set(2)
    assert ledger.woken_sessions == ["t"] * 3
    ledger.set(2)
    ledger.no_longer_waits("t")
    ledger.set(3)
    assert ledger.woken_sessions == ["t"] * 3
    assert ledger.awaited("t") == {}


def test_an_attempt_that_has_switched_inputs_holds_the_connection_of_its_first_one() -> None:
    other = source("c", "q")
    ledger = Ledger(1)
    ledger.limit([Provider(id="p", name="Acme", max_connections=1), Provider(id="q", name="Other")])
    ledger.take("s", 1, A)
    switched = Attempt.on(1, "a", 0.0).switched(Why(Cause.SOURCE_ENDED), 5.0, Leg(2, "c", Why(Cause.SOURCE_ENDED), 5.0))
    ledger.observed("s", [runs(1)], [switched], [A, B, other])
    assert (ledger.in_use("p"), ledger.in_use("q")) == (1, 0)
    assert ledger.full("t", [A, B, other]) == {"a": ONE_LEFT, "b": ONE_LEFT}


def test_nor_does_it_take_one_where_its_first_input_has_no_provider() -> None:
    """As a new orchestrator sees it, which has not started it."""
    ledger = Ledger(1)
    switched = Attempt.on(1, "free", 0.0).switched(Why(Cause.SOURCE_ENDED), 5.0, Leg(2, "a", Why(Cause.SOURCE_ENDED), 5.0))
    ledger.observed("s", [runs(1)], [switched], [A, FREE])
    assert ledger.in_use("p") == 0


def test_sources_whose_provider_has_a_limit_or_is_not_known_are_limited() -> None:
    ledger = Ledger(1)
    assert ledger.limited([A, FREE, source("x", "not known yet")]) == {"a", "x"}
    ledger.set(None)
    assert ledger.limited([A, FREE]) == frozenset()
