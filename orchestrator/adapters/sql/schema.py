"""The tables. Columns of what is desired, which the API writes, are apart from columns of what is observed, which the
orchestrator writes.

A column is named like the field of `orchestrator.core.model` that it holds. Times are unix seconds in doubles. The migrations
in `orchestrator/migrations` create this schema; a test compares the two.
"""

from __future__ import annotations

from msgspec import Struct
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from orchestrator.adapters.sql.column_types import Json, Sorted, Word
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


class StateDocument(Struct, frozen=True, kw_only=True):
    """The column `state`: a session's state, and its fields that outlive one. Fields are added with a default."""

    state: State
    target_duration_s: int | None = None
    last_attempt: int = 0
    chosen: str | None = None
    refused: tuple[str, ...] = ()
    fault_at: float | None = None
    faults: int = 0
    retries: int = 0


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
    Column("priority", Integer, nullable=False),  # dense from 1; not unique, because sources are moved row by row
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
    Column("problematic_since", Double),  # without a break; has no meaning in another status
    Column("failures_in_a_row", Integer, nullable=False, server_default=text("0")),
    Column("healthy_since", Double),
    Column("healthy_at", Double),
    Column("probe_asked_at", Double),  # NULL: no probe is requested ...
    Column("probe_refused", Text),  # ... and this is why the last requested one was refused; NULL: it was made
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

# History outlives its subject: a session keeps the ids of a channel and of sources that may have been deleted, so these columns
# are no foreign keys. (With SET NULL the id would be lost, and deleting a channel would wait for commits of all its sessions.)
sessions = Table(
    "sessions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("channel_id", Text, nullable=False),
    Column("viewer", Text, nullable=False),  # SHARED: the session is shared by all viewers of the channel
    Column("created_at", Double, nullable=False),
    # Intent: each write of it bumps the version
    Column("desired", Word(Desired), nullable=False),
    Column("switch_to", Text),
    Column("end_reason", Word(EndReason)),
    # State: compare-and-swap on the version
    Column("version", Integer, nullable=False),
    Column("state", Json(StateDocument)),
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
    # The highest event id that was given. Taking the next one locks the row, so ids have no gaps and appear in order
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

# When a part of the system last reported something
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
    Index("ix_attempts_started_at", "started_at"),
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

# Every event of all sessions in the order in which it was written (core/presentation/journal.py). No number is given twice.
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

# The orchestrators that run, as each announces itself every few seconds, so that others can see when none does.
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

# What the operator wants for the whole deployment, and since when; no row: it is not wanted.
intents = Table(
    "intents",
    metadata,
    Column("name", Text, primary_key=True),
    Column("at", Double, nullable=False),
)
