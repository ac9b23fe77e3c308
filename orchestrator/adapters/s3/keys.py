"""The keys of a session's objects in the bucket."""

from __future__ import annotations


def playlist(session_id: str, name: str) -> str:
    return f"playlists/{session_id}/{name}.m3u8"


def segments_prefix(session_id: str, attempt: int) -> str:
    return f"segments/{session_id}/{attempt}/"


def log(session_id: str, attempt: int) -> str:
    return f"logs/{session_id}/{attempt}.log"
