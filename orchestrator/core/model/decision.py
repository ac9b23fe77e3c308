"""What is decided: the next session, the records that are committed with it, and the actions that follow. Data only."""

from __future__ import annotations

from msgspec import Struct

from orchestrator.core.model.cause import Causes, Why
from orchestrator.core.model.event import EventType, Fields
from orchestrator.core.model.session import Leg, Session


class StartAttempt(Struct, frozen=True, tag=True):
    """Run a container for this attempt. Idempotent: the container's name is the attempt's."""

    attempt: int
    source_id: str
    after: tuple[int, ...] = ()  # attempts whose containers are stopped first: there is no connection beside theirs
    grace_s: float = 0.0  # for these
    granted: tuple[str, ...] = ()  # sources that it may play by itself, the first at once; empty: it gets no orders


class StopAttempt(Struct, frozen=True, tag=True):
    """Stop and remove this attempt's container. Idempotent."""

    attempt: int
    grace_s: float = 1.0


class ProbeSources(Struct, frozen=True, tag=True):
    """Probe these, several at once; results are written to their rows and wake the session."""

    source_ids: tuple[str, ...]


class FinishPlaylist(Struct, frozen=True, tag=True):
    """Put EXT-X-ENDLIST, after the session's containers have gone."""


Action = StartAttempt | StopAttempt | ProbeSources | FinishPlaylist


class AttemptStarted(Struct, frozen=True, tag=True, tag_field="record"):
    attempt: int
    source_id: str
    why: Why


class AttemptLive(Struct, frozen=True, tag=True, tag_field="record"):
    attempt: int
    source_id: str  # a source whose media were listed is healthy


class AttemptSteady(Struct, frozen=True, tag=True, tag_field="record"):
    """It has listed for so long that its source has proved itself: the failures in a row are over."""

    attempt: int
    source_id: str


class LegsChanged(Struct, frozen=True, tag=True, tag_field="record"):
    """An attempt has switched inputs by itself, or one of its later legs has listed: its legs are these from now on."""

    attempt: int
    legs: tuple[Leg, ...]


class ReportRead(Struct, frozen=True, tag=True, tag_field="record"):
    """The attempt's reports up to this number are recorded by this decision, and may be deleted."""

    attempt: int
    n: int


class AttemptEnded(Struct, frozen=True, tag=True, tag_field="record"):
    attempt: int
    exit_code: int | None
    why: Why


class SourceFailed(Struct, frozen=True, tag=True, tag_field="record"):
    """The source's own fault (law 7)."""

    source_id: str
    why: Why
    stalled: bool = False
    in_a_row: int = 1  # failures in a row, this one included
    at: float | None = None  # when it failed; None: now


class Happened(Struct, frozen=True, tag=True, tag_field="record"):
    """An event to be written with the state and then told to the session's clients. `causes`: of the texts in its fields."""

    type: EventType
    fields: Fields = {}
    causes: Causes = Causes()


Record = AttemptStarted | AttemptLive | AttemptSteady | AttemptEnded | LegsChanged | ReportRead | SourceFailed | Happened


class Decision(Struct, frozen=True, kw_only=True):
    """`session` and `records` are committed together, by compare-and-swap on the version; only then `actions` are applied."""

    session: Session
    records: tuple[Record, ...] = ()
    actions: tuple[Action, ...] = ()
    wake_at: float | None = None  # decide again at this time, even if nothing happens
