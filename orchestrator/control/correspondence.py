"""What is known of the reports of one attempt: those that are not recorded yet, and whether the attempt is to be trusted.

Rule: bounded in memory, whatever is posted. No I/O.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence
from typing import Final

from orchestrator.core.model import Mail

MALFORMED: Final = 3  # so many malformed reports ...
A_MINUTE: Final = 30  # ... or more than so many objects within a minute: the attempt is not trusted any more
_MINUTE_S = 60.0
_KEPT = 64  # reports that wait to be recorded; the others wait in the store


class Correspondence:
    """`mail`: in the order of their numbers. Distrust is for ever: the attempt is replaced."""

    def __init__(self, attempt: int) -> None:
        self.attempt = attempt
        self.is_distrusted = False
        self._recorded = 0  # the number of the last report that was recorded
        self._mail: dict[int, Mail] = {}
        self._malformed: set[str] = set()
        self._posted: list[tuple[float, str]] = []  # the newest objects: when the store took them, and their keys

    @property
    def mail(self) -> tuple[Mail, ...]:
        return tuple(self._mail[n] for n in sorted(self._mail))

    def is_recorded(self, n: int) -> bool:
        return n <= self._recorded

    def holds(self, n: int) -> bool:
        return n in self._mail

    @property
    def room(self) -> int:
        """How many more reports may be read now."""
        return max(0, _KEPT - len(self._mail))

    def was_posted(self, key: str, at: float) -> None:
        """The store has an object of this attempt, which it took at this time (unix seconds). What counts is when the objects
        were posted, not when they are seen: an orchestrator that was down finds the reports of hours."""
        if (at, key) in self._posted:
            return
        insort(self._posted, (at, key))
        del self._posted[: -(A_MINUTE + 1)]
        if len(self._posted) > A_MINUTE and self._posted[-1][0] - self._posted[0][0] < _MINUTE_S:
            self._distrust()

    def sent_nonsense(self, key: str) -> None:
        """An object that is no report."""
        self._malformed.add(key)
        if len(self._malformed) >= MALFORMED:
            self._distrust()

    def received(self, mail: Mail) -> None:
        if not self.is_distrusted and not self.is_recorded(mail.report.n):
            self._mail[mail.report.n] = mail

    def recorded_until(self, n: int) -> Sequence[int]:
        """Everything up to this number is recorded: the numbers of the reports that need no longer be kept."""
        self._recorded = max(self._recorded, n)
        gone = [each for each in self._mail if each <= self._recorded]
        for each in gone:
            del self._mail[each]
        return gone

    def _distrust(self) -> None:
        self.is_distrusted = True
        self._mail.clear()
