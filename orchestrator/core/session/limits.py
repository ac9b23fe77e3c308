"""How many sessions there may be at once. A request over a limit is refused before anything is stored for it.

A node's limit counts the cost of sessions, because a session that is transcoded needs fifty times the CPU of one that is
copied. The costs are approximate figures of FFmpeg and agent together; docs/sessions.md says where they come from.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from orchestrator.core.model import Profile

_ROUNDING: Final = 1e-9  # fifty times 0.02 is not quite 1


class Cost(Struct, frozen=True):
    """Of one session, while it runs."""

    cpus: float
    memory_mb: float


COSTS: Final[Mapping[Profile, Cost]] = {"copy": Cost(0.02, 45.0), "h264": Cost(1.0, 220.0)}


class Limits(Struct, frozen=True, kw_only=True):
    """None: no limit. Named as the settings are."""

    max_sessions: int | None = None
    max_sessions_per_viewer: int | None = None
    max_sessions_per_channel: int | None = None
    node_cpus: float | None = None
    node_memory_mb: float | None = None
    lease_s: float = 60.0  # a viewer counts where its lease is no older


NO_LIMITS: Final = Limits()


class Load(Struct, frozen=True, kw_only=True):
    """The sessions that run already."""

    sessions: int = 0
    of_viewer: int = 0
    of_channel: int = 0
    of_profile: Mapping[Profile, int] = {}

    @property
    def cpus(self) -> float:
        return sum(count * COSTS[profile].cpus for profile, count in self.of_profile.items())

    @property
    def memory_mb(self) -> float:
        return sum(count * COSTS[profile].memory_mb for profile, count in self.of_profile.items())


class Reached(Struct, frozen=True):
    """The limit that has no room for one more session."""

    limit: str  # its name in the settings
    words: str
    by_viewer: bool = False  # the viewer's own doing


def reached(limits: Limits, load: Load, profile: Profile) -> Reached | None:
    """The first limit that one more session of this profile would exceed; the viewer's own comes first."""
    cost = COSTS[profile]
    if _full(limits.max_sessions_per_viewer, load.of_viewer):
        return Reached("max_sessions_per_viewer", f"the viewer has {load.of_viewer} sessions already", by_viewer=True)
    if _full(limits.max_sessions_per_channel, load.of_channel):
        return Reached("max_sessions_per_channel", f"the channel has {load.of_channel} sessions already")
    if _full(limits.max_sessions, load.sessions):
        return Reached("max_sessions", f"{load.sessions} sessions run already")
    if limits.node_cpus is not None and load.cpus + cost.cpus > limits.node_cpus + _ROUNDING:
        return Reached("node_cpus", f"the running sessions take {load.cpus:.2f} of {limits.node_cpus:g} cores")
    if limits.node_memory_mb is not None and load.memory_mb + cost.memory_mb > limits.node_memory_mb + _ROUNDING:
        return Reached("node_memory_mb", f"the running sessions take {load.memory_mb:.0f} of {limits.node_memory_mb:.0f} MB")
    return None


def _full(limit: int | None, count: int) -> bool:
    return limit is not None and count >= limit
