"""A channel as a row: reading it, and the columns that are derived from its fields so that lists and searches use an index."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from msgspec.structs import fields
from sqlalchemy import Row

from orchestrator.adapters.sql.schema import channels
from orchestrator.core.model import Channel

_FIELDS = tuple(field.name for field in fields(Channel))
CHANNEL_COLUMNS = tuple(channels.c[name] for name in _FIELDS)
_UNNUMBERED = 2**31 - 1


def channel_of(row: Row[Any]) -> Channel:
    """A row of CHANNEL_COLUMNS."""
    return Channel(**dict(zip(_FIELDS, row, strict=True)))


def editable_columns(channel: Channel) -> dict[str, Any]:
    """The columns that `update_channel` may write, and those derived from them."""
    words = (channel.name, channel.slug, channel.group, channel.tvg_id, channel.tvg_name, channel.number)
    return {
        "slug": channel.slug,
        "name": channel.name,
        "number": channel.number,
        "group": channel.group,
        "logo": channel.logo,
        "tvg_id": channel.tvg_id,
        "tvg_name": channel.tvg_name,
        "enabled": channel.enabled,
        "policy": channel.policy,
        **derived_columns(channel.number, words),
    }


def derived_columns(number: int | None, words: Iterable[str | int | None]) -> dict[str, Any]:
    """The columns by which channels are ordered and searched; `words` are all names of the channel."""
    return {
        "sort_number": _UNNUMBERED if number is None else number,
        "search_text": "\n".join(str(word) for word in words if word is not None).casefold(),
    }
