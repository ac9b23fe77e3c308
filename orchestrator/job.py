"""The agent's job, built from a session, a source and signed addresses. Its definition is the agent's (`transcoder.job`)."""

from __future__ import annotations

import msgspec

from orchestrator.core.model import Session, Source
from orchestrator.ports import Launch, ObjectStore
from orchestrator.settings import Settings


def launch(session: Session, source: Source, profile: str, store: ObjectStore, settings: Settings) -> Launch:
    """What a runtime needs to run the session's current attempt. The only secrets in it are the source's own (law 8)."""
    assert session.attempt is not None
    assert session.target_duration_s is not None
    number = session.attempt.number
    media = source.media
    job = {
        "session": session.id,
        "attempt": number,
        "source": {"url": source.url, "user_agent": source.user_agent, "headers": source.headers},
        "expected": None if media is None else {"video": media.video, "audio": media.audio, "channels": media.channels},
        "profile": profile,
        "segment_s": settings.segment_s,
        "target_duration_s": session.target_duration_s,
        "window_s": settings.window_s,
        "start_limit_s": settings.start_limit_s,
        "stall_limit_s": settings.stall_limit_s,
        "store_limit_s": settings.store_limit_s,
        "store": store.sign(session.id, number),
    }
    return Launch(session_id=session.id, attempt=number, job=msgspec.json.encode(job).decode())
