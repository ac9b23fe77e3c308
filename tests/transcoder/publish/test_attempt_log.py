"""The attempt's log: no secret in it, whoever wrote the line, and never too long."""

from __future__ import annotations

import pytest

from transcoder.publish.attempt_log import AttemptLog
from transcoder.source.redaction import Redaction


def test_lines_go_to_standard_error_and_into_the_document(capsys: pytest.CaptureFixture[str]) -> None:
    log = AttemptLog()
    log("FFmpeg reads http://u:p@host/x?t=1")
    written = capsys.readouterr().err
    assert written.endswith("Z FFmpeg reads http://host/...\n")
    assert log.document().decode() == written


def test_a_source_s_account_is_in_no_line_of_its_log(capsys: pytest.CaptureFixture[str]) -> None:
    log = AttemptLog(redaction=Redaction("http://tv.test/live/JOE/HUNTER2/1.ts", {}))
    log("source refused (11): HTTP error 404 no stream JOE for HUNTER2")
    log.ffmpeg("[http @ 0x1] Opening 'http://tv.test/live/JOE/HUNTER2/1.ts' for reading")
    for text in (log.document().decode(), capsys.readouterr().err):
        assert "JOE" not in text and "HUNTER2" not in text
        assert "Opening 'http://tv.test/...' for reading" in text


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
