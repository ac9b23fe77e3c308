"""The attempt's log: no secret in it, whoever wrote the line, and never too long."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transcoder.attempt_log import AttemptLog, redacted


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("http://u:p@host/live.m3u8?token=1", "http://host/live.m3u8?..."),
        ("Opening 'http://u:p@host:80/a.ts?t=1' for reading", "Opening 'http://host:80/a.ts?...' for reading"),
        ("Connection to tcp://host:1?timeout=1 failed: refused", "Connection to tcp://host:1?... failed: refused"),
        ("file http://host/live.m3u8.", "file http://host/live.m3u8."),
        ("http://host/a#secret", "http://host/a#..."),
        ("rtmp://u:p@host/app/key", "rtmp://host/app/key"),
        ("http://u:a/b@host/x?t=1", "http://host/x?..."),
        ("http://u:a?b@host/x?t=1", "http://host/x?..."),
        ("http://u:p@[::1]:80/x", "http://[::1]:80/x"),
        ("two: https://a/?x=1 and srt://b:1?passphrase=2", "two: https://a/?... and srt://b:1?..."),
        ("no address at all: 12:30, a@b", "no address at all: 12:30, a@b"),
    ],
)
def test_user_info_and_query_are_taken_out(written: str, kept: str) -> None:
    assert redacted(written) == kept


WORD = st.text("abcXYZ019-._~%", min_size=8, max_size=20).map(lambda word: "S3CRET" + word)


@given(user=WORD, password=WORD, query=WORD, before=st.sampled_from(["", "'", "[http @ 0x1] ", "error: "]))
def test_no_secret_survives(user: str, password: str, query: str, before: str) -> None:
    line = f"{before}https://{user}:{password}@host/path/x.m3u8?token={query}&b={query}' failed"
    assert "S3CRET" not in redacted(line)
    assert "https://host/path/x.m3u8" in redacted(line)


def test_lines_go_to_standard_error_and_into_the_document(capsys: pytest.CaptureFixture[str]) -> None:
    log = AttemptLog()
    log("FFmpeg reads http://u:p@host/x?t=1")
    written = capsys.readouterr().err
    assert written.endswith("Z FFmpeg reads http://host/x?...\n")
    assert log.document().decode() == written


def test_the_first_and_the_newest_lines_are_kept(capsys: pytest.CaptureFixture[str]) -> None:
    log = AttemptLog(limit_bytes=10_000)
    for n in range(1000):
        log(f"line {n}")
    document = log.document()
    assert len(document) < 10_100
    assert b" line 0\n" in document
    assert b" line 999\n" in document
    assert b"lines left out" in document
    capsys.readouterr()


def test_what_ffmpeg_repeats_is_counted_only(capsys: pytest.CaptureFixture[str]) -> None:
    log = AttemptLog()
    for _ in range(500):
        log.ffmpeg("[mpegts] Packet corrupt")
    assert capsys.readouterr().err.count("Packet corrupt") == 40
