"""The failover channels of a channel, and theirs in turn: each once, the nearest first, so that cycles are harmless."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from orchestrator.core.bounds import LINE_UP
from orchestrator.core.model import ChannelPolicy, Source, SourceStatus


class Signature(NamedTuple):
    """The part of a line-up that an edit can change: if two are equal, the line-up has not changed."""

    policy: ChannelPolicy
    sources: tuple[tuple[str, str], ...]  # id and address of those that may be used, in order


def signature(policy: ChannelPolicy, sources: Sequence[Source]) -> Signature:
    usable = (each for each in sources if each.status is not SourceStatus.DISABLED)
    return Signature(policy, tuple((each.id, each.address) for each in usable))


def behind(channel_id: str, failovers: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """The channel and all behind it, breadth first; at most `bounds.LINE_UP`. `failovers`: each channel's own, in order."""
    line = [channel_id]
    for each in line:  # grows as it goes
        line += dict.fromkeys(failover for failover in failovers.get(each, ()) if failover not in line)
        if len(line) >= LINE_UP:
            break
    return tuple(line[:LINE_UP])
