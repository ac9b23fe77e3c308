"""Import of a provider's playlist (M3U): from its lines to channels and sources in the tables.

Rule: what is read is bounded, and it is written in short transactions, so that others need not wait. An import that was
interrupted is completed by importing again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Final, Protocol

from msgspec import Struct

from orchestrator.core import bounds
from orchestrator.core.catalogue.import_plan import plan
from orchestrator.core.catalogue.imported import ChannelPlan, Counts, counts
from orchestrator.core.catalogue.m3u import PlaylistEntry, PlaylistFault, parse, text_lines
from orchestrator.core.model import Provider
from orchestrator.errors import AlreadyExists, InvalidInput, NotFound, Stale
from orchestrator.ports import Imports, Providers

ENTRIES: Final = 100_000
_FAULTS_KEPT = 1000
_CHANNELS_AT_ONCE = 250  # in one transaction, which takes some tens of milliseconds
_TRIES = 3  # where another writer takes a slug meanwhile


class ImportTables(Protocol):
    @property
    def providers(self) -> Providers: ...

    @property
    def imports(self) -> Imports: ...


class ParsedPlaylist(Struct, frozen=True):
    """What was read from a playlist."""

    entries: list[PlaylistEntry]
    faults: list[PlaylistFault]  # the first ones
    fault_count: int


class ImportReport(Struct, frozen=True, kw_only=True):
    """What an import has done, or what it would do where it is a dry run."""

    provider: str  # its name
    provider_is_new: bool
    entries: int
    duplicates: int
    counts: Counts
    channels: tuple[ChannelPlan, ...]  # those that change
    changed_meanwhile: int  # channels that another writer has changed since the plan was made; they were left alone
    faults: tuple[PlaylistFault, ...]
    fault_count: int


def read(lines: Iterable[bytes]) -> ParsedPlaylist:
    """Parses the lines. Blocks. Raises InvalidInput where there is no entry at all, or too many."""
    entries: list[PlaylistEntry] = []
    faults: list[PlaylistFault] = []
    fault_count = 0
    for each in parse(text_lines(lines)):
        if isinstance(each, PlaylistEntry):
            entries.append(each)
            if len(entries) > ENTRIES:
                raise InvalidInput("playlist", f"more than {ENTRIES} entries")
        else:
            fault_count += 1
            if len(faults) < _FAULTS_KEPT:
                faults.append(each)
    if not entries:  # an error page or an empty file: importing it would disable all of the provider's sources
        why = f" (line {faults[0].line}: {faults[0].reason})" if faults else ""
        raise InvalidInput("playlist", f"there is no entry in it{why}")
    return ParsedPlaylist(entries, faults, fault_count)


async def run(
    tables: ImportTables,
    provider: str,
    playlist: ParsedPlaylist,
    *,
    dry_run: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> ImportReport:
    """Import as `provider`, an id or a name; a name that is not known becomes a provider. `progress` is told how many of how
    many channels are written. Raises DatabaseUnavailable, InvalidInput; Stale where others change the same again and again."""
    known, is_new = await _provider(tables.providers, provider, create=not dry_run)
    tries = 0
    while True:
        lineup = await tables.imports.lineup()
        made = await asyncio.to_thread(plan, lineup, known.id, playlist.entries)
        written = 0
        try:
            for start in range(0, 0 if dry_run else len(made.channels), _CHANNELS_AT_ONCE):
                progress(start, len(made.channels))
                written += await tables.imports.apply(known.id, made.channels[start : start + _CHANNELS_AT_ONCE])
        except Stale:
            tries += 1
            if tries == _TRIES:
                raise
            continue
        progress(len(made.channels), len(made.channels))
        return ImportReport(
            provider=known.name,
            provider_is_new=is_new,
            entries=made.entries,
            duplicates=made.duplicates,
            counts=counts(made.channels),
            channels=made.channels,
            changed_meanwhile=0 if dry_run else len(made.channels) - written,
            faults=(*playlist.faults, *made.faults),
            fault_count=playlist.fault_count + len(made.faults),
        )


async def _provider(providers: Providers, provider: str, *, create: bool) -> tuple[Provider, bool]:
    try:
        return await providers.get(provider), False
    except NotFound:
        name = provider.strip()
        if not name or len(name) > bounds.NAME or not name.isprintable():
            raise InvalidInput("provider", "is empty, too long or not plain") from None
    if not create:
        return Provider(id="", name=name), True
    try:
        return await providers.add(name, None), True
    except AlreadyExists:  # another import has added it at the same moment
        return await providers.get(name), False
