"""What is found in which facts; nothing is ever found in what did not answer, but its silence."""

from __future__ import annotations

import re
from typing import Any

import pytest
from msgspec.structs import replace

from orchestrator.app.settings import Settings
from orchestrator.core.model import (
    Attempt,
    Container,
    ContainerState,
    Desired,
    Live,
    Requested,
    Session,
    Source,
    SourceStatus,
    Starting,
    Switching,
    Unavailable,
)
from orchestrator.doctor.container_rules import confirmed, passing
from orchestrator.doctor.facts import Disk, Facts, HostResources, Snapshot
from orchestrator.doctor.finding import Finding, Level
from orchestrator.doctor.rules import findings, healthy
from orchestrator.ports import AttemptRow, Challenger, EngineReport, Leader, OrchestratorRow, PrivateReport, StoreReport
from tests.words import why
from transcoder import bucket

NOW = 1_800_000_000.0
SETTINGS = Settings()
GB = 2**30
STORE = StoreReport(clock_skew_s=0.2)
ONE = OrchestratorRow(id="o-1", node="here", started_at=NOW - 900.0, seen_at=NOW - 2.0)
REFUSED = AttemptRow(
    session_id="s-1",
    number=2,
    source_id="x-1",
    started_at=NOW - 60.0,
    exit_code=31,
    end_reason="bad job: expected.channels is missing",
)
LEADER = Leader(
    id="o-1", node="here", process="", expires_at=9.0, left_s=3.0, refused=Challenger(id="o-2", node="there", ago_s=5.0)
)  # fmt: skip
SOUND = Facts(
    now=NOW,
    settings=SETTINGS,
    schema="0003",
    expected_schema="0003",
    store=STORE,
    engine=EngineReport(clock_skew_s=0.01, image_revision="abc", directory="/var/lib/docker"),
    runtime="docker",
    agent_revision="abc",
    host=HostResources((Disk("/", 50 * GB, 100 * GB),), 8 * GB),
    orchestrators=(ONE,),
    first=Snapshot(at=NOW),
)


def session(**changes: Any) -> Session:
    """Live, on attempt 2."""
    plain = Session(id="s-1", channel_id="c", viewer="v", created_at=NOW - 3600.0, last_attempt=2)
    return replace(plain, **{"state": Live(Attempt.on(2, "x-1", NOW - 600.0, NOW - 599.0))} | changes)


def container(attempt: int = 2, session_id: str = "s-1", **changes: Any) -> Container:
    running = Container(id="", session_id=session_id, attempt=attempt, state=ContainerState.RUNNING, created_at=NOW - 600.0)
    return replace(running, **changes)


def source(**changes: Any) -> Source:
    failing = Source(id="x-1", channel_id="c", url="http://a/", status=SourceStatus.PROBLEMATIC, last_failure=why("404"))
    return replace(failing, **changes)


def checks(facts: Facts) -> list[str]:
    return [finding.check for finding in findings(facts)]


def test_in_a_sound_deployment_nothing_is_found() -> None:
    assert findings(SOUND) == ()
    assert healthy(())


def store(**changes: Any) -> dict[str, Any]:
    return {"store": replace(STORE, **changes)}


def engine(**changes: Any) -> dict[str, Any]:
    assert isinstance(SOUND.engine, EngineReport)
    return {"engine": replace(SOUND.engine, **changes)}


def switches(**private: Any) -> dict[str, Any]:
    """Input switches are on, and the canary has found this."""
    return {"settings": replace(SETTINGS, input_switches="on"), **store(private=PrivateReport(**private))}


WRONG: tuple[tuple[str, dict[str, Any], str], ...] = (
    ("database", {"database_fault": "connection refused"}, "connection refused"),
    ("schema", {"schema": "0001"}, "0001.*0003"),
    ("schema", {"schema": None}, "none"),
    ("redis", {"bus_fault": "connection refused"}, "connection refused"),
    ("store", {"store": "connection refused"}, "connection refused"),
    ("engine", {"engine": "the engine has no image"}, "no image"),
    ("settings", {"unknown_variables": ("FAILOVER_COLOUR",)}, "FAILOVER_COLOUR"),
    ("store-write", store(write_fault="403 AccessDenied"), "403"),
    ("conditional-writes", store(refuses_overwrite=False), "If-None-Match"),
    ("conditional-writes", store(refuses_stale=False), "If-Match"),
    ("conditional-writes", store(accepts_current=False), "If-Match"),
    ("post-policy", store(post_policy_fault="403 EntityTooLarge", public=(bucket.PLAYLISTS,)), "403 EntityTooLarge"),
    ("bucket-policy", store(public=(bucket.SEGMENTS,)), bucket.PLAYLISTS),
    ("bucket-policy", store(public=()), "playlists/ and segments/"),
    ("private-logs", store(public=(bucket.PLAYLISTS, bucket.SEGMENTS, bucket.LOGS)), bucket.LOGS),
    ("private-list", store(listable=True), "list"),
    ("cors", store(cors=False), "CORS"),
    ("store-clock", store(clock_skew_s=-42.0), "42 s behind"),
    ("engine-clock", engine(clock_skew_s=42.0), "42 s ahead"),
    ("image-revision", engine(image_revision="old"), "old.*abc"),
    ("disk", {"host": HostResources((Disk("/data", GB, 10 * GB),), 8 * GB)}, "/data has 1.0 GiB"),
    ("disk", {"host": HostResources((Disk("/data", 40 * GB, 1000 * GB),), 8 * GB)}, "/data has 40.0 GiB"),
    ("memory", {"host": HostResources((), 900 * 2**20)}, "900 MiB"),
    ("orchestrator", {"orchestrators": ()}, "none has ever run"),
    ("orchestrator", {"orchestrators": (replace(ONE, seen_at=NOW - 61.0),)}, "61 s ago"),
    ("orchestrators", {"orchestrators": (ONE, replace(ONE, id="o-2"))}, "o-2"),
    ("second-orchestrator", {"leader": LEADER}, "5 s ago, because o-1 on here acts: o-2 on there"),
    (
        "signatures",
        {"first": Snapshot(at=NOW, sessions=(session(state=Live(Attempt.on(2, "x-1", NOW - 0.95 * SETTINGS.signature_s))),))},
        "s-1",
    ),
    ("bad-job", {"refused_jobs": (REFUSED, replace(REFUSED, number=3))}, r": x-1 \(bad job: expected.channels is missing\)$"),
    ("private-orders", switches(readable=("orders/",)), "orders/.*input switches are off"),
    ("private-orders", switches(readable=("orders/", "inbox/")), "orders/ and inbox/"),
    ("orders-write", switches(unwritable={"inbox/": "403 AccessDenied"}), "inbox/: 403 AccessDenied"),
    ("reports-unread", switches() | {"oldest_report_at": NOW - 600.0}, "10 min"),
    ("objects-without-row", {"objects": {"s-gone": NOW - 7200.0}}, "s-gone"),
)


@pytest.mark.parametrize(("check", "changes", "words"), WRONG, ids=[f"{check}-{n}" for n, (check, *_) in enumerate(WRONG)])
def test_what_is_wrong_is_found_alone_in_one_line_with_its_remedy(check: str, changes: dict[str, Any], words: str) -> None:
    (found,) = findings(replace(SOUND, **changes))
    assert (found.check, found.level) == (check, Level.WRONG)
    assert re.search(words, found.line())
    assert "\n" not in found.line() + found.remedy
    assert len(found.remedy) > 10
    assert not healthy((found,))


NOTES: tuple[tuple[str, dict[str, Any], str], ...] = (
    ("runtime", {"runtime": "process", "engine": EngineReport()}, "child processes"),
    ("draining", {"draining_since": NOW - 600.0}, "10 min"),
    ("sources", {"problematic": (source(problematic_since=NOW - 7200.0),)}, r"x-1 \(404\)"),
)


@pytest.mark.parametrize(("check", "changes", "words"), NOTES, ids=[check for check, *_ in NOTES])
def test_what_is_worth_knowing_is_no_fault(check: str, changes: dict[str, Any], words: str) -> None:
    found = findings(replace(SOUND, **changes))
    assert [each.check for each in found] == [check]
    assert re.search(words, found[0].line())
    assert healthy(found)


QUIET: tuple[dict[str, Any], ...] = (
    {"engine": None, "runtime": ""},  # of somebody else's engine nothing is said
    {"orchestrators": (ONE, replace(ONE, id="o-killed", seen_at=NOW - 3600.0))},
    {"leader": replace(LEADER, refused=None)},
    {"leader": replace(LEADER, refused=Challenger(id="o-2", node="there", ago_s=121.0))},
    {"problematic": (source(problematic_since=NOW - 60.0), source(problematic_since=None))},
    {"objects": {"s-young": NOW - 60.0, "s-known": 1.0}, "sessions_known": frozenset({"s-known"})},
    {"store": replace(STORE, clock_skew_s=None)},
    {"host": HostResources()},
    engine(image_revision=None),  # built by hand, without the label
    engine(clock_skew_s=None),
    store(private=PrivateReport(readable=("orders/",))),  # without input switches nothing is written there
    switches() | {"oldest_report_at": NOW - 2.0},
)


@pytest.mark.parametrize("changes", QUIET)
def test_what_is_as_it_may_be_is_not_found(changes: dict[str, Any]) -> None:
    assert findings(replace(SOUND, **changes)) == ()


def test_of_a_database_that_is_silent_nothing_else_is_said() -> None:
    assert checks(replace(SOUND, database_fault="silent", orchestrators=(), objects={"s-1": 1.0})) == ["database"]


def test_a_store_that_takes_nothing_says_nothing_else_of_itself() -> None:
    report = StoreReport(
        clock_skew_s=0.0, write_fault="507 full", refuses_overwrite=False, post_policy_fault="507", public=(), cors=False
    )
    assert checks(replace(SOUND, store=report)) == ["store-write"]


def test_what_is_wrong_comes_before_what_is_worth_knowing() -> None:
    found = findings(replace(SOUND, draining_since=NOW - 1.0, orchestrators=()))
    assert [each.check for each in found] == ["orchestrator", "draining"]


def test_many_subjects_stay_one_line() -> None:
    finding = Finding(check="c", what="sources", remedy="r", subjects=tuple(f"x-{n}" for n in range(500)))
    assert finding.line() == "sources: x-0, x-1, x-2, x-3, x-4 and 495 more"


# --- rows and containers ----------------------------------------------------------------------------------------------


def looked_at(sessions: tuple[Session, ...] = (), containers: tuple[Container, ...] | None = (), **more: Any) -> list[str]:
    snapshot = Snapshot(at=NOW, sessions=sessions, containers=containers, **more)
    return [finding.check for finding in passing(snapshot, SETTINGS)]


def test_a_live_session_with_its_container_is_as_it_should_be() -> None:
    assert looked_at((session(),), (container(),)) == []


def test_a_planned_swap_is_no_fault() -> None:
    swapping = session(state=Live(Attempt.on(1, "x-0", NOW - 3000.0), successor=Attempt.on(2, "x-1", NOW - 3.0)))
    assert looked_at((swapping,), (container(1), container(2))) == []


@pytest.mark.parametrize(
    ("check", "sessions", "containers", "known"),
    [
        ("rows-without-container", (session(),), (), ()),
        ("rows-without-container", (session(),), (container(1),), ()),
        ("two-attempts", (session(),), (container(1), container(2)), ()),
        ("two-attempts", (session(),), (container(2), container(3, state=ContainerState.PAUSED)), ()),
        ("containers-without-row", (), (container(),), ()),
        ("containers-without-row", (), (container(created_at=NOW),), ("s-1",)),  # of a session that has ended
        ("stuck-stop", (session(desired=Desired.STOP),), (), ()),
        ("stuck-requested", (session(state=Requested()),), (), ()),
        ("stuck-starting", (session(state=Starting(Attempt.on(2, "x-1", NOW - 600.0))),), (container(),), ()),
        ("stuck-switching", (session(state=Switching(Attempt.on(2, "x-1", NOW - 600.0), "x-0")),), (container(),), ()),
    ],
)
def test_rows_and_containers_that_do_not_agree(
    check: str, sessions: tuple[Session, ...], containers: tuple[Container, ...], known: tuple[str, ...]
) -> None:
    assert looked_at(sessions, containers, known=frozenset(known)) == [check]


@pytest.mark.parametrize(
    ("sessions", "containers"),
    [
        ((session(state=Unavailable(since=NOW, why=why("source ended"), from_source_id="x-1", retry_at=NOW)),), ()),
        ((session(),), None),  # the engine does not answer: nothing is concluded
        ((), (container(created_at=NOW - 20.0),)),  # its row may be on its way
        ((session(),), (container(1, state=ContainerState.EXITED), container(2))),
        ((session(state=Starting(Attempt.on(2, "x-1", NOW - 5.0))),), (container(),)),
    ],
)
def test_rows_and_containers_that_may_be_so(sessions: tuple[Session, ...], containers: tuple[Container, ...] | None) -> None:
    assert looked_at(sessions, containers) == []


def test_what_passes_between_two_looks_is_not_found() -> None:
    first = Snapshot(at=NOW, sessions=(session(), session(id="s-2")), containers=())
    second = Snapshot(at=NOW + 6.0, sessions=first.sessions, containers=(container(),))
    assert checks(replace(SOUND, first=first)) == [], "looked at once only"
    (found,) = findings(replace(SOUND, first=first, second=second))
    assert (found.check, found.subjects) == ("rows-without-container", ("s-2",))


def test_two_different_faults_confirm_nothing() -> None:
    stopping = passing(Snapshot(at=NOW, sessions=(session(desired=Desired.STOP),)), SETTINGS)
    without = passing(Snapshot(at=NOW, sessions=(session(),), containers=()), SETTINGS)
    assert confirmed(stopping, without) == ()
    assert confirmed(stopping, stopping) == stopping
