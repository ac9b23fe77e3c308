"""How late the next segment is when a container or its source dies: later than the last listing plus its duration.

A run is a session of its own on two sources in step. It plays; at a moment that differs from run to run something is done to
it. Its lateness is the greatest of all listings from then until the new attempt's second one, as a player has it that shows one
segment after the other. What a swap skips or repeats of the programme is read off the pictures themselves.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple

from bench.moments import Parts
from bench.programme import skipped_s
from bench.stage import PATIENCE_S, Requested, Stage, came
from bench.table import Goal, Row, median, shown
from lab import LabFault
from lab.lab_process import RemoteSource
from lab.viewer import Listing, lateness_s
from orchestrator.errors import FailoverError

_STEADY = 3  # moments of listing: what the source had in store is listed, and it plays in its own rhythm
_GOLDEN = 0.618  # steps of this fraction fill an interval evenly, however many there are
_REFUSALS = (LabFault.REFUSE, LabFault.HTTP_404, LabFault.HTTP_500, LabFault.END, LabFault.RESET)
_SILENCES = (LabFault.FROZEN, LabFault.HANG)
_NEEDED_BPS = 800_000  # 100 kB/s
_TRICKLE = 16_000.0  # B/s

_STEPS = {
    "agent_ended": "until the agent ends its attempt",
    "decided": "until the next attempt is decided",
    "created": "the engine takes its container",
    "started": "the engine starts it",
    "agent": "its first process becomes the agent",
    "ffmpeg": "the agent starts FFmpeg",
    "media": "FFmpeg's first media",
    "stored": "first segment in the store",
    "listed": "first listing",
}

Injury = Callable[[Requested, RemoteSource], Awaitable[None]]


class Run(NamedTuple):
    """One swap. `due_s`: how long after the injury the next segment was due; `skipped_s`: of the programme, negative where it
    was repeated, None where there was no swap; `moments`: of both attempts."""

    late_s: float
    due_s: float
    skipped_s: float | None
    injured_at: float
    moments: dict[str, float]


async def container_killed(stage: Stage, runs: int) -> list[Row]:
    async def kill(asked: Requested, _: RemoteSource) -> None:
        await stage.containers.kill(asked.id, 1)

    done = await _swaps(stage, runs, {"kill": kill})
    return _rows("kill", "container killed", Goal(median=0.35, p95=0.8), done, stage.settings.segment_s)


async def source_refuses(stage: Stage, runs: int) -> list[Row]:
    done = await _swaps(stage, runs, {fault.value: _inject(fault) for fault in _REFUSALS})
    return _rows("refuse", "source refuses, 404, 500, ends or resets", Goal(median=0.5), done, stage.settings.segment_s)


async def source_silent(stage: Stage, runs: int) -> list[Row]:
    done = await _swaps(stage, runs, {fault.value: _inject(fault) for fault in _SILENCES})
    return _rows("silent", "source frozen or hanging", Goal(median=1.8), done, stage.settings.segment_s)


async def source_trickles(stage: Stage, runs: int) -> list[Row]:
    done = await _swaps(stage, runs, {"trickle": _inject(LabFault.TRICKLE, _TRICKLE)}, bitrate_bps=_NEEDED_BPS)
    return _rows("trickle", "source trickles 16 kB/s of 100", Goal(median=6.0), done, stage.settings.segment_s)


def _inject(fault: LabFault, amount: float | None = None) -> Injury:
    async def injure(_: Requested, source: RemoteSource) -> None:
        await asyncio.to_thread(source.inject, fault, amount)

    return injure


def _rows(name: str, what: str, goal: Goal, done: Mapping[str, Sequence[Run]], segment_s: float) -> list[Row]:
    runs = [run for each in done.values() for run in each]
    parts = Parts(_STEPS)
    for run in runs:
        parts.add(run.injured_at, run.moments)
    skipped = [run.skipped_s for run in runs if run.skipped_s is not None]
    each = ", ".join(f"{injury} {shown(median([run.late_s for run in runs]))}" for injury, runs in done.items())
    return [
        Row(
            name,
            f"{what}: lateness of the next segment",
            "s",
            goal,
            [run.late_s for run in runs],
            {"(due so long after the injury)": [run.due_s for run in runs], **parts.of()},
            remark=f"medians: {each}" if len(done) > 1 else "",
        ),
        Row(
            f"{name}-programme",
            f"{what}: programme repeated or skipped",
            "s",
            Goal(worst=segment_s),
            [abs(each) for each in skipped],
            remark=f"{sum(each > 0 for each in skipped)} skipped some, {sum(each < 0 for each in skipped)} repeated some",
        ),
    ]


# --- the runs ---------------------------------------------------------------------------------------------------------


async def _swaps(
    stage: Stage, runs: int, injuries: Mapping[str, Injury], *, bitrate_bps: int = 400_000
) -> dict[str, list[Run]]:
    """Each injury `runs` times, on as many pairs of sources at a time as the lab has."""
    lab = await stage.lab(bitrate_bps)
    waiting = [(name, number) for number in range(runs) for name in injuries]
    done: dict[str, list[Run]] = defaultdict(list)

    async def lane(first: RemoteSource, second: RemoteSource) -> None:
        while waiting:
            name, number = waiting.pop(0)
            phase_s = stage.settings.segment_s * (number * _GOLDEN % 1.0)
            done[name].append(await _swap(stage, first, second, injuries[name], phase_s))

    pairs = zip(lab.sources[::2], lab.sources[1::2], strict=True)
    try:
        async with asyncio.TaskGroup() as group:
            for first, second in pairs:
                group.create_task(lane(first, second))
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return done


async def _swap(stage: Stage, first: RemoteSource, second: RemoteSource, injury: Injury, phase_s: float) -> Run:
    asked = await stage.session([first.hls_url, second.hls_url])
    async with stage.watching(asked) as viewer:
        if not await came(lambda: len({each.at for each in viewer.listings}) >= _STEADY):
            raise FailoverError(f"session {asked.id} on {first.hls_url} does not play")
        await asyncio.sleep(viewer.listings[-1].at + phase_s - time.time())
        before = viewer.listings[-1]
        injured_at = time.time()
        await injury(asked, first)
        try:
            swapped = await came(lambda: sum(each.attempt > 1 for each in viewer.listings) > 1)
        finally:
            await asyncio.to_thread(first.inject, None)
        listings = list(viewer.listings)
    due_s = before.at + before.segment.duration_s - injured_at
    if not swapped:
        await stage.end(asked)
        return Run(PATIENCE_S, due_s, None, injured_at, {})
    at = next(at for at, each in enumerate(listings) if each.attempt > 1)
    known = await stage.moments(asked, listings[at].attempt)
    old = await _media(stage, asked, listings[max(0, at - 3) : at])
    new = await _media(stage, asked, listings[at : at + 1])
    await stage.end(asked)
    known |= await stage.logged(asked, listings[at].attempt)
    ended = await stage.logged(asked, 1)
    if "agent_ended" in ended:
        known["agent_ended"] = ended["agent_ended"]
    else:
        known.pop("agent_ended", None)  # the new attempt's own, at the session's end
    return Run(
        late_s=lateness_s(listings[listings.index(before) :]),
        due_s=due_s,
        skipped_s=await asyncio.to_thread(skipped_s, old, new),
        injured_at=injured_at,
        moments=known,
    )


async def _media(stage: Stage, asked: Requested, listings: Sequence[Listing]) -> bytes:
    return b"".join([await stage.object(asked.session["playlist_url"], each.segment.uri) for each in listings])
