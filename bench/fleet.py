"""Fifty sessions requested at once, each on a channel of its own that nobody has ever asked for."""

from __future__ import annotations

import asyncio

import httpx

from bench.moments import Parts
from bench.stage import Requested, Stage
from bench.table import Goal, Row
from orchestrator.errors import FailoverError

SESSIONS = 50
_RUNS_EACH = 7  # one fleet counts for so many runs
_WAIT_S = 25.0

_STEPS = {
    "row": "the request reaches the row",
    "decided": "nudge, probe, decision",
    "created": "the engine takes the container",
    "started": "the engine starts it",
    "noticed": "the orchestrator sees the first segment",
    "answered": "the client is told",
}


async def fleet(stage: Stage, runs: int) -> list[Row]:
    return await measure(stage, -(-runs // _RUNS_EACH), SESSIONS)


async def measure(stage: Stage, fleets: int, size: int) -> list[Row]:
    lab = await stage.lab()
    parts = Parts(_STEPS)
    last, each, refused = [], [], 0
    for _ in range(fleets):
        channels = [await stage.channel([lab.sources[n % len(lab.sources)].hls_url]) for n in range(size)]
        answers = await asyncio.gather(
            *(stage.request(channel["id"], wait_s=_WAIT_S) for channel in channels), return_exceptions=True
        )
        live = [answer for answer in answers if isinstance(answer, Requested) and answer.session["phase"] == "live"]
        failed = [answer for answer in answers if isinstance(answer, BaseException)]
        if unknown := [error for error in failed if not isinstance(error, FailoverError | httpx.HTTPError)]:
            raise unknown[0]
        refused += size - len(live)
        for asked in live:
            known = await stage.moments(asked, int(asked.session["attempt"]))
            parts.add(asked.sent_at, known)
            each.append(asked.answered_at - asked.sent_at)
        last.append(max((asked.answered_at - asked.sent_at for asked in live), default=_WAIT_S))
        await asyncio.gather(*(stage.end(answer) for answer in answers if isinstance(answer, Requested)))
    goal = Goal(worst=12.0 if not refused else 0.0)
    what = f"{size} sessions requested at once: until the last is live"
    return [Row("fleet", what, "s", goal, last, {"one session, request to answer": each, **parts.of()}, f"{refused} not live")]
