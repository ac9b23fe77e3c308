"""A channel, how its sessions behave, and the providers that its sources come from. Data only; times are unix seconds."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

Profile = Literal["copy", "h264"]
Hevc = Literal["copy", "h264"]
Sharing = Literal["viewer", "channel"]
Failback = Literal["never", "when_stable"]
StableTime = Annotated[float, Meta(ge=1.0, le=86_400.0)]  # seconds


class ChannelPolicy(Struct, frozen=True, kw_only=True):
    """How a channel's sessions behave."""

    profile: Profile = "copy"
    hevc: Hevc = "copy"  # what becomes of a source that sends HEVC, where a session begins with it and `profile` is "copy"
    sharing: Sharing = "viewer"  # a session for each viewer, or one for all of the channel's
    failback: Failback = "when_stable"  # back to a better source ...
    failback_stable_s: StableTime = 60.0  # ... that has been healthy for so long
    slate: bool = True  # a generated picture goes on where no source works

    @property
    def costs_as(self) -> Profile:
        """What one of its sessions may cost: whether a source sends HEVC is known only when it plays."""
        return "h264" if "h264" in (self.profile, self.hevc) else "copy"


class Channel(Struct, frozen=True, kw_only=True):
    id: str
    slug: str
    name: str
    number: int | None = None
    group: str | None = None
    logo: str | None = None
    tvg_id: str | None = None
    tvg_name: str | None = None
    enabled: bool = True
    policy: ChannelPolicy = ChannelPolicy()
    active_source_id: str | None = None
    created_at: float = 0.0
    updated_at: float = 0.0


class Provider(Struct, frozen=True, kw_only=True):
    """An account that sources come from."""

    id: str
    name: str
    max_connections: int | None = None  # that it allows at the same time; None: any number
    created_at: float = 0.0

    @property
    def in_use(self) -> str:
        """The reason where none of them is free."""
        what = "its only connection is" if self.max_connections == 1 else f"all {self.max_connections} connections are"
        return f"provider {self.name}: {what} in use"
