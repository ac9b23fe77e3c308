"""The agent's job: built from a session, a source and signed addresses, in the format that `transcoder.job` defines."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import msgspec
from msgspec import Struct

from orchestrator.app.settings import Settings
from orchestrator.core.model import Channel, Media, Session, Source
from orchestrator.ports import Launch, ObjectStore
from transcoder.fields import BadDocument, Fields, is_plain_name
from transcoder.input import MOST_CHANNELS, read_input
from transcoder.job import BadJob, parse
from transcoder.orders import MOST_INPUTS

_LONGEST_CADENCE_S = 60.0
_UNATTENDED_S = 6 * 3600.0  # without newer orders the agent opens no input after so long
_LONGEST_JOB_BYTES = 100_000  # Linux takes no environment variable of more than 128 KiB (execve(2), "Limits on size")
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


class Reserve(Struct, frozen=True):
    """A source that the attempt may go on with by itself. `last_resort`: no other source is known to work."""

    source: Source
    last_resort: bool = False


def launch(
    session: Session, source: Source | None, channel: Channel, store: ObjectStore, settings: Settings, *,
    last_resort: bool = False, reserves: Sequence[Reserve] | None = None,
) -> Launch:  # fmt: skip
    """What a runtime needs to run the session's current attempt; without a `source` the attempt shows the slate. `last_resort`:
    no other source is known to work. With `reserves`, in the order to try, the job has orders (contract 2); None: it has the
    one source, and every agent understands it. The only secrets in it are the sources' own (law 8)."""
    assert session.attempt is not None
    assert session.target_duration_s is not None
    number = session.attempt.number
    media = source.media if source else None
    job: dict[str, object] = {
        "session": session.id,
        "attempt": number,
        "profile": channel.policy.profile,
        "segment_s": settings.segment_s,
        "target_duration_s": session.target_duration_s,
        "window_s": settings.window_s,
        "backlog_segments": _backlog_segments(session.target_duration_s, media.cadence_s if media else None),
        "start_limit_s": settings.start_limit_s,
        "stall_limit_s": settings.stall_limit_s,
        "store_limit_s": settings.store_limit_s,
        "store": store.sign(session.id, number, with_orders=source is not None and reserves is not None),
    }
    # These fields are there only where they differ from the agent's default: an image from before a field refuses it.
    if channel.policy.hevc != "copy":
        job["hevc"] = channel.policy.hevc
    if source is None:
        job |= {"source": _slate(channel.name), "expected": None}
    elif reserves is None:
        job |= _played(source, last_resort=last_resort)
    else:
        first = _input(Reserve(source, last_resort))
        room = _LONGEST_JOB_BYTES - len(msgspec.json.encode(job | {"orders": _orders(session, (first,))}))
        job["orders"] = _orders(session, (first, *_fitting(reserves, room)))
    # A provider that dies may make a hundred channels encode a slate at once, which must not slow down those that play.
    return Launch(session_id=session.id, attempt=number, job=msgspec.json.encode(job).decode(), gives_way=source is None)


def _orders(session: Session, inputs: Sequence[dict[str, object]]) -> dict[str, object]:
    """The first orders of an attempt (`transcoder.orders`): begin with the first input."""
    return {
        "version": session.version + 1,  # the row's, at the commit that has decided them
        "inputs": inputs,
        "play": {"request": 1, "input": inputs[0]["id"]},
        "unattended_s": _UNATTENDED_S,
    }


def _fitting(reserves: Sequence[Reserve], room_bytes: int) -> list[dict[str, object]]:
    """The parts of the job for these sources. One that the agent would refuse is left out alone, because the agent refuses a
    job as a whole; and so is what there is no room for."""
    found: list[dict[str, object]] = []
    for reserve in reserves:
        part = _input(reserve)
        size = len(msgspec.json.encode(part)) + 1  # and a comma
        if len(found) < MOST_INPUTS - 1 and size <= room_bytes and _is_accepted(part):
            found.append(part)
            room_bytes -= size
    return found


def _is_accepted(part: dict[str, object]) -> bool:
    try:
        read_input(Fields(msgspec.json.decode(msgspec.json.encode(part))))
    except BadDocument:
        return False
    return True


def _input(reserve: Reserve) -> dict[str, object]:
    source = reserve.source
    return {"id": source.id, "provider": source.provider_id or ""} | _played(source, last_resort=reserve.last_resort)


def _played(source: Source, *, last_resort: bool) -> dict[str, object]:
    """What the agent is told of a source: as a part of the orders, or of a job without orders."""
    told: dict[str, object] = {"source": _address(source), "expected": expected(source.media)}
    if (cadence_s := _declared_s(source.media)) is not None:
        told["cadence_s"] = cadence_s
    if last_resort:
        told["last_resort"] = True
    return told


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
