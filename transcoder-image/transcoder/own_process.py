"""The agent's own process: the file that the image's HEALTHCHECK looks at, and how long the process has been running."""

import os
import time

HEALTH_VARIABLE = "TRANSCODER_HEALTH_FILE"


def touch_health_file() -> None:
    """Called whenever the store has taken a segment: HEALTHCHECK compares the file's age."""
    path = os.environ.get(HEALTH_VARIABLE)
    if path:
        try:
            with open(path, "wb"):
                pass
        except OSError:
            pass


def age_s() -> float:
    """How long this process has been running, in seconds, by the kernel (proc(5), stat, field 22); 0 where it does not say."""
    try:
        with open("/proc/self/stat", "rb") as stat:
            ticks = int(stat.read().rpartition(b")")[2].split()[19])
        return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, AttributeError, ValueError, IndexError):
        return 0.0
