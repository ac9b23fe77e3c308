"""The exit codes of the agent: how an attempt ended, and whether the source is to blame. The orchestrator reads the same enum.

Law: blame where it belongs (law 7). What a source did never counts as a fault of ours, nor the other way round.
"""

from enum import IntEnum


class Ending(IntEnum):
    """The agent's exit code. Anything else (137 killed, 1 a traceback) is the container's."""

    BY_REQUEST = 0
    SOURCE_UNREACHABLE = 10
    SOURCE_REFUSED = 11
    SOURCE_ENDED = 12
    SOURCE_STALLED = 13
    SOURCE_UNDECODABLE = 14
    STORE_UNREACHABLE = 20
    FENCED = 21
    FFMPEG_CRASHED = 30
    BAD_JOB = 31

    @property
    def blames_source(self) -> bool:
        """Whether the source is to blame."""
        return 10 <= self < 20

    @property
    def words(self) -> str:
        """For people: "source stalled"."""
        return self.name.lower().replace("_", " ")
