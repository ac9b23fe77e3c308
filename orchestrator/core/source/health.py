"""A source's health as a state machine: one pure function from the source and what happened to the source afterwards.

    after(source, happening, now) -> source

Rule: nothing else computes these fields. The SQL adapter calls it inside its transaction on the locked row, the fakes and the
simulated world call it on theirs, so all of them agree. A disabled source stays disabled until it is enabled: what still
happens to it is counted. `docs/states.md` shows the diagram.
"""

from __future__ import annotations

from typing import assert_never

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.core.model import Media, Source, SourceStatus, Why

FIELDS = (
    *("status", "media", "failure_count", "stall_count", "failures_in_a_row"),
    *("last_checked_at", "last_failed_at", "last_failure"),
    *("healthy_since", "healthy_at", "problematic_since"),
)
"""The fields of a source that are its health: no other place writes them."""


class Listed(Struct, frozen=True, tag=True):
    """A session's playlist lists its first segment of the source."""


class PlayedSteadily(Struct, frozen=True, tag=True):
    """A session has listed the source for `Policy.steady_s`: its failures in a row are over."""


class Failed(Struct, frozen=True, tag=True):
    """It failed while a session played it, or tried to. `stalled`: by falling silent. `in_a_row`: failures in a row, this one
    included (`hold_off.failures_in_a_row`). `at`: when; None: now. A failure that was told late and is older than what is
    known of the source by now is counted, and changes nothing else."""

    why: Why
    stalled: bool = False
    in_a_row: int = 1
    at: float | None = None


class ProbeSucceeded(Struct, frozen=True, tag=True):
    """A probe has found media."""

    media: Media


class ProbeFailed(Struct, frozen=True, tag=True):
    """A probe has found none. Failures in a row count only while it plays: a source may answer every probe and still fail
    when it is played, and the reverse."""

    why: Why | None


class ProbeInconclusive(Struct, frozen=True, tag=True):
    """A probe could not ask it: nobody knows whether it works. Only a session can tell."""


class Moved(Struct, frozen=True, tag=True):
    """Its address was changed: what was seen at the old one says nothing about the new one."""


class Enabled(Struct, frozen=True, tag=True):
    """Somebody enabled it, or has confirmed that it is enabled: it is judged anew."""


class Disabled(Struct, frozen=True, tag=True):
    """Somebody took it out of use."""


Happening = Listed | PlayedSteadily | Failed | ProbeSucceeded | ProbeFailed | ProbeInconclusive | Moved | Enabled | Disabled


def after(source: Source, happening: Happening, now: float) -> Source:
    """The source after this has happened at `now` (unix seconds). Changes the fields in `FIELDS` alone."""
    match happening:
        case Listed():
            return replace(source, status=_unless_disabled(source, SourceStatus.HEALTHY), last_checked_at=now)
        case PlayedSteadily():
            return replace(after(source, Listed(), now), failures_in_a_row=0)
        case Failed(why, stalled, in_a_row, at):
            counted = replace(
                source,
                failure_count=source.failure_count + (not stalled),
                stall_count=source.stall_count + stalled,
            )
            if at is not None and at < _newest(source):
                return counted
            return replace(_problematic(counted, why, now if at is None else at), failures_in_a_row=in_a_row)
        case ProbeSucceeded(media):
            status = _AFTER_SUCCESS.get(source.status, source.status)
            since = now if source.healthy_since is None else source.healthy_since
            if (
                media.cadence_s is None and source.media is not None
            ):  # its playlist did not answer this time: what it declared holds
                media = replace(media, cadence_s=source.media.cadence_s)
            return replace(source, status=status, media=media, healthy_since=since, healthy_at=now, last_checked_at=now)
        case ProbeFailed(why):
            return replace(_problematic(source, why, now), last_checked_at=now)
        case ProbeInconclusive():
            problematic = source.status is SourceStatus.PROBLEMATIC
            return replace(source, status=SourceStatus.UNKNOWN if problematic else source.status, last_checked_at=now)
        case Moved():
            return replace(_anew(source), status=_unless_disabled(source, SourceStatus.UNKNOWN), media=None)
        case Enabled():
            return replace(_anew(source), status=SourceStatus.UNKNOWN)
        case Disabled():
            return replace(source, status=SourceStatus.DISABLED)
        case _:
            assert_never(happening)


# A source that plays again is healthy; one that only answers a probe has yet to prove itself (hold_off.is_on_probation).
_AFTER_SUCCESS = {SourceStatus.UNKNOWN: SourceStatus.HEALTHY, SourceStatus.PROBLEMATIC: SourceStatus.RECOVERED}


def _unless_disabled(source: Source, status: SourceStatus) -> SourceStatus:
    return SourceStatus.DISABLED if source.status is SourceStatus.DISABLED else status


def _problematic(source: Source, why: Why | None, now: float) -> Source:
    since = source.problematic_since if source.status is SourceStatus.PROBLEMATIC else now
    return replace(
        source,
        status=_unless_disabled(source, SourceStatus.PROBLEMATIC),
        last_failed_at=now,
        last_failure=why,
        problematic_since=since,
        healthy_since=None,
        healthy_at=None,
    )


def _newest(source: Source) -> float:
    """When something last happened to it that says whether it works."""
    return max(source.last_checked_at or 0.0, source.last_failed_at or 0.0)


def _anew(source: Source) -> Source:
    return replace(source, failures_in_a_row=0, healthy_since=None, healthy_at=None)


def edited(source: Source, now: float, *, url: str | None = None, enabled: bool | None = None) -> Source:
    """The source after an edit, by an operator or an import. None: not edited. `enabled`: also where it already was."""
    if url is not None and url != source.url:
        source = replace(after(source, Moved(), now), url=url)
    if enabled is None:
        return source
    return after(source, Enabled() if enabled else Disabled(), now)
