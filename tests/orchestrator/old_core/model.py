# ruff: noqa
# mypy: ignore-errors
"""The session of before, beside everything that has stayed."""

from __future__ import annotations

from msgspec import Struct

from orchestrator.core.model import *  # noqa: F403
from orchestrator.core.model import Action, AttemptLive, AttemptSteady, Desired, EventType, Fields, Phase


class Attempt(Struct, frozen=True):
    """One container run of a session. `number` is the fencing token (law 4)."""

    number: int
    source_id: str
    started_at: float
    live_at: float | None = None  # when its first listed segment was seen
    address: str | None = None  # of its source when it was started; None: started by an earlier release


class Session(Struct, frozen=True, kw_only=True):
    """The state of a session as the orchestrator keeps it: one row."""

    id: str
    channel_id: str
    viewer: str  # SHARED: all of the channel's
    desired: Desired = Desired.RUN
    phase: Phase = Phase.REQUESTED
    version: int = 0
    created_at: float
    target_duration_s: int | None = None  # fixed at the first attempt; a playlist's target duration never changes (law 5)
    last_attempt: int = 0  # the highest number ever given
    attempt: Attempt | None = None  # the current one
    previous: Attempt | None = None  # in a planned swap: still publishing until the current one takes over
    switch_to: str | None = None  # a source the operator asked for; the API writes it
    reason: str | None = None  # why the current attempt was started; goes into `stream.switch`
    from_source_id: str | None = None  # the source before the current swap
    chosen: str | None = None  # by an operator: nothing better is returned to for as long as it is what plays
    tried: tuple[str, ...] = ()  # sources that failed since the session was last live, or in this round of retries
    refused: tuple[str, ...] = ()  # addresses of sources (`Source.address`) whose job the agent refuses: our fault
    fault_at: float | None = None  # the last failure that was not the source's ...
    faults: int = 0  # ... and how many within the policy's memory
    unavailable_since: float | None = None
    retries: int = 0  # since an attempt last proved itself: they make the delays grow
    retry_at: float | None = None
    slate_at: float | None = None  # a slate is not started again before that ...
    slate_faults: int = 0  # ... which so many that failed in a row make later
    ended_at: float | None = None
    end_reason: str | None = None

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """Those that are to run: the current one, and in a planned swap the one before."""
        return tuple(each for each in (self.attempt, self.previous) if each is not None)


class AttemptStarted(Struct, frozen=True, tag=True, tag_field="record"):
    attempt: int
    source_id: str
    reason: str


class AttemptEnded(Struct, frozen=True, tag=True, tag_field="record"):
    attempt: int
    exit_code: int | None
    reason: str


class SourceFailed(Struct, frozen=True, tag=True, tag_field="record"):
    """The source's own fault (law 7)."""

    source_id: str
    reason: str
    stalled: bool = False
    in_a_row: int = 1  # failures in a row, this one included


class Happened(Struct, frozen=True, tag=True, tag_field="record"):
    """An event to be written with the state and then told to the session's clients."""

    type: EventType
    fields: Fields = {}


Record = AttemptStarted | AttemptLive | AttemptSteady | AttemptEnded | SourceFailed | Happened


class Decision(Struct, frozen=True, kw_only=True):
    """`session` and `records` are committed together, by compare-and-swap on the version; only then `actions` are applied."""

    session: Session
    records: tuple[Record, ...] = ()
    actions: tuple[Action, ...] = ()
    wake_at: float | None = None  # decide again at this time, even if nothing happens
