"""No account in a log, whoever quotes the address, and in whichever words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transcoder.source.redaction import Redaction, redacted, without_servers_words


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("http://u:p@host/live.m3u8?token=1", "http://host/..."),
        ("Opening 'http://u:p@host:80/a.ts?t=1' for reading", "Opening 'http://host:80/...' for reading"),
        ("Connection to tcp://host:1?timeout=1 failed: refused", "Connection to tcp://host:1/... failed: refused"),
        ("API on http://127.0.0.1:8080", "API on http://127.0.0.1:8080"),
        ("file http://host/live.m3u8.", "file http://host/...."),
        ("(http://host:1)", "(http://host:1)"),
        ("http://host#secret", "http://host/..."),
        ("rtmp://u:p@host/app/key", "rtmp://host/..."),
        ("http://u:a/b@host/x?t=1", "http://..."),
        ("http://u:a?b@host/x?t=1", "http://..."),
        ("http://host/live/joe@mail.test/pw/1.ts", "http://..."),
        ("http://u:p@[::1]:80/x", "http://[::1]:80/..."),
        ("two: https://a/?x=1 and srt://b:1?passphrase=2", "two: https://a/... and srt://b:1/..."),
        (r'{"url": "http:\/\/host\/live\/joe"}', r'{"url": "http:\/\/host/..."}'),
        ("no address at all: 12:30, a@b", "no address at all: 12:30, a@b"),
    ],
)
def test_of_an_address_its_host_is_left(written: str, kept: str) -> None:
    assert redacted(written) == kept


OWN = Redaction(
    "http://me%40x:pw-1@tv.test:8080/live/JOE/HUNTER2/1.ts?token=abc123",
    {"Authorization": "Bearer tok9", "Referer": "http://r"},
)


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("rtmp server said no stream live/JOE/HUNTER2", "rtmp server said no stream .../..."),
        ("401 user JOE: password HUNTER2 has expired", "401 user ...: password ... has expired"),
        ("token abc123, header tok9, me@x, pw-1", "token ..., header ..., ..., ..."),
        ("Skip ('/live/ANOTHER/SECRET/2.ts')", "Skip ('/...')"),
        ("first listing: ../../segments/s-1/1/main/3.ts", "first listing: ../../segments/s-1/1/main/3.ts"),
        ("live, 640x360, [27][0] / 0x001B, video/mp2t, 1/2", "live, 640x360, [27][0] / 0x001B, video/mp2t, 1/2"),
    ],
)
def test_what_is_known_of_a_source_is_taken_out_where_it_stands_alone(said: str, kept: str) -> None:
    assert OWN(said) == kept


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("[http] HTTP error 404 no stream of ANOTHER", "[http] HTTP error 404 ..."),
        ("[rtsp] method DESCRIBE failed: 403 not for ANOTHER", "[rtsp] method DESCRIBE failed: 403 ..."),
        ("[rtmp] Server error: ANOTHER; has no stream", "[rtmp] Server error: ..."),
        ("[hls] Failed to reload playlist 0", "[hls] Failed to reload playlist 0"),
    ],
)
def test_what_a_server_says_is_in_no_line(said: str, kept: str) -> None:
    """A redirect leads to accounts that nobody here knows of."""
    assert without_servers_words(said) == kept


def test_a_common_word_in_an_address_is_no_secret() -> None:
    line = "the live stream has no audio; master playlist index.m3u8"
    assert Redaction("http://tv.test/live/audio/index.m3u8", {})(line) == line


def test_a_stream_s_number_hides_no_status() -> None:
    """An operator would read "... Not Found", and a viewer that it is unknown why."""
    own = Redaction("http://tv.test/JOE/HUNTER2/404")
    assert own("404 Not Found") == "404 Not Found"
    assert own("HTTP error 404 for JOE/HUNTER2/404") == "HTTP error 404 for ..."


WORD = st.text("abcXYZ019-._~%", min_size=8, max_size=20).map(lambda word: "S3CRET" + word + "0")
AROUND = st.sampled_from(
    ["{}", "'{}'", "[http @ 0x1] {} failed", "error: {}: Input/output error", '{{"url": "{}"}}', "a {}, b"]
)


@given(words=st.tuples(WORD, WORD, WORD, WORD, WORD), around=AROUND)
def test_no_secret_survives(words: tuple[str, ...], around: str) -> None:
    user, password, first, second, query = words
    url = f"https://{user}:{password}@host/live/{first}/{second}/x.m3u8?token={query}&b={query}"
    assert "S3CRET" not in redacted(around.format(url))
    own = Redaction(url, {})
    for said in (url, f"{first}/{second}", *words):
        assert "S3CRET" not in own(around.format(said))
