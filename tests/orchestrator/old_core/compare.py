# ruff: noqa
# mypy: ignore-errors
"""The old and the new `decide`, decision by decision, on whatever runs through the simulated world."""

from __future__ import annotations

import atexit
import os
from collections import Counter
from importlib import import_module
from pathlib import Path
from typing import Any

from msgspec import convert
from msgspec.structs import asdict, replace

from orchestrator.adapters.sql.former_columns import former_columns
from orchestrator.adapters.sql.schema import Kept
from orchestrator.core.session.decide import decide as new_decide
from orchestrator.core.model import Decision, Observation, Phase, Session
from orchestrator.core.policy import Policy
from tests.orchestrator.old_core import decide as old_core
from tests.orchestrator.old_core import model as old

state_of = import_module("orchestrator.migrations.versions.0018_states").state_of
counts: Counter[str] = Counter()
_chain: dict[str, old.Session] = {}
_pending: dict[int, tuple[Decision, old.Decision]] = {}


def reset() -> None:
    _chain.clear()
    _pending.clear()


def to_old(session: Session) -> old.Session:
    columns = former_columns(session)
    attempt = _attempt(
        [columns.pop(name) for name in ("attempt", "source_id", "attempt_started_at", "attempt_live_at", "attempt_address")]
    )
    previous = _attempt(
        [
            columns.pop(name)
            for name in (
                "previous_attempt",
                "previous_source_id",
                "previous_started_at",
                "previous_live_at",
                "previous_address",
            )
        ]
    )
    own = {
        name: getattr(session, name)
        for name in ("id", "channel_id", "viewer", "created_at", "version", "desired", "switch_to", "phase")
    }
    return old.Session(**own, **columns, attempt=attempt, previous=previous)


def _attempt(values: list[Any]) -> old.Attempt | None:
    return None if values[0] is None else old.Attempt(*values)


def back(session: Session) -> Session:
    row = former_columns(session) | {"phase": session.phase.value, "created_at": session.created_at}
    return replace(session, **asdict(convert(state_of(row), Kept)))


def live_fields(session: old.Session) -> old.Session:
    """Without the fields that the old core kept and never read again in the phase that the session is in."""
    session = replace(session, version=0)
    match session.phase:
        case Phase.LIVE:
            return replace(session, from_source_id=None)
        case Phase.ENDED:
            return replace(session, reason=None, from_source_id=None, tried=(), slate_at=None, slate_faults=0)
        case Phase.STARTING | Phase.SWITCHING if session.previous is None:
            return replace(session, retry_at=None)
        case _:
            return session


def said(records: Any) -> list[tuple[Any, ...]]:
    out = []
    for each in records:
        values = asdict(each)
        values.pop("causes", None)
        why = values.pop("why", None)
        if why is not None:
            values["reason"] = why.text
        out.append((type(each).__name__, sorted(values.items(), key=lambda item: item[0])))
        if "fields" in values:
            out.append(tuple(values["fields"]))  # in the same order, too
    return out


def decide(session: Session, seen: Observation, now: float, policy: Policy) -> Decision:
    new = new_decide(session, seen, now, policy)
    fresh = to_old(session)
    shadow = _chain.get(session.id, fresh)
    shadow = replace(
        shadow, desired=session.desired, switch_to=session.switch_to, end_reason=session.end_reason, version=session.version
    )
    for which, before in (("translated", fresh), ("own history", shadow)):
        then = old_core.decide(before, seen, now, policy)  # type: ignore[arg-type]
        same = (
            then.actions == new.actions
            and said(then.records) == said(new.records)
            and live_fields(then.session) == live_fields(to_old(new.session))
        )
        assert same, f"{which}\nold {before}\nnew {session}\nseen {seen}\n{then}\n{new}"
        if then.wake_at != new.wake_at:
            explained = which == "own history" and before.phase in (Phase.SWITCHING, Phase.STARTING) and before.previous is None
            assert explained and then.wake_at == before.retry_at, f"{before} {then} {new}"
            counts["wake-ups at an old retry_at, at which no rule of the phase could do anything"] += 1
    _pending[id(new)] = (new, then)
    again = new_decide(back(session), seen, now, policy)
    assert (again.actions, again.wake_at, said(again.records)) == (new.actions, new.wake_at, said(new.records)), (
        f"back and forth {session}"
    )
    counts["decisions"] += 1
    counts[f"in {type(session.state).__name__}"] += 1
    counts["decisions that act or write"] += bool(new.records or new.actions)
    for each in new.records:
        counts[f"record {type(each).__name__}"] += 1
    if session.state != new.session.state:
        counts[f"{session.phase.value} -> {new.session.phase.value}"] += 1
    return new


def committed(before: Session, decision: Decision) -> None:
    known = _pending.get(id(decision))
    if known is not None:
        _chain[before.id] = known[1].session
    _pending.clear()


def _report() -> None:
    if counts:
        path = Path(os.environ.get("OLD_CORE_REPORT", "/tmp/old_core.txt"))
        with path.open("a") as file:
            file.write(f"{dict(counts)}\n")


atexit.register(_report)
