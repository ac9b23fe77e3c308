"""The end of what nobody watches, as stories; and the limits, as sums."""

from __future__ import annotations

import pytest

from orchestrator.core.model import ChannelPolicy, Desired, EventType, Phase
from orchestrator.core.policy import Policy
from orchestrator.core.session.limits import COSTS, NO_LIMITS, Limits, Load, reached
from tests.orchestrator.core.playbook import FINISH, Playbook, desired_stop, stop
from transcoder.ending import Ending

IDLE_S = Policy().idle_timeout_s


def test_what_nobody_renews_ends_and_its_playlist_too() -> None:
    play = Playbook("a").live(10.0).renews()
    play.after(IDLE_S - 0.1).lists(1).nothing()
    play.after(0.1).lists(1).then(records=[], wake_in=0.0)
    assert (play.session.desired, play.session.end_reason) == (Desired.STOP, "idle")
    play.then(stop(1, 1.0))
    play.has_gone(1).then(FINISH)
    decision = play.lists(1, done=True).look()
    assert play.of(EventType.SESSION_ENDED, decision) == {"reason": "idle"}
    assert play.session.phase is Phase.ENDED


def test_a_renewal_gives_the_whole_time_again() -> None:
    play = Playbook("a").live(10.0).renews()
    for _ in range(5):
        play.after(IDLE_S - 1.0).lists(1).renews().nothing()
    play.after(IDLE_S).lists(1).look()
    assert play.session.end_reason == "idle"


def test_a_session_that_is_requested_and_never_watched_ends() -> None:
    play = Playbook("a").renews().starting()
    play.after(0.3).lists(1).look()
    play.at(IDLE_S).lists(1).look()
    assert play.session.end_reason == "idle"


@pytest.mark.parametrize("asked_s", [0.0, 1.0])
def test_the_end_of_the_lease_is_looked_at_in_time(asked_s: float) -> None:
    """Whatever else there is to wait for, and where there is nothing else."""
    play = Playbook("a").live(10.0).renews().after(asked_s).lists(1)
    decision = play.nothing()
    assert decision.wake_at is not None
    assert decision.wake_at <= play.session.created_at + play.elapsed + IDLE_S
    waiting = Playbook("a", policy=Policy(idle_timeout_s=0.2)).renews()
    waiting.look()
    assert waiting.look().wake_at == waiting.session.created_at + 0.2


def test_what_could_not_be_renewed_is_not_idle() -> None:
    play = Playbook("a").live(10.0).renews()
    play.after(30.0).lists(1).nobody_can_renew().nothing()
    play.after(1000.0).lists(1).nothing()


def test_after_an_outage_every_lease_has_its_whole_time_again() -> None:
    play = Playbook("a").live(10.0).renews()
    renewed_at = play.elapsed
    play.after(1000.0).lists(1).can_renew_again(renewed_at).nothing()
    play.after(IDLE_S - 0.1).lists(1).nothing()
    play.after(0.1).lists(1).look()
    assert play.session.end_reason == "idle"


def test_a_session_of_which_nothing_works_ends_as_well() -> None:
    play = Playbook("a").unavailable().renews()
    play.after(IDLE_S).look()
    assert play.session.end_reason == "idle"
    play.then(FINISH)


def test_what_stops_or_has_ended_for_another_reason_keeps_it() -> None:
    play = Playbook("a").live(10.0).renews().wants(**desired_stop("operator"))
    play.after(2 * IDLE_S).then(stop(1, 1.0))
    assert play.session.end_reason == "operator"
    play.has_gone(1).lists(1, done=True).look()
    assert play.nothing().wake_at is None
    assert play.session.end_reason == "operator"


def test_a_failure_when_the_lease_ends_costs_no_swap() -> None:
    play = Playbook("a", "b").live(10.0).renews()
    play.after(IDLE_S).exits(1, Ending.SOURCE_ENDED).then(records=[])
    assert (play.session.end_reason, play.session.last_attempt) == ("idle", 1)


# --- limits -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limits", "load", "limit"),
    [
        (NO_LIMITS, Load(sessions=10_000, of_viewer=10_000, of_channel=10_000, of_profile={"h264": 10_000}), None),
        (Limits(max_sessions=2), Load(sessions=1), None),
        (Limits(max_sessions=2), Load(sessions=2), "max_sessions"),
        (Limits(max_sessions_per_viewer=1), Load(of_viewer=1), "max_sessions_per_viewer"),
        (Limits(max_sessions_per_channel=1), Load(of_channel=1), "max_sessions_per_channel"),
        (Limits(node_cpus=1.0), Load(of_profile={"copy": 49}), None),
        (Limits(node_cpus=1.0), Load(of_profile={"copy": 50}), "node_cpus"),
        (Limits(node_cpus=2.0), Load(of_profile={"h264": 1, "copy": 49}), None),
        (Limits(node_cpus=2.0), Load(of_profile={"h264": 2}), "node_cpus"),
        (Limits(node_memory_mb=90.0), Load(of_profile={"copy": 1}), None),
        (Limits(node_memory_mb=90.0), Load(of_profile={"copy": 2}), "node_memory_mb"),
        (Limits(max_sessions=1, max_sessions_per_viewer=1), Load(sessions=1, of_viewer=1), "max_sessions_per_viewer"),
    ],
)
def test_a_limit_is_reached_where_one_more_would_exceed_it(limits: Limits, load: Load, limit: str | None) -> None:
    found = reached(limits, load, "copy")
    assert (found.limit if found else None) == limit
    assert found is None or found.by_viewer is (limit == "max_sessions_per_viewer")


def test_a_channel_whose_hevc_is_transcoded_needs_the_room_for_it() -> None:
    assert ChannelPolicy().costs_as == "copy"
    for policy in (ChannelPolicy(profile="h264"), ChannelPolicy(hevc="h264"), ChannelPolicy(profile="h264", hevc="h264")):
        assert policy.costs_as == "h264"


def test_transcoding_needs_more_room() -> None:
    limits = Limits(node_cpus=COSTS["h264"].cpus)
    assert reached(limits, Load(), "h264") is None
    assert reached(limits, Load(of_profile={"copy": 1}), "copy") is None
    assert reached(limits, Load(of_profile={"copy": 1}), "h264") is not None
