"""The multivariant playlist as data (RFC 8216, 4.3.4): what a player reads first, and what an attempt reads when it takes over.

What the session sends is stored in it as EXT-X-SESSION-DATA: every attempt must go on with the same codecs.
"""

from typing import NamedTuple

from transcoder.publish import playlist_syntax
from transcoder.publish.playlist_syntax import MalformedPlaylist, decimal_integer

_SENDING = "hls-failover.sending"
_ATTEMPT = "## ATTEMPT"  # a comment to every other reader (RFC 8216, 4.1)


class Variant(NamedTuple):
    """One variant stream: bandwidths in bit/s, `codecs` as in RFC 6381, `resolution` as in "640x360", frames per second."""

    uri: str
    bandwidth: int
    codecs: str | None = None
    resolution: str | None = None
    average_bandwidth: int | None = None
    frame_rate: float | None = None


class Sending(NamedTuple):
    """What a session sends, which every attempt must go on with: codec names as FFmpeg's; None or 0: no such stream."""

    video: str | None
    audio: str | None
    channels: int = 0


class MultivariantPlaylist(NamedTuple):
    """A multivariant playlist. `attempt`: which one has written it; 0 where it does not say."""

    variants: tuple[Variant, ...]
    sending: Sending | None = None
    attempt: int = 0

    def absolute(self, base_url: str) -> "MultivariantPlaylist":
        """The same playlist with each URI resolved against `base_url`, the playlist's own address."""
        from urllib.parse import urljoin  # the agent never needs it, and it is slow to import

        return self._replace(variants=tuple(v._replace(uri=urljoin(base_url, v.uri)) for v in self.variants))

    def render(self) -> str:
        """The playlist's text."""
        lines = ["#EXTM3U", "#EXT-X-VERSION:3"]
        if self.sending:
            video, audio, channels = self.sending
            value = f"video={video or ''},audio={audio or ''},channels={channels}"
            lines.append(f'#EXT-X-SESSION-DATA:DATA-ID="{_SENDING}",VALUE="{value}"')
        for variant in self.variants:
            attributes = f"BANDWIDTH={variant.bandwidth}"
            if variant.average_bandwidth is not None:
                attributes += f",AVERAGE-BANDWIDTH={variant.average_bandwidth}"
            if variant.codecs:
                attributes += f',CODECS="{variant.codecs}"'
            if variant.resolution:
                attributes += f",RESOLUTION={variant.resolution}"
            if variant.frame_rate is not None:
                attributes += f",FRAME-RATE={variant.frame_rate:.3f}"
            lines += [f"#EXT-X-STREAM-INF:{attributes}", variant.uri]
        lines += [f"{_ATTEMPT}:{self.attempt}"] if self.attempt else []
        return "\n".join(lines) + "\n"

    @staticmethod
    def parse(text: str) -> "MultivariantPlaylist":
        """Reads a multivariant playlist; unknown tags are ignored (RFC 8216, 6.3.1). Raises MalformedPlaylist."""
        variants: list[Variant] = []
        sending: Sending | None = None
        described: dict[str, str] | None = None
        attempt = 0
        for tag, value in playlist_syntax.lines(text):
            match tag:
                case "#EXT-X-SESSION-DATA":
                    data = playlist_syntax.attributes(value)
                    if data.get("DATA-ID") == _SENDING:
                        sending = _sending(data.get("VALUE", ""))
                case "#EXT-X-STREAM-INF":
                    described = playlist_syntax.attributes(value)
                case "":
                    if described is None:
                        raise MalformedPlaylist(f"no EXT-X-STREAM-INF before {value[:100]!r}")
                    variants.append(_variant(value, described))
                    described = None
                case "## ATTEMPT":
                    attempt = int(value) if value.isascii() and value.isdecimal() and len(value) <= 20 else 0
                case _:
                    pass
        return MultivariantPlaylist(tuple(variants), sending, attempt)


def _variant(uri: str, attributes: dict[str, str]) -> Variant:
    average, rate = attributes.get("AVERAGE-BANDWIDTH"), attributes.get("FRAME-RATE")
    return Variant(
        uri,
        decimal_integer("BANDWIDTH", attributes.get("BANDWIDTH", "")),
        attributes.get("CODECS"),
        attributes.get("RESOLUTION"),
        None if average is None else decimal_integer("AVERAGE-BANDWIDTH", average),
        None if rate is None else playlist_syntax.optional_number(rate),
    )


def _sending(text: str) -> Sending:
    fields = dict(field.partition("=")[::2] for field in text.split(","))
    channels = decimal_integer("channels", fields.get("channels", "0"))
    return Sending(fields.get("video") or None, fields.get("audio") or None, channels)
