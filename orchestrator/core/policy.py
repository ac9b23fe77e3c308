"""Limits and delays used by the rules. Some follow from the settings (`policy_of` in app/service.py); the others are fixed
here. A channel's own choices are in `ChannelPolicy`."""

from __future__ import annotations

from math import ceil

from msgspec import Struct

from orchestrator.core.model import Source


class Policy(Struct, frozen=True, kw_only=True):
    segment_s: float = 2.0
    start_budget_s: float = 15.0  # no segment listed by then: the attempt has failed (the agent's own limit is lower)
    stall_factor: float = 1.5  # a playlist is stalled when unchanged for this many target durations ...
    stall_margin_s: float = 1.0  # ... and this much
    fault_memory_s: float = 60.0  # faults that are not the source's are counted within this time
    probe_fresh_s: float = 10.0  # a source whose last probe is more recent is not probed again
    probe_patience_s: float = 0.75  # so long a healthy source waits for the probe of a better one
    probe_limit_s: float = 8.0  # so long a request waits for probes at all
    connection_patience_s: float = 2.0  # so long a request waits for a connection: the viewer's last session may just be ending
    stop_grace_s: float = 1.0  # for an attempt that ends for its successor: to list what it holds
    hold_off_s: float = 10.0  # a source that has failed is left alone for so long, doubling with each failure in a row ...
    hold_off_max_s: float = 300.0  # ... up to this
    probation_s: float = 60.0  # a source that has just recovered is second to those of its channel that never failed
    slate_spread_s: float = 2.0  # within so long the slates of sessions that become unavailable together are started
    attempt_life_s: float = 5 * 24 * 3600.0  # an attempt that has run for so long is renewed: its signatures run out
    retry_first_s: float = 0.5  # unavailable: the first retry, doubling ...
    retry_max_s: float = 30.0  # ... up to this
    refused_first_s: float = 10.0  # where the agent refuses every source's job, it is asked so much later, doubling ...
    refused_max_s: float = 300.0  # ... up to this: the same job is refused again, until a release or an edit has mended it
    steady_s: float = 10.0  # an attempt that was live for so long has proved itself: what fails then fails anew
    idle_timeout_s: float = 60.0  # a session that nobody has renewed for so long ends
    look_again_s: float = 0.5  # where silence would mean something, but nobody has looked lately

    def retry_delay_s(self, retries: int) -> float:
        return min(self.retry_max_s, self.retry_first_s * 2.0 ** min(retries, 16))

    def refused_delay_s(self, retries: int) -> float:
        return min(self.refused_max_s, self.refused_first_s * 2.0 ** min(retries, 16))

    def stall_limit_s(self, target_duration_s: int, source: Source | None = None) -> float:
        """Never sooner than the source's own cadence explains: one with 10-second segments arrives in 10-second bursts."""
        cadence_s = (source.media.cadence_s if source and source.media else None) or 0.0
        return self.stall_factor * max(target_duration_s, cadence_s) + self.stall_margin_s

    def target_duration_s(self, sources: tuple[Source, ...]) -> int:
        """A session's target duration, fixed at its first attempt (law 5).

        Half a segment of room lets keyframes fall where they fall. A source whose media arrive in longer bursts needs a player
        that buffers more: players derive their distance to the live edge from the target duration (RFC 8216, 6.3.3). All the
        channel's sources count, because a swap may lead to any of them. The cap keeps one odd source from ruining latency.
        """
        cadences = [source.media.cadence_s for source in sources if source.media and source.media.cadence_s]
        return min(12, max(ceil(1.5 * self.segment_s), *(ceil(min(cadence, 12.0)) for cadence in cadences), 1))
