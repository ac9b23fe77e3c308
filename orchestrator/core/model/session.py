"""A session and the states that it can be in. Data only: the rules are in `core.session`.

Rule: a state has only the fields that have a meaning in it, so no field means different things in different states. What must
outlive a state is a field of the session. Times are unix seconds; every struct is frozen.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.core.model.cause import Cause, EndReason, Why


class Desired(StrEnum):
    """What the client wants of a session; only the API writes it."""

    RUN = "run"
    STOP = "stop"


class Phase(StrEnum):
    """The public word for where a session is. It follows from the state."""

    REQUESTED = "requested"  # a row, nothing runs yet
    STARTING = "starting"  # the first attempt runs, nothing listed yet
    LIVE = "live"  # the current attempt has listed a segment
    SWITCHING = "switching"  # a later attempt runs, it has listed nothing yet
    UNAVAILABLE = "unavailable"  # no source works; retrying
    ENDED = "ended"  # final


SLATE = "slate"
"""The input of a leg that shows the slate. No source has this id (theirs begin with a letter and a hyphen)."""

UNKNOWN_INPUT = "unknown"
"""The input of a leg that the playlist shows and no report explains. No source has this id."""

SHARED = "*"  # the viewer of a session that all viewers of its channel share; no viewer can be called so


class Leg(Struct, frozen=True):
    """What one input plays in one attempt. Blame, hold-off and the time to prove itself count from the leg."""

    number: int  # from 1 in its attempt
    input: str  # a source's id, or SLATE
    why: Why  # it was started
    started_at: float
    live_at: float | None = None  # when its first listed segment was seen
    address: str | None = None  # of its source when it was started; None: of the slate, or started by an earlier release
    ended_at: float | None = None  # an input switch has ended it; the last leg ends with its attempt
    ended: Why | None = None  # why

    @property
    def plays(self) -> bool:
        """It has listed a segment, and is not known to have ended."""
        return self.live_at is not None and self.ended is None


class Attempt(Struct, frozen=True):
    """One container run of a session. `number` is the fencing token (law 4)."""

    number: int
    started_at: float
    signed_at: float  # its store addresses were signed then: they run out
    legs: tuple[Leg, ...]
    granted: tuple[str, ...] = ()  # inputs that it may open by itself, in the order to try; empty: it has no orders
    addresses: dict[str, str] = {}  # of the granted sources (`Source.address`), as the attempt was told them
    reports_read: int = 0  # the number of the last report that was recorded
    heard_at: float | None = None  # when the newest of them was posted
    waits: bool = False  # it has reported that it shows nothing, and has no input left that it may open now
    ahead_since: float | None = None  # since when the playlist shows a leg that no report has explained yet

    @classmethod
    def on(
        cls, number: int, input: str, at: float, live_at: float | None = None,
        *, why: Why | None = None, address: str | None = None,
    ) -> Attempt:  # fmt: skip
        """An attempt with one leg, started at `at`."""
        leg = Leg(1, input, why or Why(Cause.REQUESTED), at, live_at, address)
        return cls(number, at, at, (leg,))

    @property
    def leg(self) -> Leg:
        """The one that plays, or is to."""
        return self.legs[-1]

    @property
    def source_id(self) -> str:
        return self.leg.input

    @property
    def live_at(self) -> float | None:
        return self.leg.live_at

    @property
    def played(self) -> Leg | None:
        """The last leg that has listed a segment; None: none has."""
        return next((each for each in reversed(self.legs) if each.live_at is not None), None)

    @property
    def has_ended_leg(self) -> bool:
        """The last leg is over, and the attempt has opened no other input yet."""
        return self.leg.ended_at is not None

    @property
    def is_switching(self) -> bool:
        """An input switch is under way: a leg is over, and none has listed since."""
        return self.has_ended_leg or (len(self.legs) > 1 and self.leg.live_at is None)

    def listed(self, at: float, leg: int | None = None) -> Attempt:
        """The same attempt, whose leg (without a number: the last one) has listed its first segment."""
        number = leg or self.leg.number
        return replace(self, legs=tuple(replace(each, live_at=at) if each.number == number else each for each in self.legs))

    def with_leg(self, leg: Leg) -> Attempt:
        """The same attempt, with this leg in place of the one with its number."""
        return replace(self, legs=tuple(leg if each.number == leg.number else each for each in self.legs))

    def switched(self, ended: Why, ended_at: float, to: Leg) -> Attempt:
        """The same attempt after an input switch: its last leg has ended, and `to` follows."""
        last = replace(self.leg, ended_at=ended_at, ended=ended)
        return replace(self, legs=(*self.legs[:-1], last, to))


# --- the states --------------------------------------------------------------------------------------------------------


class Requested(Struct, frozen=True, tag="requested"):
    """A row; nothing runs yet."""


class Starting(Struct, frozen=True, tag="starting"):
    """The session has never been live; its attempt has listed nothing yet."""

    attempt: Attempt
    tried: tuple[str, ...] = ()  # sources that have failed
    from_source_id: str | None = None  # the first that has


class SwapBackoff(Struct, frozen=True):
    """After a planned swap that failed: none is begun before `until`. `failback_only`: failback waits, other swaps do not."""

    until: float
    failback_only: bool = False


class Live(Struct, frozen=True, tag="live"):
    """`attempt` plays. `successor`: of a planned swap; it takes over with its first listed segment, and `attempt` publishes
    until then."""

    attempt: Attempt
    successor: Attempt | None = None
    backoff: SwapBackoff | None = None


class Switching(Struct, frozen=True, tag="switching"):
    """The attempt that played has ended, by failure or to hand its connection on; the next one has listed nothing yet. Nothing
    publishes."""

    attempt: Attempt
    from_source_id: str  # the source that played
    tried: tuple[str, ...] = ()  # sources that have failed since


class Unavailable(Struct, frozen=True, tag="unavailable", kw_only=True):
    """No source works; they are tried again one after the other, with growing delays. At most one of `trying` and `renewing`
    is there."""

    since: float
    why: Why  # the last attempt failed
    from_source_id: str  # the source that played before
    tried: tuple[str, ...] = ()  # sources that have been tried in this round of retries
    retry_at: float
    trying: Attempt | None = None  # a source; it has listed nothing yet
    shown: Attempt | None = None  # the slate
    renewing: Attempt | None = None  # a fresh slate that is to take over from the one that is shown
    slate_faults: int = 0  # slates that failed in a row ...
    slate_at: float | None = None  # ... for which the next one is not started before


class Ended(Struct, frozen=True, tag="ended"):
    """Final; `Session.end_reason` says why. `unavailable_since`: of a session that was unavailable when it ended."""

    at: float
    unavailable_since: float | None = None


State = Requested | Starting | Live | Switching | Unavailable | Ended


class Shown(StrEnum):
    """What viewers see."""

    SOURCE = "source"  # also while the next one is started: players show what they hold
    SLATE = "slate"  # it has listed a segment
    NOTHING = "nothing"  # not yet, not now or no more


class Session(Struct, frozen=True, kw_only=True):
    """One row: who it is for, what is wanted of it, its state, and what outlives a state."""

    id: str
    channel_id: str
    viewer: str  # SHARED: all of the channel's
    created_at: float
    version: int = 0  # compare-and-swap; every writer adds one
    # Intent: the API writes these
    desired: Desired = Desired.RUN
    end_reason: EndReason | None = None  # why it is to end, or has ended; the orchestrator has reasons, too
    switch_to: str | None = None  # a source the operator asked for, or `operator_switch.NEXT`, `SAME`
    # State: only the orchestrator writes these
    state: State = Requested()
    target_duration_s: int | None = None  # fixed at the first attempt; a playlist's target duration never changes (law 5)
    last_attempt: int = 0  # the highest number ever given
    chosen: str | None = None  # by an operator: nothing better is returned to for as long as it is what plays
    refused: tuple[str, ...] = ()  # addresses of sources (`Source.address`) whose job the agent refuses: our fault
    fault_at: float | None = None  # the last failure that was not the source's ...
    faults: int = 0  # ... and how many within the policy's memory
    retries: int = 0  # since an attempt last proved itself: they make the delays grow

    @property
    def phase(self) -> Phase:
        match self.state:
            case Live(successor=None, attempt=playing) if not playing.is_switching:
                return Phase.LIVE
            case Live() | Switching():
                return Phase.SWITCHING
            case state:
                return _PHASES[type(state)]

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """Those that are to run, the newest first."""
        match self.state:
            case Starting(attempt=attempt) | Switching(attempt=attempt):
                found: tuple[Attempt | None, ...] = (attempt,)
            case Live(attempt=attempt, successor=successor):
                found = (successor, attempt)
            case Unavailable(trying=trying, renewing=renewing, shown=shown):
                found = (trying, renewing, shown)
            case Requested() | Ended():
                found = ()
        return tuple(each for each in found if each is not None)

    @property
    def attempt(self) -> Attempt | None:
        """The newest one that is to run."""
        return next(iter(self.attempts), None)

    @property
    def tried(self) -> tuple[str, ...]:
        """Sources that have failed since the session was last live, or in this round of retries."""
        match self.state:
            case Starting(tried=tried) | Switching(tried=tried) | Unavailable(tried=tried):
                return tried
            case _:
                return ()

    @property
    def why(self) -> Why | None:
        """Why it is as it is, for people: the newest attempt's cause, or that of the last failure."""
        match self.state:
            case Unavailable(trying=None, why=why):  # also where a fresh slate is to take over
                return why
            case Ended():
                return None
            case _:
                return self.attempt.leg.why if self.attempt else None

    @property
    def shown(self) -> Shown:
        match self.state:
            case Live() | Switching():
                return Shown.SOURCE
            case Unavailable(shown=Attempt() as slate) if slate.live_at is not None:
                return Shown.SLATE
            case _:
                return Shown.NOTHING

    @property
    def ended_at(self) -> float | None:
        return self.state.at if isinstance(self.state, Ended) else None

    @property
    def unavailable_since(self) -> float | None:
        """Of a session that is unavailable, or was when it ended."""
        match self.state:
            case Unavailable(since=since):
                return since
            case Ended(unavailable_since=since):
                return since
            case _:
                return None


_PHASES: dict[type[State], Phase] = {
    Requested: Phase.REQUESTED,
    Starting: Phase.STARTING,
    Unavailable: Phase.UNAVAILABLE,
    Ended: Phase.ENDED,
}
