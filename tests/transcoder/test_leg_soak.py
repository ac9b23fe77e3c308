"""Many input switches in one attempt: memory and file descriptors stay flat.

`LEG_SOAK_SWITCHES=2000 pytest tests/transcoder/test_leg_soak.py -s` runs longer.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from tests.support import eventually
from tests.transcoder.conftest import Encode
from tests.transcoder.ordinary import Page, serving
from tests.transcoder.rig import Agent, NewSession, granted
from transcoder.ending import Ending

pytestmark = pytest.mark.alone

SWITCHES = int(os.environ.get("LEG_SOAK_SWITCHES", "200"))

# The limits on openings and reports and the hold-off would make 200 switches last for hours; they have tests of their own.
_AGENT = """
import os, runpy, threading, time
import transcoder.source.opening_limits as limits
import transcoder.source.hold_off as hold_off
import transcoder.publish.reports as reports
limits._SHORT, limits._LONG = 10**6, 10**6
hold_off._FIRST_S = hold_off._LONGEST_S = 0.0
reports._EVERY_S = 0.01

def count():
    while True:
        with open({counts!r}, "w") as file:
            file.write(f"{{len(os.listdir('/proc/self/fd'))}} {{threading.active_count()}}")
        time.sleep(0.2)

threading.Thread(target=count, daemon=True).start()
runpy.run_module("transcoder", run_name="__main__")
"""


def resident_kib(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


@pytest.mark.timeout(120 + 2 * SWITCHES)
async def test_memory_and_descriptors_are_flat_over_many_switches(session: NewSession, encode: Encode, tmp_path: Path) -> None:
    counts, script = tmp_path / "counts", tmp_path / "agent.py"
    script.write_text(_AGENT.format(counts=str(counts)))
    # A source that sends some seconds at once and closes.
    page = Page(encode("television")[: 188 * 1200], "video/mp2t")
    s = session()
    async with serving({"/a.ts": page, "/b.ts": page}) as url:
        inputs = [granted(name, f"{url}/{name}.ts") for name in "ab"]
        async with Agent(s.job_with_orders(inputs), str(script)) as agent:

            async def reach(leg: int) -> tuple[int, int, int]:
                await eventually(lambda: f"leg {leg}: " in agent.said, timeout_s=60.0 + 2 * SWITCHES, every_s=0.2)
                samples = []
                for _ in range(5):  # FFmpeg's descriptors come and go
                    descriptors, threads = map(int, counts.read_text().split() or ("0", "0"))
                    samples.append((descriptors, threads, resident_kib(agent.process.pid)))
                    await asyncio.sleep(0.25)
                return max(each[0] for each in samples), max(each[1] for each in samples), samples[-1][2]

            early = await reach(SWITCHES // 4)
            late = await reach(SWITCHES)
            assert await agent.end() == Ending.BY_REQUEST
    print(f"leg {SWITCHES // 4}: {early}; leg {SWITCHES}: {late} (descriptors, threads, KiB)")
    assert late[0] <= early[0] + 4
    assert late[1] <= early[1] + 1, "an upload of the log has a thread of its own for a moment"
    assert late[2] <= early[2] + 2048 + 4 * SWITCHES, "the log grows up to 1 MiB"
    await s.look()
    assert s.broken == []
    told = await s.told()
    assert max(each.leg for each in told) >= SWITCHES
