"""The job that the orchestrator gives the agent: one JSON document in the environment variable TRANSCODER_JOB.

Rule: nothing of a job is used before all of it has been checked. What is unknown, missing or of the wrong type makes a bad job,
and so does a source whose scheme could read files or anything else but a network.
"""

from json import loads
from typing import Any, Literal, NamedTuple

from transcoder import bucket

# What FFmpeg may be given to read. Everything else (file, concat, data, pipe, ...) would reach into the container.
SCHEMES = frozenset(("http", "https", "rtmp", "rtmps", "rtsp", "srt", "udp", "rtp"))

_LONGEST_TEXT = 16_384
_NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")

MOST_CHANNELS = 64

Profile = Literal["copy", "h264"]
Hevc = Literal["copy", "h264"]  # what is done with HEVC where a session begins with it


class BadJob(ValueError):
    """The document is not a job; the message names the field."""


class SourceInput(NamedTuple):
    """A source: its address, and the headers to request it with."""

    url: str
    user_agent: str | None
    headers: dict[str, str]

    @property
    def scheme(self) -> str:
        """The URL's scheme, in lower case."""
        return self.url.partition("://")[0].lower()


class SlateInput(NamedTuple):
    """The slate: a picture and a tone that FFmpeg generates; no source is opened."""

    title: str  # the channel's name; empty: none is shown


class Streams(NamedTuple):
    """What a source sends: codec names as FFmpeg's; None: no such stream; 0 channels: no audio, or their number is not
    known."""

    video: str | None
    audio: str | None
    channels: int


class PostPolicy(NamedTuple):
    """A POST policy: where to post segments to, with which form fields, under which key prefix."""

    url: str
    fields: dict[str, str]
    prefix: str


class SignedUrls(NamedTuple):
    """The signed addresses of one object."""

    get: str
    put: str


class Job(NamedTuple):
    """What one attempt is to do; docs/architecture.md says what each field means."""

    session: str
    attempt: int
    source: SourceInput | SlateInput
    expected: Streams | None
    profile: Profile
    hevc: Hevc
    segment_s: float
    target_duration_s: int
    window_s: float
    backlog_segments: int  # of an HLS source: how many of its newest segments to begin with
    start_limit_s: float
    stall_limit_s: float
    store_limit_s: float
    cadence_s: float | None  # how far apart an HLS source declares its segments to be; None: not known
    last_resort: bool  # there is no better source: without its announced sound it is played all the same
    segments: PostPolicy
    index_playlist: SignedUrls
    main_playlist: SignedUrls
    log_put: str

    @property
    def store_urls(self) -> tuple[str, ...]:
        """Every address of the store."""
        return self.segments.url, *self.index_playlist, *self.main_playlist, self.log_put


def parse(text: str) -> Job:
    """Reads a job. Raises BadJob, whose message names the field and never quotes a value (it may be a secret)."""
    try:
        document = loads(text)
    except ValueError as error:
        raise BadJob(f"not JSON: {error}") from error
    root = _Fields(document, "job")
    source = _Fields(root.take("source"), "source")
    store = _Fields(root.take("store"), "store")
    segments = _Fields(store.take("segments"), "store.segments")
    playlists = _Fields(store.take("playlists"), "store.playlists")
    log = _Fields(store.take("log"), "store.log")
    job = Job(
        session=_name(root.text("session"), "session"),
        attempt=int(root.number("attempt", 1, 1e9, whole=True)),
        source=_source(source),
        expected=_expected(root.take("expected")),
        profile=_profile(root.text("profile"), "profile"),
        hevc=_profile(root.text("hevc"), "hevc") if root.has("hevc") else "copy",
        segment_s=root.number("segment_s", 0.5, 30),
        target_duration_s=int(root.number("target_duration_s", 1, 60, whole=True)),
        window_s=root.number("window_s", 1, 6 * 3600),
        backlog_segments=int(root.number("backlog_segments", 1, 100, whole=True)),
        start_limit_s=root.number("start_limit_s", 0.1, 600),
        stall_limit_s=root.number("stall_limit_s", 0.1, 600),
        store_limit_s=root.number("store_limit_s", 0.1, 24 * 3600),
        # An orchestrator of an earlier release does not send these.
        cadence_s=root.optional("cadence_s", 0, 24 * 3600),
        last_resort=root.has("last_resort") and root.flag("last_resort"),
        segments=PostPolicy(segments.http("url"), segments.texts("fields"), segments.text("prefix")),
        index_playlist=_address(_Fields(playlists.take("index"), "store.playlists.index")),
        main_playlist=_address(_Fields(playlists.take("main"), "store.playlists.main")),
        log_put=log.http("put"),
    )
    for fields in (root, source, store, segments, playlists, log):
        fields.done()
    if job.segment_s > job.target_duration_s:
        raise BadJob("segment_s is longer than target_duration_s")
    if job.segments.prefix != bucket.segments_prefix(job.session, job.attempt):
        raise BadJob("store.segments.prefix is not this session's and attempt's")
    return job


class _Fields:
    """One JSON object, taken apart field by field; what is left over at the end is unknown."""

    def __init__(self, value: Any, where: str) -> None:
        if not isinstance(value, dict):
            raise BadJob(f"{where} is not an object")
        self._left = dict(value)
        self._where = "" if where == "job" else where + "."

    def take(self, name: str) -> Any:
        if name not in self._left:
            raise BadJob(f"{self._where}{name} is missing")
        return self._left.pop(name)

    def has(self, name: str) -> bool:
        return name in self._left

    def text(self, name: str) -> str:
        return _text(self.take(name), self._where + name)

    def texts(self, name: str) -> dict[str, str]:
        where = self._where + name
        value = self.take(name)
        if not isinstance(value, dict):
            raise BadJob(f"{where} is not an object")
        return {_text(key, where): _text(each, f"{where}.{key}", empty=True) for key, each in value.items()}

    def number(self, name: str, least: float, most: float, whole: bool = False) -> float:
        value = self.take(name)
        kinds = (int,) if whole else (int, float)
        if isinstance(value, bool) or not isinstance(value, kinds):
            raise BadJob(f"{self._where}{name} is not a {'whole ' if whole else ''}number")
        if not least <= value <= most:  # also refuses NaN
            raise BadJob(f"{self._where}{name} is not within {least:g} and {most:g}")
        return float(value)

    def optional(self, name: str, least: float, most: float) -> float | None:
        """A number; None where there is none, or null."""
        if not self.has(name) or self._left[name] is None:
            self._left.pop(name, None)
            return None
        return self.number(name, least, most)

    def flag(self, name: str) -> bool:
        value = self.take(name)
        if not isinstance(value, bool):
            raise BadJob(f"{self._where}{name} is neither true nor false")
        return value

    def http(self, name: str) -> str:
        url = self.text(name)
        if not url.startswith(("http://", "https://")):
            raise BadJob(f"{self._where}{name} is not an http(s) address")
        return url

    def done(self) -> None:
        if self._left:
            raise BadJob(f"{self._where}{min(self._left)} is unknown")


def _text(value: Any, where: str, empty: bool = False) -> str:
    if not isinstance(value, str) or not (value or empty):
        raise BadJob(f"{where} is not a text")
    if len(value) > _LONGEST_TEXT:
        raise BadJob(f"{where} is too long")
    # A line break would start another header, a NUL would cut an argument short.
    if any(character < " " or character == "\x7f" for character in value):
        raise BadJob(f"{where} has a control character")
    return value


def is_plain_name(value: str) -> bool:
    """Whether a job accepts it as the name of a session or a codec."""
    return _NAME.issuperset(value) and not value.startswith(".") and len(value) <= _LONGEST_TEXT


def _name(value: str, where: str) -> str:
    if not is_plain_name(value):
        raise BadJob(f"{where} is not a plain name")
    return value


def _source(fields: _Fields) -> SourceInput | SlateInput:
    if fields.has("slate"):
        slate = _Fields(fields.take("slate"), "source.slate")
        title = _text(slate.take("title"), "source.slate.title", empty=True)
        slate.done()
        return SlateInput(title)  # what else the source has is unknown, as everywhere
    agent = fields.take("user_agent")
    source = SourceInput(
        url=fields.text("url"),
        user_agent=None if agent is None else _text(agent, "source.user_agent"),
        headers=fields.texts("headers"),
    )
    if source.scheme not in SCHEMES or "://" not in source.url:
        raise BadJob(f"source.url: only {', '.join(sorted(SCHEMES))} sources are let in")
    if " " in source.url:
        raise BadJob("source.url has a space")
    if any(":" in name or " " in name for name in source.headers):
        raise BadJob("source.headers: not a header name")
    return source


def _expected(value: Any) -> Streams | None:
    if value is None:
        return None
    fields = _Fields(value, "expected")
    video, audio = fields.take("video"), fields.take("audio")
    streams = Streams(
        video=None if video is None else _name(_text(video, "expected.video"), "expected.video"),
        audio=None if audio is None else _name(_text(audio, "expected.audio"), "expected.audio"),
        channels=int(fields.number("channels", 0, MOST_CHANNELS, whole=True)),
    )
    fields.done()
    return streams


def _profile(value: str, where: str) -> Literal["copy", "h264"]:
    match value:
        case "copy" | "h264":
            return value
        case _:
            raise BadJob(f"{where} is neither copy nor h264")


def _address(fields: _Fields) -> SignedUrls:
    address = SignedUrls(fields.http("get"), fields.http("put"))
    fields.done()
    return address
