"""Hold-off: an input that fails is not opened for some time, which doubles with each failure in a row (exponential backoff).

The orchestrator holds sources off by the same function, with the limits of its policy. Pure.
"""

from zlib import crc32

_FIRST_S, _LONGEST_S = 10.0, 300.0
_JITTER = 0.2  # inputs that failed together are not all opened together again


def hold_off_s(input_id: str, failures_in_a_row: int, first_s: float | None = None, longest_s: float | None = None) -> float:
    """How long it is not opened after that many failures: after one `first_s`, at most `longest_s`. Up to a fifth is taken off,
    by a hash: the same each time."""
    first_s, longest_s = _FIRST_S if first_s is None else first_s, _LONGEST_S if longest_s is None else longest_s
    doubled = first_s * 2.0 ** min(max(failures_in_a_row, 1) - 1, 32)
    chance = crc32(f"{input_id} {failures_in_a_row}".encode()) / 2**32
    return min(longest_s, doubled) * (1.0 - _JITTER * chance)
