"""An event as a JSON document for clients: the same over Redis, SSE, WebSocket and polling."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from orchestrator.core.model import Event
from transcoder import bucket

_encode = msgspec.json.Encoder().encode


def playlist_url(origin_url: str, session_id: str) -> str:
    """The session's one address for its whole life: its multivariant playlist behind the CDN."""
    return f"{origin_url.rstrip('/')}/{bucket.multivariant_key(session_id)}"


def timestamp(at: float) -> str:
    """RFC 3339 with milliseconds, UTC."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def happened_at(event: Event) -> float:
    """When it happened (unix seconds). One that was told late has the field `at`; any other happened when it was written."""
    at = event.fields.get("at")
    return float(at) if isinstance(at, int | float) else event.at


def document(event: Event, origin_url: str) -> dict[str, object]:
    """`id`, `type`, `at`, `session_id`, `playlist_url` and the event's own fields."""
    return {
        "id": event.id,
        "type": event.type.value,
        "at": timestamp(happened_at(event)),
        "session_id": event.session_id,
        "playlist_url": playlist_url(origin_url, event.session_id),
        **{name: value for name, value in event.fields.items() if name != "at"},
    }


def encode(event: Event, origin_url: str) -> bytes:
    return _encode(document(event, origin_url))
