"""Which sources that were never probed are probed next, in the background.

Rule: a first probe is less urgent than every other one. It leaves capacity for the others among the probes that run at once, at
the source's host, and at its provider.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Final
from urllib.parse import urlsplit

from orchestrator.core.model import Source

AT_ONCE: Final = 6
AT_ONE_HOST: Final = 2  # where no limit is known: the account may allow only a few connections
AT_ONE_LIMITED: Final = 4  # where the provider has a limit: `spare` keeps to it
AMONG_ALL: Final = 16  # probes of every kind; the other half of the slots is for sessions and for operators


def free_for_first_probes(limit: int, in_use: int) -> int:
    """How many connections of a provider first probes may still take. The last one is left to a session, unless it is
    the only one; a session that needs that one ends the probe."""
    return max(0, max(1, limit - 1) - in_use)


def next_first_probes(
    unseen: Iterable[Source], under_way: Collection[Source], *, probes: int, spare: Mapping[str, int]
) -> tuple[Source, ...]:
    """Of `unseen`, in their order, those to probe now. `under_way` are the first probes that run, `probes` counts the probes of
    every kind that run; `spare` is `free_for_first_probes` by provider, without those that have no limit."""
    count = min(AT_ONCE - len(under_way), AMONG_ALL - probes)
    hosts = Counter(host_of(each.url) for each in under_way)
    left = dict(spare)
    chosen: list[Source] = []
    for source in unseen:
        if len(chosen) >= count:
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
    """The host that a probe of this address opens a connection to."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
