"""Plans an import: what a provider's playlist changes in the existing channels and sources.

Rules: entries that are the same channel become its sources, in the playlist's order, backups last. Importing the same again
changes nothing. What the operator has edited stays as it is, field by field: the value that the import last wrote
is stored beside each field, and a field that differs from it belongs to the operator. What has vanished from the playlist is
disabled, never deleted.

An entry is found again by its name and tvg-id (its address may change with the account's password), a new one joins the
channel with its tvg-id, else the one with the same name (same_channel.py).
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from typing import TypeVar

from msgspec.structs import replace

from orchestrator.core import bounds
from orchestrator.core.catalogue.imported import (
    ChannelFields,
    ChannelPlan,
    ImportedChannel,
    ImportedSource,
    ImportPlan,
    KnownChannel,
    KnownSource,
    SourceFields,
)
from orchestrator.core.catalogue.m3u import PlaylistEntry, PlaylistFault
from orchestrator.core.catalogue.same_channel import is_backup, known_by, without_quality

F = TypeVar("F", ChannelFields, SourceFields)


def plan(known: Iterable[KnownChannel], provider_id: str, entries: Iterable[PlaylistEntry]) -> ImportPlan:
    """What an import of these entries does to these channels: all that there are."""
    lineup = _Lineup(known, provider_id)
    given = list(entries)
    for step in (lineup.as_it_was, lineup.under_its_name):
        given = [entry for entry in given if not step(entry)]
    for entry in given:
        lineup.by_the_rules(entry)
    return lineup.plan()


class _ChannelDraft:
    """A channel while its entries are found."""

    def __init__(self, known: KnownChannel | None) -> None:
        self.known = known
        self.tvg_ids: set[str] = set()
        self.countries: set[str] = set()
        self.entries: list[PlaylistEntry] = []
        self.found: dict[str, PlaylistEntry] = {}  # source id → the entry that it is
        self.added: list[PlaylistEntry] = []
        self.urls: set[str] = set()  # that it has, but for those of sources that the playlist may still change


class _Lineup:
    """All channels, by all that they are known by."""

    def __init__(self, known: Iterable[KnownChannel], provider_id: str) -> None:
        self._provider_id = provider_id
        self._drafts = [_ChannelDraft(channel) for channel in known]
        self._faults: list[PlaylistFault] = []
        self._duplicates = 0
        self._entries = 0
        self._by_tvg_id: dict[str, _ChannelDraft] = {}
        self._by_name: dict[tuple[str, str | None], _ChannelDraft] = {}
        self._without_tvg_id: dict[tuple[str, str | None], _ChannelDraft] = {}
        self._by_address: dict[tuple[str, str], _ChannelDraft] = {}  # and name, or tvg-id
        # This provider's sources that no entry has been found for yet
        self._exact: dict[tuple[str, str | None, str], deque[tuple[_ChannelDraft, KnownSource]]] = defaultdict(deque)
        self._named: dict[tuple[str, str | None], deque[tuple[_ChannelDraft, KnownSource]]] = defaultdict(deque)
        for own in (True, False):  # what this provider calls a channel goes before what others do
            for draft in self._drafts:
                assert draft.known is not None
                for source in draft.known.sources:
                    if own and (source.imported is None or source.provider_id != provider_id or _moved(source)):
                        draft.urls.add(source.fields.url)
                    if source.imported is not None and (source.provider_id == provider_id) is own:
                        self._know(draft, source.imported.name, source.imported.tvg_id, source.imported.fields.url)
                        if own:
                            label = (source.imported.name, source.imported.tvg_id)
                            self._exact[(*label, source.imported.fields.url)].append((draft, source))
                            self._named[label].append((draft, source))
        for draft in self._drafts:
            assert draft.known is not None
            self._know(draft, draft.known.fields.name, draft.known.fields.tvg_id)

    def as_it_was(self, entry: PlaylistEntry) -> bool:
        """A source that came from an entry with this name, tvg-id and address."""
        return self._claim(self._exact[entry.name, entry.tvg_id, entry.url], entry)

    def under_its_name(self, entry: PlaylistEntry) -> bool:
        """A source that came from an entry with this name and tvg-id: its address has changed."""
        return self._claim(self._named[entry.name, entry.tvg_id], entry)

    def by_the_rules(self, entry: PlaylistEntry) -> None:
        """A source with the same address in the channel that it belongs to, else a new one there, else in a new channel."""
        self._entries += 1
        draft = self._same(entry)
        if draft is None:
            draft = _ChannelDraft(None)
            self._drafts.append(draft)
        self._know(draft, entry.name, entry.tvg_id, entry.url)
        renamed = next((source for source in self._missing(draft) if _base(source).fields.url == entry.url), None)
        if renamed is not None:
            draft.found[renamed.id] = entry
            draft.entries.append(entry)
        elif entry.url in draft.urls:
            self._duplicates += 1
        elif len(draft.added) + len(draft.known.sources if draft.known else ()) >= bounds.SOURCES:
            self._faults.append(PlaylistFault(entry.line, f"its channel has {bounds.SOURCES} sources already"))
        else:
            draft.urls.add(entry.url)
            draft.added.append(entry)
            draft.entries.append(entry)

    def plan(self) -> ImportPlan:
        slugs = _Slugs(draft.known.slug for draft in self._drafts if draft.known is not None)
        planned = (self._planned(draft, slugs) for draft in self._drafts)
        return ImportPlan(
            provider_id=self._provider_id,
            entries=self._entries,
            duplicates=self._duplicates,
            channels=tuple(each for each in planned if each is not None),
            faults=tuple(self._faults),
        )

    def _claim(self, candidates: deque[tuple[_ChannelDraft, KnownSource]], entry: PlaylistEntry) -> bool:
        while candidates:
            draft, source = candidates.popleft()
            if source.id not in draft.found:
                draft.found[source.id] = entry
                draft.entries.append(entry)
                draft.urls.add(entry.url)
                self._entries += 1
                return True
        return False

    def _missing(self, draft: _ChannelDraft) -> Sequence[KnownSource]:
        """This provider's sources of the channel that no entry has been found for."""
        if draft.known is None:
            return ()
        return [
            source
            for source in draft.known.sources
            if source.imported is not None and source.provider_id == self._provider_id and source.id not in draft.found
        ]

    def _know(self, draft: _ChannelDraft, name: str, tvg_id: str | None, url: str | None = None) -> None:
        title, country = known_by(name)
        if url:
            for known_as in filter(None, (tvg_id, title)):
                self._by_address.setdefault((url, known_as), draft)
        if tvg_id:
            draft.tvg_ids.add(tvg_id.casefold())
            self._by_tvg_id.setdefault(tvg_id.casefold(), draft)
        if country:
            draft.countries.add(country)
        for key in ((title, country), (title, _ANY)):
            self._by_name.setdefault(key, draft)
            if not draft.tvg_ids:
                held = self._without_tvg_id.get(key)
                if held is None or held.tvg_ids:
                    self._without_tvg_id[key] = draft

    def _same(self, entry: PlaylistEntry) -> _ChannelDraft | None:
        title, country = known_by(entry.name)
        for known_as in filter(None, (entry.tvg_id, title)):
            if draft := self._by_address.get((entry.url, known_as)):
                return draft
        names = self._by_name
        if entry.tvg_id:
            if draft := self._by_tvg_id.get(entry.tvg_id.casefold()):
                return draft
            names = self._without_tvg_id
        for key in ((title, country), (title, None if country else _ANY)):
            draft = names.get(key)
            if draft is None or (entry.tvg_id and draft.tvg_ids):
                continue
            if not country or not draft.countries or country in draft.countries:
                return draft
        return None

    def _planned(self, draft: _ChannelDraft, slugs: _Slugs) -> ChannelPlan | None:
        added = tuple(_imported(entry) for entry in sorted(draft.added, key=lambda entry: is_backup(entry.name)))
        # By the playlist's order: what a channel is called does not hang on how its entries were found
        entries = sorted(draft.entries, key=lambda entry: entry.line)
        if draft.known is None:
            fields = _fields(entries)
            imported = ImportedChannel(self._provider_id, fields)
            return ChannelPlan(before=None, slug=slugs.free(fields.name), fields=fields, imported=imported, added=added)
        missing = {source.id for source in self._missing(draft)}
        after: list[KnownSource] = []
        for source in draft.known.sources:
            if entry := draft.found.get(source.id):
                after.append(_updated(source, _imported(entry)))
            elif source.id in missing:
                gone = replace(_base(source), fields=replace(_base(source).fields, enabled=False))
                after.append(_updated(source, gone))
            else:
                after.append(source)
        fields, brought = draft.known.fields, draft.known.imported
        if brought is not None and brought.provider_id == self._provider_id:
            base = brought.fields
            lost = any(
                was.fields.enabled and not now.fields.enabled for was, now in zip(draft.known.sources, after, strict=True)
            )
            usable = bool(added) or any(source.fields.enabled for source in after)
            theirs = replace(_fields(entries) if entries else base, enabled=usable or (base.enabled and not lost))
            fields, base = _merged(fields, base, theirs)
            brought = replace(brought, fields=base)
        changed = tuple(now for was, now in zip(draft.known.sources, after, strict=True) if was != now)
        if not added and not changed and (fields, brought) == (draft.known.fields, draft.known.imported):
            return None
        return ChannelPlan(
            before=draft.known, slug=draft.known.slug, fields=fields, imported=brought, changed=changed, added=added
        )


_ANY = "*"


class _Slugs:
    def __init__(self, taken: Iterable[str]) -> None:
        self._taken = set(taken)
        self._counts: dict[str, int] = defaultdict(lambda: 1)

    def free(self, name: str) -> str:
        slug = base = bounds.slug_of(name)
        while slug in self._taken:
            self._counts[base] += 1
            slug = f"{base}-{self._counts[base]}"
        self._taken.add(slug)
        return slug


def _fields(entries: Sequence[PlaylistEntry]) -> ChannelFields:
    """The first entry's name; of the rest, the first that says it."""
    return ChannelFields(
        name=without_quality(entries[0].name),
        number=next((entry.number for entry in entries if entry.number is not None), None),
        group=next((entry.group for entry in entries if entry.group), None),
        logo=next((entry.logo for entry in entries if entry.logo), None),
        tvg_id=next((entry.tvg_id for entry in entries if entry.tvg_id), None),
        tvg_name=next((entry.tvg_name for entry in entries if entry.tvg_name), None),
    )


def _imported(entry: PlaylistEntry) -> ImportedSource:
    fields = SourceFields(url=entry.url, user_agent=entry.user_agent, headers=entry.headers)
    return ImportedSource(entry.name, entry.tvg_id, fields)


def _base(source: KnownSource) -> ImportedSource:
    assert source.imported is not None
    return source.imported


def _moved(source: KnownSource) -> bool:
    """Whether the operator has given it another address."""
    return source.fields.url != _base(source).fields.url


def _updated(source: KnownSource, theirs: ImportedSource) -> KnownSource:
    fields, base = _merged(source.fields, _base(source).fields, theirs.fields)
    return replace(source, fields=fields, imported=replace(theirs, fields=base))


def _merged(mine: F, base: F, theirs: F) -> tuple[F, F]:
    """(what is to be, what the import has then written): only fields that are as the import last wrote them follow it."""
    follow = {
        name: getattr(theirs, name)
        for name in mine.__struct_fields__
        if getattr(mine, name) == getattr(base, name) != getattr(theirs, name)
    }
    return (replace(mine, **follow), replace(base, **follow)) if follow else (mine, base)
