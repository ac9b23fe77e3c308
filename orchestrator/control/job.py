"""The agent's job: built from a session, a source and signed addresses, in the format that `transcoder.job` defines."""

from __future__ import annotations

from math import ceil

import msgspec

from orchestrator.app.settings import Settings
from orchestrator.core.model import Channel, Media, Session, Source
from orchestrator.ports import Launch, ObjectStore
from transcoder.job import MOST_CHANNELS, BadJob, is_plain_name, parse

_LONGEST_CADENCE_S = 60.0
_FEWEST, _MOST = 3, 8  # segments: as many as FFmpeg takes by itself; as many as most sources' playlists hold


def _backlog_segments(target_duration_s: int, cadence_s: float | None) -> int:
    """How many of the source's segments make up a player's distance from the live edge, three target durations (RFC 8216,
    6.3.3). A session that begins with fewer leaves the player without a buffer for a swap."""
    if not cadence_s:
        return _FEWEST
    distance_s = 3 * target_duration_s
    # Compared before it is divided by: a quotient by a very small number is infinite.
    return _MOST if cadence_s * _MOST <= distance_s else max(_FEWEST, ceil(distance_s / cadence_s))


def _declared_s(media: Media | None) -> float | None:
    """The target duration that the source's playlist declares, bounded: a playlist may declare anything."""
    cadence_s = media.cadence_s if media else None
    return None if cadence_s is None else min(max(cadence_s, 0.0), _LONGEST_CADENCE_S)


def launch(
    session: Session, source: Source | None, channel: Channel, store: ObjectStore, settings: Settings, *,
    last_resort: bool = False,
) -> Launch:  # fmt: skip
    """What a runtime needs to run the session's current attempt; without a `source` the attempt shows the slate. `last_resort`:
    no other source is known to work. The only secrets in it are the source's own (law 8)."""
    assert session.attempt is not None
    assert session.target_duration_s is not None
    number = session.attempt.number
    media = source.media if source else None
    job = {
        "session": session.id,
        "attempt": number,
        "source": _slate(channel.name) if source is None else _address(source),
        "expected": expected(media),
        "profile": channel.policy.profile,
        "segment_s": settings.segment_s,
        "target_duration_s": session.target_duration_s,
        "window_s": settings.window_s,
        "backlog_segments": _backlog_segments(session.target_duration_s, media.cadence_s if media else None),
        "start_limit_s": settings.start_limit_s,
        "stall_limit_s": settings.stall_limit_s,
        "store_limit_s": settings.store_limit_s,
        "store": store.sign(session.id, number),
    }
    # These fields are there only where they differ from the agent's default: an image from before a field refuses it.
    if (cadence_s := _declared_s(media)) is not None:
        job["cadence_s"] = cadence_s
    if last_resort and source is not None:
        job["last_resort"] = True
    if channel.policy.hevc != "copy":
        job["hevc"] = channel.policy.hevc
    # A provider that dies may make a hundred channels encode a slate at once, which must not slow down those that play.
    return Launch(session_id=session.id, attempt=number, job=msgspec.json.encode(job).decode(), gives_way=source is None)


def expected(media: Media | None) -> dict[str, object] | None:
    """What the agent may assume that the source sends, from what a probe has seen; None: nothing.

    What the probe does not know stays unknown in the job: the agent finds it out from FFmpeg's report of the streams.
    """
    if media is None:
        return None
    video, audio = (name if name and is_plain_name(name) else None for name in (media.video, media.audio))
    if video is None and audio is None:
        return None
    channels = media.channels or 0
    return {"video": video, "audio": audio, "channels": channels if audio and 0 < channels <= MOST_CHANNELS else 0}


def fault(launch: Launch) -> str | None:
    """Why the agent would refuse this job, with the field's name; None: it would accept it. An agent of another release may
    decide otherwise."""
    try:
        parse(launch.job)
    except BadJob as error:
        return str(error)
    return None


def _address(source: Source) -> dict[str, object]:
    return {"url": source.url, "user_agent": source.user_agent, "headers": source.headers}


def _slate(name: str) -> dict[str, object]:
    # A job's texts may not contain control characters, and a channel's name may.
    return {"slate": {"title": "".join(each if each.isprintable() else " " for each in name)}}
