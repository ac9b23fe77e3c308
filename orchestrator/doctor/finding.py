"""A finding of `failover doctor`: what is wrong or worth knowing, and what the operator can do about it. Data only."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from msgspec import Struct

_NAMED: Final = 5  # so many subjects are named in a line; the finding has all of them


class Level(StrEnum):
    WRONG = "wrong"
    NOTE = "note"  # worth knowing; nothing is broken


class Finding(Struct, frozen=True, kw_only=True):
    """`what` and `remedy` are sentences for an operator; `check` names the rule, for programs."""

    check: str
    what: str
    remedy: str
    level: Level = Level.WRONG
    subjects: tuple[str, ...] = ()  # ids of sessions, sources, ...

    def line(self) -> str:
        """`what`, followed by the first subjects."""
        if not self.subjects:
            return self.what
        more = f" and {len(self.subjects) - _NAMED} more" if len(self.subjects) > _NAMED else ""
        return f"{self.what}: {', '.join(self.subjects[:_NAMED])}{more}"
