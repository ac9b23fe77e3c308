"""An input: a source or the slate, as an attempt plays it, with what is known of it before it is opened.

Imported before FFmpeg is started (`transcoder.job`).
"""

from typing import NamedTuple

from transcoder.fields import BadDocument, Fields, plain_name, text

# What FFmpeg may be given to read. Everything else (file, concat, data, pipe, ...) would reach into the container.
SCHEMES = frozenset(("http", "https", "rtmp", "rtmps", "rtsp", "srt", "udp", "rtp"))
MOST_CHANNELS = 64
SLATE_ID = "slate"
"""The id of the slate. No source has it."""


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


class Input(NamedTuple):
    """`id`: of the source, or `SLATE_ID`; "" where the job does not name it. `provider`: of the account that its connection
    counts for; "" where there is none. `expected`: what a probe has seen; None: nothing is known. `cadence_s`: how far apart
    an HLS source declares its segments to be; None: not known. `last_resort`: no better source is known to work, so it is
    played even without the sound that it announces."""

    id: str
    provider: str
    source: SourceInput | SlateInput
    expected: Streams | None
    cadence_s: float | None
    last_resort: bool

    @property
    def is_slate(self) -> bool:
        """Whether it is the slate."""
        return isinstance(self.source, SlateInput)


def read_input(fields: Fields) -> Input:
    """One element of the orders' `inputs`. Raises BadDocument."""
    provider = fields.optional_text("provider")
    found = Input(
        id=fields.name("id"),
        provider=plain_name(provider, "provider") if provider else "",
        source=read_source(fields),
        expected=read_expected(fields),
        cadence_s=fields.optional("cadence_s", 0, 24 * 3600),
        last_resort=fields.has("last_resort") and fields.flag("last_resort"),
    )
    fields.done()
    return found


def read_source(fields: Fields) -> SourceInput | SlateInput:
    """The field `source`. Raises BadDocument."""
    source = fields.object("source")
    if source.has("slate"):
        slate = source.object("slate")
        title = text(slate.take("title"), "source.slate.title", empty=True)
        slate.done()
        source.done()
        return SlateInput(title)
    agent = source.take("user_agent")
    found = SourceInput(
        url=source.text("url"),
        user_agent=None if agent is None else text(agent, "source.user_agent"),
        headers=source.texts("headers"),
    )
    source.done()
    if found.scheme not in SCHEMES or "://" not in found.url:
        raise BadDocument(f"source.url: only {', '.join(sorted(SCHEMES))} sources are let in")
    if " " in found.url:
        raise BadDocument("source.url has a space")
    if any(":" in name or " " in name for name in found.headers):
        raise BadDocument("source.headers: not a header name")
    return found


def read_expected(fields: Fields) -> Streams | None:
    """The field `expected`. Raises BadDocument."""
    value = fields.take("expected")
    if value is None:
        return None
    expected = Fields(value, "expected")
    video, audio = expected.take("video"), expected.take("audio")
    streams = Streams(
        video=None if video is None else plain_name(text(video, "expected.video"), "expected.video"),
        audio=None if audio is None else plain_name(text(audio, "expected.audio"), "expected.audio"),
        channels=expected.whole("channels", 0, MOST_CHANNELS),
    )
    expected.done()
    return streams
