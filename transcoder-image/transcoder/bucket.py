"""The bucket's layout: every key, the headers that objects are stored with, and which of them anybody may read.

| object | key | read by |
|---|---|---|
| multivariant playlist | `playlists/{session}/index.m3u8` | anybody |
| media playlist | `playlists/{session}/main.m3u8` | anybody |
| media segment | `segments/{session}/{attempt}/main/{n}.ts` | anybody |
| log of an attempt | `logs/{session}/{attempt}.log` | operators, with the store's key |
| orders of an attempt | `orders/{session}/{attempt}.json` | that attempt, at a signed address |
| report of an attempt | `inbox/{session}.{attempt}.{n}.json` | the orchestrator |
| `prepared` | written and deleted when the orchestrator starts | nobody |

Rule: only this module spells a key. The agent, the orchestrator, the API, the doctor, the bench and the tests call it, so that
they cannot differ. The edges' configuration and the Terraform modules have to spell the prefixes; a test compares them.

A segment's key is written once, by the attempt that it names, and its bytes never change: caches may keep it for ever. A
playlist changes with each segment: caches may keep it for one second.

Imported before FFmpeg is started (`transcoder.job`): it imports nothing itself.
"""

PLAYLISTS, SEGMENTS, LOGS, ORDERS, INBOX = "playlists/", "segments/", "logs/", "orders/", "inbox/"
PREFIXES = (SEGMENTS, LOGS, ORDERS, PLAYLISTS)
"""Every prefix with a directory for each session, in the order in which a session is deleted: as long as its playlists are
there, deleting is tried again."""
PUBLIC_PREFIXES = (PLAYLISTS, SEGMENTS)
"""What anybody may read. The bucket's policy allows `s3:GetObject` here, and nothing else to anybody."""
PREPARED = "prepared"
"""The object that the orchestrator writes and deletes when it starts, to see that the store takes objects."""

VARIANT = "main"
"""The one variant stream that a session has."""
MULTIVARIANT_NAME, MEDIA_PLAYLIST_NAME = "index.m3u8", f"{VARIANT}.m3u8"
"""Both stand in one directory: the multivariant playlist names the media playlist by its name alone."""

PLAYLIST_TYPE, SEGMENT_TYPE = "application/vnd.apple.mpegurl", "video/mp2t"
PLAYLIST_HEADERS = {"Content-Type": PLAYLIST_TYPE, "Cache-Control": "public, max-age=1"}
SEGMENT_HEADERS = {"Content-Type": SEGMENT_TYPE, "Cache-Control": "public, max-age=31536000, immutable"}
LOG_HEADERS = {"Content-Type": "text/plain; charset=utf-8"}
REPORT_HEADERS = {"Content-Type": "application/json"}
ORDERS_HEADERS = {"Content-Type": "application/json", "Cache-Control": "no-store"}

_TO_THE_ROOT = "../../"  # from a playlist's directory
_NUMBER_DIGITS = 18  # a number of more digits in a key is none of ours; Python refuses to read one of 4,300


def multivariant_key(session: str) -> str:
    """The key of the session's multivariant playlist: its address for viewers, for its whole life."""
    return f"{PLAYLISTS}{session}/{MULTIVARIANT_NAME}"


def media_playlist_key(session: str) -> str:
    """The key of the session's media playlist."""
    return f"{PLAYLISTS}{session}/{MEDIA_PLAYLIST_NAME}"


def segments_prefix(session: str, attempt: int) -> str:
    """What all keys of an attempt's segments begin with. Its POST policy is signed for this prefix."""
    return f"{SEGMENTS}{session}/{attempt}/"


def segment_key(session: str, attempt: int, n: int) -> str:
    """The key of the attempt's media segment number `n`."""
    return f"{segments_prefix(session, attempt)}{VARIANT}/{n}.ts"


def segment_uri(session: str, attempt: int, n: int) -> str:
    """The same segment as the session's media playlist lists it: relative to the playlist's own address."""
    return _TO_THE_ROOT + segment_key(session, attempt, n)


def log_key(session: str, attempt: int) -> str:
    """The key of an attempt's log."""
    return f"{LOGS}{session}/{attempt}.log"


def orders_key(session: str, attempt: int) -> str:
    """The key of an attempt's orders."""
    return f"{ORDERS}{session}/{attempt}.json"


def reports_prefix(session: str, attempt: int) -> str:
    """What all keys of an attempt's reports begin with. Its POST policy for reports is signed for this prefix."""
    return f"{INBOX}{session}.{attempt}."


def session_reports_prefix(session: str) -> str:
    """What all keys of a session's reports begin with."""
    return f"{INBOX}{session}."


def report_key(session: str, attempt: int, n: int) -> str:
    """The key of the attempt's report number `n`. All reports lie in one flat list, so that one LIST finds them; an
    attempt's are in the order of their numbers there."""
    return f"{reports_prefix(session, attempt)}{n:06}.json"


def report_of(key: str) -> tuple[str, int, int] | None:
    """Session, attempt and number of the report with this key; None where the key is not a report's. The agent chooses keys
    below its prefix, so they are not trusted."""
    parts = key.removeprefix(INBOX).split(".")
    if not key.startswith(INBOX) or len(parts) != 4 or parts[3] != "json":
        return None
    session, attempt, n = parts[0], natural(parts[1]), natural(parts[2])
    return (session, attempt, n) if attempt >= 1 and n >= 1 and report_key(session, attempt, n) == key else None


def session_prefix(prefix: str, session: str) -> str:
    """What all keys of a session under one of `PREFIXES` begin with."""
    return f"{prefix}{session}/"


def session_of(key: str) -> str:
    """The session that an object under one of `PREFIXES` belongs to."""
    return key.split("/", 2)[1]


def listed_key(session: str, uri: str) -> str | None:
    """The key of a segment, from its URI in the session's media playlist; None where the URI leads anywhere else.

    A container writes the playlist, so its URIs are not trusted: only a segment of the same session is let through.
    """
    key = uri.removeprefix(_TO_THE_ROOT)
    parts = key.split("/")
    own = len(parts) == 5 and parts[:2] == [SEGMENTS.rstrip("/"), session] and not {"", ".", ".."} & set(parts)
    return key if own and key != uri else None


def attempt_of(uri: str) -> int:
    """The attempt that wrote the segment which a URI or a key names; 0 where it names none."""
    parts = uri.split("/")
    if len(parts) >= 5 and parts[-5] == SEGMENTS.rstrip("/"):
        return max(0, natural(parts[-3]))
    return 0


def segment_position(uri: str) -> tuple[int, int]:
    """Attempt and number of the segment which a URI or a key names, for comparison: in a playlist they only go up.

    A container may write other keys below its attempt's prefix. What stands in the place of a number and is none counts
    as -1, so that it comes before every segment.
    """
    parts = uri.partition(SEGMENTS)[2].split("/")
    return natural(parts[1] if len(parts) > 1 else ""), natural(parts[-1].partition(".")[0])


def natural(text: str) -> int:
    """A decimal number without a sign, of at most 18 digits; -1 where the text is none."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _NUMBER_DIGITS else -1
