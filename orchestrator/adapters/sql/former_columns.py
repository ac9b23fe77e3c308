"""Backward compatibility with releases before migration 0018: reads and writes the old columns: a state as
nullable columns and a sentence.

They are written for one release beside the column `state`, so that the release before can take over again, and read where it
has written last: while an upgrade replaces one process after the other. This is the only module that reads causes out of
sentences, those that earlier releases wrote; what it does not know becomes `unknown`, with its words kept. To be deleted with
the columns.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from orchestrator.core.model import Attempt, Live, Session, Starting, Switching, Unavailable

_ATTEMPT = ("attempt", "source_id", "attempt_started_at", "attempt_live_at", "attempt_address")
_PREVIOUS = ("previous_attempt", "previous_source_id", "previous_started_at", "previous_live_at", "previous_address")

READ = (
    *("phase", "created_at", *_ATTEMPT, *_PREVIOUS, "target_duration_s", "last_attempt", "reason", "from_source_id", "chosen"),
    *("tried", "refused", "fault_at", "faults", "unavailable_since", "retries", "retry_at", "slate_at", "slate_faults"),
    "ended_at",
)
"""The columns that `state_of` reads."""

Row = Mapping[Any, Any]


def former_columns(session: Session) -> dict[str, Any]:
    """What the release before would have written of this session, but for identity, intent and version."""
    state, reason, previous = session.state, session.why.text if session.why else None, None
    from_source_id = retry_at = slate_at = None
    slate_faults = 0
    match state:
        case Starting():
            from_source_id = state.from_source_id
        case Live():
            retry_at = state.backoff.until if state.backoff else None
            if state.successor is not None:
                previous, from_source_id = state.attempt, state.attempt.source_id
            elif state.backoff is not None:
                reason = "failback failed" if state.backoff.failback_only else None
        case Switching():
            from_source_id = state.from_source_id
        case Unavailable():
            previous = state.shown if state.trying or state.renewing else None
            reason = state.trying.leg.why.text if state.trying else state.why.text
            from_source_id, retry_at = state.from_source_id, state.retry_at
            slate_at, slate_faults = state.slate_at, state.slate_faults
        case _:
            pass
    return {
        **_attempt_columns(_ATTEMPT, session.attempt),
        **_attempt_columns(_PREVIOUS, previous),
        "target_duration_s": session.target_duration_s,
        "last_attempt": session.last_attempt,
        "reason": reason,
        "from_source_id": from_source_id,
        "chosen": session.chosen,
        "tried": session.tried,
        "refused": session.refused,
        "fault_at": session.fault_at,
        "faults": session.faults,
        "unavailable_since": session.unavailable_since,
        "retries": session.retries,
        "retry_at": retry_at,
        "slate_at": slate_at,
        "slate_faults": slate_faults,
        "ended_at": session.ended_at,
        "end_reason": session.end_reason,
    }


def _attempt_columns(names: tuple[str, ...], attempt: Attempt | None) -> dict[str, Any]:
    if attempt is None:
        return dict.fromkeys(names)
    leg = attempt.leg
    return dict(zip(names, (attempt.number, leg.input, leg.started_at, leg.live_at, leg.address), strict=True))


# --- a state, from the columns of before ---------------------------------------------------------------------------------


def state_of(row: Row) -> dict[str, Any]:
    """The column `state`: the state itself, and what outlives one."""
    lasting = {name: row[name] for name in ("target_duration_s", "last_attempt", "chosen", "fault_at", "faults", "retries")}
    return {"state": _state_of(row), **lasting, "refused": _list(row["refused"])}


def _state_of(row: Row) -> dict[str, Any]:
    phase, reason, tried = row["phase"], row["reason"] or "", _list(row["tried"])
    attempt, previous = _attempt(row, _ATTEMPT, reason), _attempt(row, _PREVIOUS, "")
    if phase == "ended":
        return {
            "type": "ended",
            "at": row["ended_at"] if row["ended_at"] is not None else row["created_at"],
            "unavailable_since": row["unavailable_since"],
        }
    if phase == "unavailable":
        return _unavailable(row, reason, tried, attempt, previous)
    if attempt is None:
        return {"type": "requested"}
    if phase == "starting":
        return {"type": "starting", "attempt": attempt, "tried": tried, "from_source_id": row["from_source_id"]}
    if phase == "switching" and previous is None:
        left = row["from_source_id"] or attempt["legs"][-1]["input"]
        return {"type": "switching", "attempt": attempt, "from_source_id": left, "tried": tried}
    backoff = None if row["retry_at"] is None else {"until": row["retry_at"], "failback_only": reason == "failback failed"}
    if phase == "switching":
        return {"type": "live", "attempt": previous, "successor": attempt, "backoff": backoff}
    return {"type": "live", "attempt": attempt, "successor": None, "backoff": backoff}


def _unavailable(row: Row, reason: str, tried: list[str], attempt: Any, previous: Any) -> dict[str, Any]:
    slate = attempt is not None and attempt["legs"][-1]["input"] == "slate"
    since = row["unavailable_since"] if row["unavailable_since"] is not None else row["created_at"]
    return {
        "type": "unavailable",
        "since": since,
        "why": why_of(reason or "retry"),
        "from_source_id": row["from_source_id"] or "",
        "tried": tried,
        "retry_at": row["retry_at"] if row["retry_at"] is not None else since,
        "trying": None if slate else attempt,
        "shown": attempt if slate and previous is None else previous,
        "renewing": attempt if slate and previous is not None else None,
        "slate_faults": row["slate_faults"],
        "slate_at": row["slate_at"],
    }


def _attempt(row: Row, names: tuple[str, ...], reason: str) -> dict[str, Any] | None:
    """The current attempt, or the previous one: the columns never kept why that was started."""
    number, source_id, started_at, live_at, address = (row[name] for name in names)
    if number is None:
        return None
    why = why_of(reason) if reason not in ("", "failback failed") else {"cause": "requested"}
    leg = {"number": 1, "input": source_id, "why": why, "started_at": started_at, "live_at": live_at, "address": address}
    return {"number": number, "started_at": started_at, "signed_at": started_at, "legs": [leg]}


def _list(value: Any) -> list[str]:
    """JSON text in the tables."""
    return json.loads(value) if isinstance(value, str) else list(value or ())


# --- a cause, from a sentence of before ----------------------------------------------------------------------------------

END_REASONS = ("no_healthy_source", "stopped", "idle", "operator", "channel_disabled", "channel_deleted")

_WORDS = {
    "requested": "requested",
    "operator": "operator",
    "rolled": "rolled",
    "failback": "failback",
    "source changed": "source_changed",
    "source removed": "source_removed",
    "signatures run out": "renewal",
    "slate": "slate",
    "retry": "retry",
    "source unreachable": "source_unreachable",
    "source refused": "source_refused",
    "source ended": "source_ended",
    "source stalled": "source_stalled",
    "source undecodable": "source_undecodable",
    "store unreachable": "store_unreachable",
    "fenced": "fenced",
    "ffmpeg crashed": "ffmpeg_crashed",
    "bad job": "bad_job",
    "container out of memory": "container_out_of_memory",
    "container killed": "container_killed",
    "container failed": "container_failed",
    "container stopped": "container_stopped",
    "container paused": "container_paused",
    "container refused": "container_refused",
    "container is gone": "container_gone",
    "container unhealthy": "container_unhealthy",
    "agent distrusted": "agent_distrusted",
    "no segment within the start budget": "no_segment",
    "playlist is gone": "playlist_gone",
    "playlist stalled": "playlist_stalled",
    "replaced": "replaced",
    "slate switched off": "slate_off",
    "nothing plays": "nothing_plays",
    "no other source": "no_other_source",
    "the source is disabled": "source_disabled",
    "no longer a source of the channel, nor of those behind it": "source_unknown",
    "failback failed": "switch_undone",
    "its provider's connections were in use": "provider_full",
    "did not answer the probe in time": "probe_late",
    "its playlist does not advance": "frozen",
    "cannot be read": "unreadable",
    "does not work": "not_working",
}
_FORMS = (
    (re.compile(r"replaced: (.*)", re.DOTALL), "replaced"),
    (re.compile(r"ended for its successor \((.*)\): no connection for both", re.DOTALL), "handed_on"),
    (re.compile(r"bad job: (.*)", re.DOTALL), "bad_job"),
    (re.compile(r"container refused: (.*)", re.DOTALL), "container_refused"),
    (re.compile(r"container failed with (.*)", re.DOTALL), "container_failed"),
    (re.compile(r"(provider .* in use)", re.DOTALL), "provider_full"),
    # What probes have said
    (
        re.compile(
            r"(connection refused|connection reset|no such host|no route to host|network unreachable|TLS failed"
            r"|no answer in time|the server answers with an error \(5xx\)|ends before any media|an empty answer"
            r"|(?:HTTP status )?5\d\d\b.*|no (?:answer|media) within .*)",
            re.DOTALL,
        ),
        "unreachable",
    ),
    (re.compile(r"(the server refuses \(4xx\)|(?:HTTP status )?\d{3}\b.*)", re.DOTALL), "refuses"),
    (
        re.compile(
            r"(empty playlist|no video or audio|not media|not an address|leads to a protocol that is not let in|not media .*"
            r"|protected by .*|encrypted by .*|DASH .*|a (?:playlist|compressed answer) .*|this FFmpeg cannot decode .*"
            r"|(?:\w+: )?this FFmpeg does not speak the protocol|only .* sources are let in)",
            re.DOTALL,
        ),
        "unplayable",
    ),
)
_PASSED_OVER = re.compile(r"(.+?); (provider .* in use|its provider's connections were in use)", re.DOTALL)


def why_of(words: str, *, of_end: bool = False) -> dict[str, str]:
    """The cause that these words say, as `core.model.Why` is stored. `of_end`: they say why an attempt has ended, which may be
    the end of its session."""
    if of_end and words in END_REASONS:
        return {"cause": "session_ended", "detail": words}
    if words in _WORDS:
        return {"cause": _WORDS[words]}
    for form, cause in _FORMS:
        if found := form.fullmatch(words):
            return {"cause": cause, "detail": found[1]}
    if found := _PASSED_OVER.fullmatch(words):
        return {**why_of(found[1]), "passed_over": found[2]}
    return {"cause": "unknown", "detail": words}
