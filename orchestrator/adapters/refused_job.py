"""Reads from the end of an agent's log which field of its job the agent has refused (`transcoder.__main__` writes it).

Both runtimes use it. Where nothing can be read the field is empty, which is no failure: the exit code says that it was refused.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Final

from msgspec import DecodeError, Struct
from msgspec.json import Decoder

from transcoder.ending import Ending

_LONGEST: Final = 200  # characters, of what people read


class _Refusal(Struct, frozen=True):
    bad_job: str


_decode = Decoder(_Refusal).decode
_OF_THE_RELEASE_BEFORE = re.compile(rf"^bad job(?: \({int(Ending.BAD_JOB)}\))?: (.{{1,{_LONGEST}}})", re.MULTILINE)


def refused_field(log: str) -> str:
    """The field and why, for people; no value of the job is quoted in it. The agent writes it as one line of JSON."""
    for line in reversed(log.splitlines()):
        if line.startswith("{"):
            with suppress(DecodeError):
                return _decode(line).bad_job[:_LONGEST]
    said = _OF_THE_RELEASE_BEFORE.search(log)
    return said[1] if said else ""
