"""Reports: what an attempt has done with its inputs, as small JSON objects in the store. The agent renders them, the
orchestrator parses them.

Rule: reports are mail. Each has a number in its attempt, from 1 and without a gap; it is delivered at least once, and reading
it twice changes nothing. A report gives ages, not times: its date is the object's Last-Modified, because the clocks of two
machines differ. Reports are not trusted: parsing one takes bounded time and memory, and raises BadDocument and nothing else.

Its object has the key `inbox/{session}.{attempt}.{n}.json` (`bucket.report_key`).
"""

from enum import StrEnum
from json import dumps, loads
from typing import NamedTuple

from transcoder.ending import Ending
from transcoder.fields import BadDocument, Fields

LIMIT_BYTES = 64 << 10
MOST_HAPPENINGS = 32
LONGEST_DETAIL = 300
_LONGEST_AGE_S = 30 * 24 * 3600.0
_MOST_LEGS = 1 << 31


class What(StrEnum):
    """What has happened."""

    STARTED = "started"  # the leg's input has been opened
    LISTED = "listed"  # the leg's first segment is in the playlist
    ENDED = "ended"  # the leg is over; `ending` says why
    WORKING = "working"  # nothing is listed at the moment, and the attempt is at work on it
    ORDERS = "orders"  # the orders with this `version` hold from now on
    SPENT = "spent"  # the play request `request` has failed; what plays goes on


class Happening(NamedTuple):
    """`age_s`: how long before the report was written it happened. `leg`: its number in the attempt, from 1. `gap_s`: programme
    that was skipped before the leg (negative: repeated). `detail`: for people, without addresses."""

    what: What
    age_s: float
    leg: int
    input: str
    ending: Ending | None = None
    detail: str = ""
    gap_s: float = 0.0
    version: int = 0
    request: int = 0


class Report(NamedTuple):
    """The attempt's report number `n`: what has happened since the one before, the oldest first."""

    n: int
    happenings: tuple[Happening, ...]


def render(report: Report) -> bytes:
    """The JSON document. Fields that are empty are left out."""
    happenings = []
    for each in report.happenings:
        fields: dict[str, object] = {"what": each.what, "age_s": round(each.age_s, 3), "leg": each.leg, "input": each.input}
        if each.ending is not None:
            fields["ending"] = int(each.ending)
        if each.detail:
            fields["detail"] = _cleaned(each.detail)
        if each.gap_s:
            fields["gap_s"] = round(each.gap_s, 3)
        if each.version:
            fields["version"] = each.version
        if each.request:
            fields["request"] = each.request
        happenings.append(fields)
    return dumps({"n": report.n, "happened": happenings}, separators=(",", ":")).encode()


def parse(document: bytes) -> Report:
    """Reads a report. Raises BadDocument."""
    if len(document) > LIMIT_BYTES:
        raise BadDocument("too long")
    try:
        root = Fields(loads(document))
    except (ValueError, RecursionError) as error:
        raise error if isinstance(error, BadDocument) else BadDocument("not JSON") from error
    report = Report(n=root.whole("n", 1, 999_999), happenings=tuple(map(_happening, root.objects("happened", MOST_HAPPENINGS))))
    root.done()
    return report


def _happening(fields: Fields) -> Happening:
    try:
        what = What(fields.text("what", 20))
    except ValueError as error:
        raise error if isinstance(error, BadDocument) else fields.fault("what", " is unknown") from error
    happening = Happening(
        what=what,
        age_s=fields.number("age_s", 0, _LONGEST_AGE_S),
        leg=fields.whole("leg", 1, _MOST_LEGS),
        input=fields.name("input"),
        ending=_ending(fields),
        detail=fields.optional_text("detail", LONGEST_DETAIL),
        gap_s=fields.optional("gap_s", -_LONGEST_AGE_S, _LONGEST_AGE_S) or 0.0,
        version=fields.whole("version", 1, 1 << 53) if fields.has("version") else 0,
        request=fields.whole("request", 1, 1 << 53) if fields.has("request") else 0,
    )
    fields.done()
    if (what is What.ENDED) != (happening.ending is not None):
        raise fields.fault("ending", " belongs to `ended`, and only there")
    return happening


def _ending(fields: Fields) -> Ending | None:
    if not fields.has("ending"):
        return None
    code = fields.whole("ending", 0, 255)
    if code not in Ending._value2member_map_:
        raise fields.fault("ending", " is unknown")
    return Ending(code)


def _cleaned(detail: str) -> str:
    return "".join(each if each >= " " and each != "\x7f" else " " for each in detail)[:LONGEST_DETAIL]
