"""When what happened in one attempt, by whoever knows it best: the engine, the agent's log, the rows. Unix seconds.

The agent's words are read here and nowhere else; a line that is not there is a moment that is not known.
"""

from __future__ import annotations

import re
from datetime import datetime

_LINE = re.compile(r"^(\S+Z) (.*)$", re.MULTILINE)
_AGE = re.compile(r"this process is ([\d.]+) s old")
_AFTER_FFMPEG = re.compile(r"first media ([\d.]+) s after FFmpeg's start")
_ENDING = re.compile(r" \(\d+\): ")


def moment(timestamp: str) -> float:
    """RFC 3339 in Unix seconds, with as many decimals as the engine likes."""
    whole, _, rest = timestamp.removesuffix("Z").partition(".")
    return datetime.fromisoformat(f"{whole}+00:00").timestamp() + float(f"0.{rest or 0}")


def of_log(text: str) -> dict[str, float]:
    """The moments that an agent's log tells of: "agent", "ffmpeg", "media", "stored", "listed", "agent_ended"."""
    moments: dict[str, float] = {}
    for stamp, said in _LINE.findall(text):
        at = moment(stamp)
        if age := _AGE.search(said):
            moments.setdefault("agent", at - float(age[1]))
            moments.setdefault("running", at)
        elif after := _AFTER_FFMPEG.search(said):
            moments.setdefault("media", at)
            moments.setdefault("ffmpeg", at - float(after[1]))
        elif said.startswith("first segment stored"):
            moments.setdefault("stored", at)
        elif said.startswith("first listing"):
            moments.setdefault("listed", at)
        elif _ENDING.search(said) and not said.startswith("ffmpeg:"):
            moments.setdefault("agent_ended", at)
    return moments


class Parts:
    """Collects, run by run, how long each part took: from one moment to the next one that is known."""

    def __init__(self, steps: dict[str, str]) -> None:
        """`steps`: moment → the name of the part that ends with it, in order."""
        self._steps = steps
        self._values: dict[str, list[float]] = {}

    def add(self, started_at: float, moments: dict[str, float]) -> None:
        """One run. A moment that is not known is left out, and its part counts as the next one's."""
        at = started_at
        for name, part in self._steps.items():
            if name in moments:
                self._values.setdefault(part, []).append(moments[name] - at)
                at = moments[name]

    def of(self) -> dict[str, list[float]]:
        """Part → values, in the order of the steps."""
        return {part: self._values[part] for part in self._steps.values() if part in self._values}
