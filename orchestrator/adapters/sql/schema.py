"""The tables. What is desired (the API's columns) is kept apart from what is observed (the orchestrator's).

A column is named like the field of `orchestrator.core.model` that it holds. Times are unix seconds in doubles and JSON is text:
the same in both engines. `orchestrator/migrations` builds this schema; a test keeps the two equal.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)

from orchestrator.core.catalogue.imported import ImportedChannel, ImportedSource
from orchestrator.core.model import (
    Cause,
    Causes,
    ChannelPolicy,
    Desired,
    EndReason,
    EventType,
    Fields,
    Leg,
    Media,
    Phase,
    SourceStatus,
    State,
    Why,
)

_encode = msgspec.json.Encoder().encode


class Json(TypeDecorator[Any]):
    """A value of `shape` as JSON text; None is NULL."""

    impl = Text
    cache_ok = True

    def __init__(self, shape: Any) -> None:
        super().__init__()
        self.shape = shape
        self._decode = msgspec.json.Decoder(shape).decode

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else _encode(value).decode()

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        return None if value is None else self._decode(value)


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """The column `state`: a session's state, and its fields that outlive one. Fields are added with a default."""

    state: State
    target_duration_s: int | None = None
    last_attempt: int = 0
    chosen: str | None = None
    refused: tuple[str, ...] = ()
    fault_at: float | None = None
    faults: int = 0
    retries: int = 0


class Word(TypeDecorator[Any]):
    """A member of a StrEnum as its text: a new member needs no migration."""

    impl = Text
    cache_ok = True

    def __init__(self, words: type[StrEnum]) -> None:
        super().__init__()
        self.words = words

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else str(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        return None if value is None else self.words(value)


# By code points in both engines: PostgreSQL would else sort by the locale of its host.
Sorted = Text().with_variant(Text(collation="C"), "postgresql")

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
    }
)

channels = Table(
    "channels",
    metadata,
    Column("id", Text, primary_key=True),
    Column("slug", Text, nullable=False, unique=True),
    Column("name", Sorted, nullable=False),
    Column("number", Integer),
    Column("group", Text),
    Column("logo", Text),
    Column("tvg_id", Text),
    Column("tvg_name", Text),
    Column("enabled", Boolean, nullable=False),
    Column("policy", Json(ChannelPolicy), nullable=False),
    Column("active_source_id", Text, ForeignKey("sources.id", ondelete="SET NULL", use_alter=True), index=True),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    Column("imported", Json(ImportedChannel)),  # what an import last wrote; NULL: the operator's own
    # Derived from the above when a channel is written, so that a page of a long list is one range of an index ...
    Column("sort_number", Integer, nullable=False),  # the number; the largest where there is none: NULLs sort differently
    Column("search_text", Text, nullable=False),  # ... and a search ignores case beyond ASCII, which SQLite's lower() cannot
    Index("ix_channels_listing", "sort_number", "name", "id"),
)

providers = Table(
    "providers",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Sorted, nullable=False, unique=True),
    Column("max_connections", Integer),
    Column("created_at", Double, nullable=False),
)

sources = Table(
    "sources",
    metadata,
    Column("id", Text, primary_key=True),
    Column("channel_id", Text, ForeignKey("channels.id", ondelete="CASCADE"), nullable=False),
    Column("url", Text, nullable=False),
    Column("priority", Integer, nullable=False),  # dense from 1; not unique, for it could not be moved row by row
    Column("user_agent", Text),
    Column("headers", Json(dict[str, str]), nullable=False),
    Column("status", Word(SourceStatus), nullable=False),
    Column("failure_count", Integer, nullable=False, server_default=text("0")),
    Column("stall_count", Integer, nullable=False, server_default=text("0")),
    Column("last_checked_at", Double),
    Column("last_failed_at", Double),
    Column("last_failure_reason", Text),  # of the release before 0018; written for one more
    Column("last_failure", Json(Why)),
    Column("media", Json(Media)),
    Column("provider_id", Text, ForeignKey("providers.id", ondelete="SET NULL"), index=True),
    Column("imported", Json(ImportedSource)),  # what an import last wrote; NULL: the operator's own
    Column("problematic_since", Double),  # without a break; of no meaning in another status
    Column("failures_in_a_row", Integer, nullable=False, server_default=text("0")),
    Column("healthy_since", Double),
    Column("healthy_at", Double),
    Column("probe_asked_at", Double),  # NULL: nobody waits for a probe ...
    Column("probe_refused", Text),  # ... because the last one that was asked for was not made, and why; NULL: it was
    Index("ix_sources_channel_id", "channel_id", "priority"),
)
PROBLEMATIC = text("status = 'problematic'")
Index("ix_sources_problematic", sources.c.id, sqlite_where=PROBLEMATIC, postgresql_where=PROBLEMATIC)

PROBE_ASKED = text("probe_asked_at IS NOT NULL")
Index("ix_sources_probe_asked", sources.c.id, sqlite_where=PROBE_ASKED, postgresql_where=PROBE_ASKED)

UNKNOWN = text("status = 'unknown'")
Index("ix_sources_unknown", sources.c.priority, sources.c.id, sqlite_where=UNKNOWN, postgresql_where=UNKNOWN)

channel_failovers = Table(
    "channel_failovers",
    metadata,
    Column("channel_id", Text, ForeignKey("channels.id", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True),  # 1 is tried first
    Column("failover_channel_id", Text, ForeignKey("channels.id", ondelete="CASCADE"), nullable=False, index=True),
    UniqueConstraint("channel_id", "failover_channel_id"),
)

# History outlives its subject: a session names its channel and sources by ids that may be gone, hence no foreign keys. (One
# with SET NULL would lose the name, and would make a channel's deletion wait for each of its sessions' commits.)
sessions = Table(
    "sessions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("channel_id", Text, nullable=False),
    Column("viewer", Text, nullable=False),  # SHARED: of all viewers of the channel
    Column("created_at", Double, nullable=False),
    # Intent: whoever writes it bumps the version
    Column("desired", Word(Desired), nullable=False),
    Column("switch_to", Text),
    Column("end_reason", Word(EndReason)),
    # State: compare-and-swap on the version
    Column("version", Integer, nullable=False),
    Column("state", Json(Kept)),
    Column("state_version", Integer),  # not the version: the release before 0018 has written last (former_columns.py)
    # What follows from the state, for queries
    Column("phase", Word(Phase), nullable=False),
    Column("attempt", Integer),
    Column("source_id", Text),
    Column("unavailable_since", Double),
    Column("ended_at", Double),
    # What the release before 0018 reads (former_columns.py); written for one more
    Column("target_duration_s", Integer),
    Column("last_attempt", Integer, nullable=False),
    Column("attempt_started_at", Double),
    Column("attempt_live_at", Double),
    Column("previous_attempt", Integer),
    Column("previous_source_id", Text),
    Column("previous_started_at", Double),
    Column("previous_live_at", Double),
    Column("attempt_address", Text),
    Column("previous_address", Text),
    Column("reason", Text),
    Column("from_source_id", Text),
    Column("chosen", Text),
    Column("tried", Json(tuple[str, ...]), nullable=False),
    Column("refused", Json(tuple[str, ...]), nullable=False, server_default=text("'[]'")),
    Column("fault_at", Double),
    Column("faults", Integer, nullable=False),
    Column("retries", Integer, nullable=False),
    Column("retry_at", Double),
    Column("slate_at", Double),
    Column("slate_faults", Integer, nullable=False, server_default=text("0")),
    # The highest event id given: taking the next one locks the row, so ids have no gap and appear in order
    Column("last_event", Integer, nullable=False, server_default=text("0")),
    Index("ix_sessions_created_at", "created_at", "id"),
    Index("ix_sessions_phase", "phase", "created_at", "id"),
    Index("ix_sessions_ended_at", "ended_at"),
    Index("ix_sessions_channel_id", "channel_id", "created_at"),
)
RUNNING = text("phase <> 'ended' AND desired = 'run'")
Index(
    "uq_sessions_running",
    sessions.c.viewer,
    sessions.c.channel_id,
    unique=True,
    sqlite_where=RUNNING,
    postgresql_where=RUNNING,
)

leases = Table(
    "leases",
    metadata,
    Column("session_id", Text, ForeignKey("sessions.id", ondelete="CASCADE"), primary_key=True),
    Column("viewer", Text, primary_key=True),
    Column("token_hash", Text, nullable=False),
    Column("renewed_at", Double, nullable=False),
    Index("ix_leases_viewer", "viewer"),
)

# What a part of the system last said of itself
marks = Table(
    "marks",
    metadata,
    Column("name", Text, primary_key=True),
    Column("at", Double, nullable=False),
)

attempts = Table(
    "attempts",
    metadata,
    Column("session_id", Text, ForeignKey("sessions.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("source_id", Text),
    Column("started_at", Double, nullable=False),
    Column("first_segment_at", Double),
    Column("ended_at", Double),
    Column("exit_code", Integer),
    Column("start_reason", Text),  # in words
    Column("end_reason", Text),
    Column("start_cause", Word(Cause)),
    Column("end_cause", Word(Cause)),
    Column("legs", Json(tuple[Leg, ...])),  # what each input played in it
    Index("ix_attempts_started_at", "started_at"),  # "what happened at 21:04?"
)

events = Table(
    "events",
    metadata,
    Column("session_id", Text, ForeignKey("sessions.id", ondelete="CASCADE"), primary_key=True),
    Column("id", Integer, primary_key=True, autoincrement=False),  # from 1 in each session
    Column("type", Word(EventType), nullable=False),
    Column("at", Double, nullable=False),
    Column("fields", Json(Fields), nullable=False),
    Column("causes", Json(Causes), nullable=False, server_default=text("'{}'")),  # of the texts in the fields
)

# Every event in the order in which it was written, whosever it is (core/reading/journal.py). A number is never given twice.
journal = Table(
    "journal",
    metadata,
    Column("cursor", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("session_id", Text, nullable=False),
    Column("event_id", Integer, nullable=False),
    ForeignKeyConstraint(["session_id", "event_id"], ["events.session_id", "events.id"], ondelete="CASCADE"),
    UniqueConstraint("session_id", "event_id"),
    sqlite_autoincrement=True,
)

# Who runs, as each says itself every few seconds: how the others, and a person, see that nobody does.
orchestrators = Table(
    "orchestrators",
    metadata,
    Column("id", Text, primary_key=True),
    Column("node", Text, nullable=False),
    Column("started_at", Double, nullable=False),
    Column("seen_at", Double, nullable=False),
)

# The one orchestrator that may act (one row, or none), by the database's clock; and the last one that was refused
leadership = Table(
    "leadership",
    metadata,
    Column("name", Text, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("node", Text, nullable=False),
    Column("process", Text, nullable=False),
    Column("expires_at", Double, nullable=False),
    Column("refused", Text),
    Column("refused_node", Text),
    Column("refused_at", Double),
)

# What the operator wants of the whole deployment, since when; no row: it is not wanted.
intents = Table(
    "intents",
    metadata,
    Column("name", Text, primary_key=True),
    Column("at", Double, nullable=False),
)
