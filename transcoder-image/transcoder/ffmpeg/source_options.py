"""FFmpeg's options for opening a source: which protocols it may use, how long it waits, and how the source wants to be asked.

The agent's FFmpeg and the orchestrator's ffprobe open a source by the same options, so that a probe answers for what an attempt
would see.

Rule: a source's address reaches the network and nothing else. A playlist from outside may name any address, and FFmpeg could
read files, pipes and its own command line's protocols; the protocol whitelist is what keeps it from that.
"""

from transcoder.input import SourceInput

# What a source of each scheme may lead FFmpeg to: the protocols beneath it, and for HTTP the keys of encrypted segments.
# Neither file nor data nor concat: a playlist from outside could name them.
_WHITELIST = {
    "http": "http,https,tcp,tls,crypto",
    "https": "http,https,tcp,tls,crypto",
    "rtmp": "rtmp,rtmps,tcp,tls",
    "rtmps": "rtmp,rtmps,tcp,tls",
    "rtsp": "rtsp,rtp,srtp,udp,tcp,tls",
    "srt": "srt,udp",
    "udp": "udp",
    "rtp": "rtp,udp",
}

# Providers name their segments as they like, and FFmpeg refuses extensions that it does not expect. The protocol whitelist is
# what bounds it.
_ANY_SEGMENT = ("-allowed_extensions", "ALL", "-extension_picky", "0")

# Once the tables have named video and audio, no other program's tables are waited for. The default is to look for them as long
# as FFmpeg may analyse, which at a live source takes real time.
_ONE_PROGRAM = ("-scan_all_pmts", "0")


def request_options(source: SourceInput, timeout_s: float, is_hls: bool = False) -> list[str]:
    """How any of FFmpeg's tools opens a source.

    `timeout_s`: a dead connection ends by itself after this time. `is_hls`: the source is known to be HLS, whatever its address
    is called.
    """
    timeout = f"{round(timeout_s * 1e6)}"  # microseconds
    options = [
        # An address from outside reaches nothing but the network.
        *("-protocol_whitelist", _WHITELIST[source.scheme]),
    ]
    match source.scheme:
        case "http" | "https":
            options += ["-rw_timeout", timeout]
            if source.user_agent:
                options += ["-user_agent", source.user_agent]
            if source.headers:
                options += ["-headers", "".join(f"{name}: {value}\r\n" for name, value in source.headers.items())]
            if is_hls:
                # FFmpeg takes an address or a media type of another name for no playlist.
                options += ["-f", "hls"]
            if is_hls or is_playlist(source):
                options += _ANY_SEGMENT
            elif is_transport_stream(source):
                options += _ONE_PROGRAM
        case "rtsp":
            # One TCP connection passes NAT and firewalls and loses nothing, so TCP is asked for first. Cameras that know only
            # UDP answer 461 Unsupported Transport (RFC 2326) and are then asked for UDP.
            options += ["-rtsp_flags", "prefer_tcp", "-timeout", timeout]
        case "rtmp" | "rtmps":
            # Never a recording of the same name.
            options += ["-rtmp_live", "live", "-rw_timeout", timeout]
        case "udp" | "srt":
            options += _ONE_PROGRAM
    return options


def probe_options(source: SourceInput, timeout_s: float) -> list[str]:
    """How ffprobe opens a source. It ignores options that the format does not know, so it is given all of them."""
    options = request_options(source, timeout_s)
    wanted = (*_ANY_SEGMENT, *_ONE_PROGRAM) if source.scheme in ("http", "https") else ()
    return [*without(frozenset(wanted[::2]), options), *wanted]


def without(options: frozenset[str], argv: list[str]) -> list[str]:
    """The same command line without these options and their values."""
    left = list(argv)
    for option in options:
        if option in left:
            at = left.index(option)
            del left[at : at + 2]
    return left


def is_playlist(source: SourceInput) -> bool:
    """Whether the address is, by its name, that of an HLS playlist."""
    path = source.url.partition("?")[0].lower()
    return source.scheme in ("http", "https") and path.endswith((".m3u8", ".m3u"))


def is_transport_stream(source: SourceInput) -> bool:
    """Whether the address is likely, by its name, that of an MPEG transport stream: many providers give it no extension."""
    name = source.url.partition("?")[0].rpartition("/")[2].lower()
    return source.scheme in ("http", "https") and (name.endswith(".ts") or "." not in name)
