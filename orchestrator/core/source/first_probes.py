"""Which sources nobody has looked at yet are probed next, in the background.

Law: such a probe comes after everything else. It leaves room among the probes that run at once, at the source's host, and at
its provider, which it never makes full.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Final
from urllib.parse import urlsplit

from orchestrator.core.model import Source

AT_ONCE: Final = 6
AT_ONE_HOST: Final = 2  # an account whose limit nobody has entered may allow few ...
AT_ONE_LIMITED: Final = 4  # ... and one that has a limit is kept to it
AMONG_ALL: Final = 16  # probes of every kind; the other half of the places is for sessions and for who asks


def room(limit: int, in_use: int) -> int:
    """Connections of a provider that first looks may still take: the last one is left to a session, unless it is the only one
    (a session that needs it then cuts the probe off)."""
    return max(0, max(1, limit - 1) - in_use)


def next_looks(
    unseen: Iterable[Source], under_way: Collection[Source], *, probes: int, spare: Mapping[str, int]
) -> tuple[Source, ...]:
    """Of `unseen`, in their order, those to begin now. `under_way` are the first looks that run, `probes` counts the probes of
    every kind that run; `spare` is `room` by provider, without those that have no limit."""
    places = min(AT_ONCE - len(under_way), AMONG_ALL - probes)
    hosts = Counter(host_of(each.url) for each in under_way)
    left = dict(spare)
    chosen: list[Source] = []
    for source in unseen:
        if len(chosen) >= places:
            break
        host, provider = host_of(source.url), source.provider_id
        if hosts[host] >= (AT_ONE_LIMITED if provider in left else AT_ONE_HOST) or left.get(provider or "", 1) < 1:
            continue
        hosts[host] += 1
        if provider in left:
            left[provider] -= 1
        chosen.append(source)
    return tuple(chosen)


def host_of(url: str) -> str:
    """Whom a probe of this address disturbs."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
