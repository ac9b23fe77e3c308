"""The agent's own process: the file that the image's HEALTHCHECK looks at, how long the process has been running, and who may
read its memory."""

import os
import time

HEALTH_VARIABLE = "TRANSCODER_HEALTH_FILE"
_PR_SET_DUMPABLE = 4  # linux/prctl.h


def touch_health_file() -> None:
    """HEALTHCHECK compares the file's age. An attempt with orders calls this from its loop, because it is healthy also while no
    input works; any other calls it whenever the store has taken a segment."""
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


def forbid_reading() -> None:
    """FFmpeg parses strangers' media under the same user: it is not to read the agent's memory or environment, in which the job
    is (PR_SET_DUMPABLE, prctl(2)). To be called after FFmpeg is started, because the import of ctypes takes some ms."""
    try:
        from ctypes import CDLL

        CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    except (ImportError, OSError, AttributeError):  # not Linux
        pass
