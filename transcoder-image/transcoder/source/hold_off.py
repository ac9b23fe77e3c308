"""Hold-off: an input that fails is not opened for some time, which doubles with each failure in a row (exponential backoff).

The orchestrator holds sources off by the same formula. Pure.
"""

from zlib import crc32

_FIRST_S, _LONGEST_S = 10.0, 300.0
_JITTER = 0.2  # inputs that failed together are not all opened together again


def hold_off_s(input_id: str, failures_in_a_row: int) -> float:
    """How long it is not opened after that many failures (1 or more). Up to a fifth is taken off, by a hash: the same each
    time."""
    doubled = _FIRST_S * 2.0 ** min(failures_in_a_row - 1, 32)
    chance = crc32(f"{input_id} {failures_in_a_row}".encode()) / 2**32
    return min(_LONGEST_S, doubled) * (1.0 - _JITTER * chance)
