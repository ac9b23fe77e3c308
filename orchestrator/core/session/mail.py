"""Applies an attempt's reports to its legs: which inputs it has played, why each of them ended, and which source is to blame.

Rules: reports come at least once, perhaps late, and are not trusted. One that was read before, a leg that is not the next one,
an input that was not granted, and a time outside the attempt's life change nothing. A leg ends once, so each failure is blamed
once. No report makes a leg live: only the playlist does. Where the playlist shows the leg or a later one, a report may say when
it was.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, assert_never

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.core.model import (
    SLATE,
    UNKNOWN_INPUT,
    Attempt,
    Cause,
    Leg,
    Mail,
    Playlist,
    Why,
)
from orchestrator.core.session.blame import Failure, of_exit
from transcoder.report import Happening, What

MOST_LEGS: Final = 64  # kept of an attempt: the first one, and the newest
_CLOCKS_S: Final = 60.0  # so far the clocks of the store and of this machine may be apart
_UNEXPLAINED: Final = Why(Cause.UNKNOWN)


class FailedLeg(Struct, frozen=True):
    """A leg that has ended by its source's fault at `at`."""

    leg: Leg
    failure: Failure
    at: float


class ListedLeg(Struct, frozen=True):
    """A leg that has listed, as its attempt says. `gap_s`: as in `Playlist`."""

    leg: Leg
    gap_s: float


class ReadMail(Struct, frozen=True):
    """An attempt after its reports were read, and what they tell, in order. `read`: the number of the last report that may be
    deleted; None: there was none."""

    attempt: Attempt
    read: int | None = None
    failed: tuple[FailedLeg, ...] = ()
    listed: tuple[ListedLeg, ...] = ()


def read(attempt: Attempt, mail: Iterable[Mail], shown_leg: int, now: float) -> ReadMail:
    """`mail`: in any order; reports of other attempts are left alone. `shown_leg`: the attempt's leg that the playlist shows;
    0: none."""
    own = sorted((each for each in mail if each.attempt == attempt.number), key=lambda each: each.report.n)
    if not own:
        return ReadMail(attempt)
    reading = _Reading(attempt, shown_leg, now)
    for each in own:
        if each.report.n > reading.attempt.reports_read:
            reading.take(each)
    return ReadMail(reading.attempt, own[-1].report.n, tuple(reading.failed), tuple(reading.listed))


def shown_leg(attempt: Attempt, playlist: object) -> int:
    """The attempt's leg that listed the playlist's last segment; 0: another attempt did, or nobody knows."""
    return playlist.leg if isinstance(playlist, Playlist) and playlist.attempt == attempt.number else 0


def leg_shown(attempt: Attempt, playlist: object) -> Leg | None:
    """The attempt's leg that listed the playlist's last segment; None: none did, or no report has explained it yet."""
    return next((each for each in attempt.legs if each.number == shown_leg(attempt, playlist)), None)


def with_unknown_legs(attempt: Attempt, shown: int, now: float) -> Attempt:
    """The attempt with the legs up to `shown`, which no report explains: nobody is blamed for them."""
    for number in range(max(attempt.leg.number + 1, shown - MOST_LEGS), shown + 1):
        attempt = _followed(attempt, Leg(number, UNKNOWN_INPUT, Why((attempt.leg.ended or _UNEXPLAINED).cause), now), now)
    return attempt


class _Reading:
    """A fold over happenings."""

    def __init__(self, attempt: Attempt, shown_leg: int, now: float) -> None:
        self.attempt = attempt
        self.failed: list[FailedLeg] = []
        self.listed: list[ListedLeg] = []
        self._shown_leg = shown_leg
        self._now = now

    def take(self, mail: Mail) -> None:
        posted_at = min(mail.posted_at, self._now)
        heard_at = posted_at if self.attempt.heard_at is None else max(self.attempt.heard_at, posted_at)
        self.attempt = replace(self.attempt, reports_read=mail.report.n, heard_at=heard_at)
        if not self.attempt.granted:
            return
        for happening in mail.report.happenings:
            at = mail.posted_at - happening.age_s
            # False also where the time is no number
            if self.attempt.started_at - _CLOCKS_S <= at <= self._now + _CLOCKS_S:
                self._apply(happening, at)

    def _apply(self, happening: Happening, at: float) -> None:
        match happening.what:
            case What.STARTED:
                self._starts(happening, at)
            case What.LISTED:
                self._lists(happening, at)
            case What.ENDED:
                self._ends(happening, at)
            case What.WORKING:  # it would have reported before what it has opened since
                self.attempt = replace(self.attempt, waits=self.attempt.has_ended_leg)
            case What.ORDERS | What.SPENT:
                pass  # that it was heard is all that counts
            case _:
                assert_never(happening.what)

    def _starts(self, happening: Happening, at: float) -> None:
        attempt, last = self.attempt, self.attempt.leg
        if happening.input not in attempt.granted:
            return
        address = attempt.addresses.get(happening.input)
        if happening.leg == last.number + 1:
            at = self._within(last, at)
            why = _UNEXPLAINED if last.ended is None else Why(last.ended.cause)
            self.attempt = _followed(attempt, Leg(happening.leg, happening.input, why, at, address=address), at)
        elif (leg := self._leg(happening)) is not None and leg.input == UNKNOWN_INPUT:
            before = next((each for each in reversed(attempt.legs) if each.number < leg.number), None)
            why = leg.why if before is None or before.ended is None else Why(before.ended.cause)
            self.attempt = attempt.with_leg(replace(leg, input=happening.input, address=address, why=why))

    def _lists(self, happening: Happening, at: float) -> None:
        leg = self._leg(happening)
        if leg is None or leg.live_at is not None or leg.input != happening.input or leg.number > self._shown_leg:
            return
        leg = replace(leg, live_at=self._within(leg, at))
        self.attempt = self.attempt.with_leg(leg)
        self.listed.append(ListedLeg(leg, happening.gap_s))

    def _ends(self, happening: Happening, at: float) -> None:
        leg = self._leg(happening)
        if leg is None or leg.input != happening.input or not _is_open(leg) or happening.ending is None:
            return
        failure = of_exit(happening.ending)
        ended_at = self._within(leg, at) if leg.ended_at is None else min(self._within(leg, at), leg.ended_at)
        self.attempt = self.attempt.with_leg(
            replace(leg, ended=replace(failure.why, detail=happening.detail), ended_at=ended_at)
        )
        following = next((each for each in self.attempt.legs if each.number == leg.number + 1), None)
        if following is not None and following.why.cause is Cause.UNKNOWN:
            self.attempt = self.attempt.with_leg(replace(following, why=failure.why))
        if failure.blames_source and leg.input not in (SLATE, UNKNOWN_INPUT):
            self.failed.append(FailedLeg(leg, failure, ended_at))

    def _leg(self, happening: Happening) -> Leg | None:
        return next((each for each in self.attempt.legs if each.number == happening.leg), None)

    def _within(self, leg: Leg, at: float) -> float:
        """Not before the leg has begun, nor before it was seen to play, and not in the future."""
        return min(max(at, leg.started_at, leg.live_at or 0.0), max(self._now, leg.started_at))


def _is_open(leg: Leg) -> bool:
    """It has not ended, or nobody has said why."""
    return leg.ended is None or leg.ended.cause is Cause.UNKNOWN


def _followed(attempt: Attempt, leg: Leg, at: float) -> Attempt:
    """The attempt with one more leg; the one before it has ended, if only by that."""
    last = attempt.leg
    if last.ended is None:
        attempt = attempt.with_leg(replace(last, ended=leg.why, ended_at=at))
    legs = (*attempt.legs, leg)
    return replace(attempt, legs=legs if len(legs) <= MOST_LEGS else (legs[0], *legs[2:]), waits=False)
