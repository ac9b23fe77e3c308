"""How often a failed source is probed again. Rule: a source that has never worked is probed more and more rarely, so that a
list of dead addresses costs its host little, and does not delay the probes of other sources."""

from __future__ import annotations

from typing import Final

from orchestrator.core.model import Source

LONGEST_PAUSE_S: Final = 3600.0


def is_due(source: Source, now: float, interval_s: float) -> bool:
    """Whether recovery probes this problematic source now. One that has worked or played at its address: always. Another: when
    it has been left alone for as long as it had failed by its last probe, an hour at most."""
    ever_worked = source.media is not None or source.failure_count > 0 or source.stall_count > 0
    if ever_worked or source.problematic_since is None or source.last_checked_at is None:
        return True
    failed_for_s = source.last_checked_at - source.problematic_since
    pause_s = min(LONGEST_PAUSE_S, failed_for_s)
    return pause_s <= interval_s or now - source.last_checked_at >= pause_s
