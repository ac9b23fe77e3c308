"""The periodic jobs on the real scheduler: each goes on whatever happens in it, and none runs beside itself."""

from __future__ import annotations

import asyncio
import logging
from types import SimpleNamespace
from typing import Any

import pytest

from orchestrator.app.periodic import PeriodicJobs
from orchestrator.app.settings import Settings
from orchestrator.errors import DatabaseUnavailable, NotLeading
from tests.support import eventually

OFTEN = Settings(playlist_poll_interval_s=0.02, resync_interval_s=0.02, reprobe_interval_s=0.02, retention_interval_s=0.02,
                 first_probe_interval_s=0.02)  # fmt: skip


class CountedWork:
    """Each job's work, counted; `work` says what happens in it."""

    def __init__(self) -> None:
        self.runs: dict[str, int] = {}
        self.at_once: dict[str, int] = {}
        self.most_at_once = 0
        self.error: Exception | None = None
        self.takes_s = 0.0
        self.leads = True

    def work(self, name: str, result: Any = None) -> Any:
        async def run(*_: Any) -> Any:
            self.runs[name] = self.runs.get(name, 0) + 1
            self.at_once[name] = self.at_once.get(name, 0) + 1
            self.most_at_once = max(self.most_at_once, self.at_once[name])
            try:
                await asyncio.sleep(self.takes_s)
            finally:
                self.at_once[name] -= 1
            if self.error is not None:
                raise self.error
            return result

        return run

    async def confirm(self) -> None:
        if not self.leads:
            raise NotLeading("another one does")

    def jobs(self) -> PeriodicJobs:
        changes: Any = SimpleNamespace(
            poll_rows=self.work("rows"),
            poll_channels=self.work("channels"),
            poll_containers=self.work("poll", ()),
        )
        poller: Any = SimpleNamespace(look=self.work("look"))
        inbox: Any = SimpleNamespace(look=self.work("inbox"))
        input_switches: Any = SimpleNamespace(look=self.work("input switches"))
        reprobing: Any = SimpleNamespace(probe_problematic=self.work("reprobing", ()), probe_awaited=self.work("failback"))
        requested_probes: Any = SimpleNamespace(look=self.work("requested"))
        first_probes: Any = SimpleNamespace(look=self.work("first probes"))
        renewals: Any = SimpleNamespace(look=self.work("renewals"))
        segment_retention: Any = SimpleNamespace(delete_unlisted=self.work("retention", 0))
        history_retention: Any = SimpleNamespace(delete_old=self.work("history", 0))
        presence: Any = SimpleNamespace(announce=self.work("presence"))
        leadership: Any = SimpleNamespace(confirm=self.confirm, renew=self.work("leadership"))
        orphans: Any = SimpleNamespace(remove=self.work("orphans"))
        return PeriodicJobs(
            settings=OFTEN, changes=changes, orphans=orphans, poller=poller, reprobing=reprobing,
            inbox=inbox, input_switches=input_switches,
            segment_retention=segment_retention, history_retention=history_retention, presence=presence,
            leadership=leadership, renewals=renewals, requested_probes=requested_probes, first_probes=first_probes,
            now=lambda: 0.0,
        )  # fmt: skip


@pytest.mark.parametrize(
    ("error", "level"),
    [(None, None), (DatabaseUnavailable("locked"), logging.WARNING), (ZeroDivisionError("a bug"), logging.ERROR)],
)
async def test_every_job_goes_on_whatever_happens_in_it(
    error: Exception | None, level: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    counted = CountedWork()
    counted.error = error
    periodic_jobs = counted.jobs()
    periodic_jobs.start()
    often = ("look", "rows", "reprobing", "retention")
    await eventually(lambda: all(counted.runs.get(name, 0) >= 3 for name in often), every_s=0.01)
    periodic_jobs.close()
    assert {record.levelno for record in caplog.records if record.name == "orchestrator.app.periodic"} == (
        {level} if level else set()
    )


async def test_a_job_that_takes_long_is_not_run_beside_itself() -> None:
    counted = CountedWork()
    counted.takes_s = 0.15
    periodic_jobs = counted.jobs()
    periodic_jobs.start()
    await eventually(lambda: counted.runs.get("look", 0) >= 3, every_s=0.01)
    periodic_jobs.close()
    assert counted.most_at_once == 1


async def test_closed_jobs_run_no_more() -> None:
    counted = CountedWork()
    periodic_jobs = counted.jobs()
    periodic_jobs.start()
    await eventually(lambda: counted.runs.get("look"), every_s=0.01)
    periodic_jobs.close()
    await asyncio.sleep(0.0)
    runs = dict(counted.runs)
    await asyncio.sleep(0.1)
    assert counted.runs == runs
    assert asyncio.all_tasks() == {asyncio.current_task()}
