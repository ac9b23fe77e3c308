"""Job parsing: a good one, and every way to be a bad one."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transcoder.input import SCHEMES, SlateInput, SourceInput, Streams
from transcoder.job import BadJob, parse

GOOD: dict[str, Any] = {
    "session": "s-7f3a",
    "attempt": 3,
    "source": {"url": "http://source/live.m3u8", "user_agent": None, "headers": {"Referer": "http://portal/"}},
    "expected": {"video": "h264", "audio": "aac", "channels": 2},
    "profile": "copy",
    "segment_s": 2.0,
    "target_duration_s": 4,
    "window_s": 30,
    "backlog_segments": 5,
    "start_limit_s": 8.0,
    "stall_limit_s": 3.0,
    "store_limit_s": 120.0,
    "store": {
        "segments": {
            "url": "http://store/bucket",
            "fields": {"policy": "p", "x-amz-signature": "s"},
            "prefix": "segments/s-7f3a/3/",
        },
        "playlists": {
            "index": {"get": "http://store/i?g", "put": "http://store/i?p"},
            "main": {"get": "http://store/m?g", "put": "http://store/m?p"},
        },
        "log": {"put": "https://store/l?p"},
    },
}


def changed(path: str, value: Any) -> dict[str, Any]:
    """The good job with one field set; `...` takes it away."""
    job = copy.deepcopy(GOOD)
    *parents, last = path.split(".")
    fields = job
    for name in parents:
        fields = fields[name]
    if value is ...:
        del fields[last]
    else:
        fields[last] = value
    return job


def leaves(fields: dict[str, Any], where: str = "") -> list[str]:
    """The path of every field, objects included."""
    paths = []
    for name, value in fields.items():
        paths.append(where + name)
        if isinstance(value, dict) and name not in ("headers", "fields"):
            paths += leaves(value, f"{where}{name}.")
    return paths


def test_a_good_job() -> None:
    job = parse(json.dumps(GOOD))
    assert (job.session, job.attempt, job.profile) == ("s-7f3a", 3, "copy")
    assert isinstance(job.first.source, SourceInput)
    assert job.first.source.headers == {"Referer": "http://portal/"}
    assert job.first.expected == Streams("h264", "aac", 2)
    assert (job.segment_s, job.target_duration_s, job.window_s) == (2.0, 4, 30.0)
    assert job.segments.fields["policy"] == "p"
    assert (job.index_playlist.get, job.main_playlist.put) == ("http://store/i?g", "http://store/m?p")
    assert job.log_put == "https://store/l?p"


@pytest.mark.parametrize("expected", [None, {"video": None, "audio": "aac", "channels": 1}])
def test_what_a_source_sends_may_be_unknown_or_half_of_the_usual(expected: Any) -> None:
    job = parse(json.dumps(changed("expected", expected)))
    assert job.first.expected == (Streams(None, "aac", 1) if expected else None)


@pytest.mark.parametrize("path", leaves(GOOD))
def test_a_missing_field_is_named(path: str) -> None:
    with pytest.raises(BadJob, match=rf"^{path} is missing$"):
        parse(json.dumps(changed(path, ...)))


@pytest.mark.parametrize("path", leaves(GOOD))
@pytest.mark.parametrize("value", [True, [], -1, "\n", 1e12])
def test_a_field_of_the_wrong_kind_is_named(path: str, value: Any) -> None:
    with pytest.raises(BadJob, match=path.rpartition(".")[2].replace("put", "(put|get)")):
        parse(json.dumps(changed(path, value)))


@pytest.mark.parametrize("where", ["", "source.", "store.", "store.segments.", "store.playlists.index.", "expected."])
def test_an_unknown_field_is_a_bad_job(where: str) -> None:
    with pytest.raises(BadJob, match=r"surprise is unknown"):
        parse(json.dumps(changed(f"{where}surprise", 1)))


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "concat:http://a/1.ts|http://a/2.ts",
        "data:video/mp4;base64,AAAA",
        "pipe:0",
        "/etc/passwd",
        "ftp://a/b",
        "http:/a",
        "subfile,,start,0,end,1,,:/etc/passwd",
        "cache:http://a/b",
        "crypto+http://a/b",
        "tcp://a:1",
        "-i",
        "http://a/b c",
        "http://a/b\r\nX: y",
        "",
    ],
)
def test_only_network_sources_are_let_in(url: str) -> None:
    with pytest.raises(BadJob, match=r"source\.url"):
        parse(json.dumps(changed("source.url", url)))


@pytest.mark.parametrize("scheme", sorted(SCHEMES))
def test_every_scheme_of_the_contract_is_let_in(scheme: str) -> None:
    source = parse(json.dumps(changed("source.url", f"{scheme.upper()}://host/x"))).first.source
    assert isinstance(source, SourceInput)
    assert source.scheme == scheme


def test_a_slate_in_place_of_an_address() -> None:
    for title in ("News", "", "Первый канал 中文 📺"):
        assert parse(json.dumps(GOOD | {"source": {"slate": {"title": title}}})).first.source == SlateInput(title)


@pytest.mark.parametrize(
    "source",
    [
        {"slate": {}},
        {"slate": "News"},
        {"slate": None},
        {"slate": {"title": None}},
        {"slate": {"title": "a\nb"}},
        {"slate": {"title": "x" * 16_385}},
        {"slate": {"title": "News", "colour": "red"}},
        {"slate": {"title": "News"}, "url": "http://host/x"},
        {"slate": {"title": "News"}, "headers": {}},
    ],
)
def test_a_slate_is_checked_as_strictly_as_an_address(source: dict[str, object]) -> None:
    with pytest.raises(BadJob, match="source"):
        parse(json.dumps(GOOD | {"source": source}))


def test_a_header_cannot_start_another_one() -> None:
    for headers in ({"X": "a\r\nY: b"}, {"X\r\nY": "a"}, {"X: y": "a"}, {"": "a"}, {"X": 1}):
        with pytest.raises(BadJob, match=r"source\.headers"):
            parse(json.dumps(changed("source.headers", headers)))


def test_what_becomes_of_hevc_is_said_only_where_it_is_not_copied() -> None:
    assert parse(json.dumps(GOOD)).hevc == "copy"
    assert parse(json.dumps(changed("hevc", "h264"))).hevc == "h264"
    with pytest.raises(BadJob, match="hevc is neither copy nor h264"):
        parse(json.dumps(changed("hevc", "av1")))


def test_fields_that_contradict_each_other() -> None:
    with pytest.raises(BadJob, match="longer than target_duration_s"):
        parse(json.dumps(changed("segment_s", 5.0)))
    with pytest.raises(BadJob, match=r"store\.segments\.prefix"):
        parse(json.dumps(changed("attempt", 4)))
    with pytest.raises(BadJob, match="profile"):
        parse(json.dumps(changed("profile", "best")))
    with pytest.raises(BadJob, match="session"):
        parse(json.dumps(changed("session", "../other")))


@given(st.text() | st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists, max_leaves=5).map(json.dumps))
def test_anything_else_is_a_bad_job_and_nothing_worse(text: str) -> None:
    with pytest.raises(BadJob):
        parse(text)


def test_a_bad_value_is_never_quoted() -> None:
    with pytest.raises(BadJob) as caught:
        parse(json.dumps(changed("source.url", "file://user:secret@host/x?token=secret")))
    assert "secret" not in str(caught.value)


def test_what_an_earlier_release_does_not_say_has_a_meaning() -> None:
    job = parse(json.dumps(GOOD))
    assert (job.first.cadence_s, job.first.last_resort) == (None, False)
    told = parse(json.dumps(GOOD | {"cadence_s": 5, "last_resort": True}))
    assert (told.first.cadence_s, told.first.last_resort) == (5.0, True)
    assert parse(json.dumps(GOOD | {"cadence_s": None})).first.cadence_s is None
    for wrong in ({"cadence_s": -1}, {"cadence_s": "5"}, {"last_resort": 1}, {"last_resort": None}):
        with pytest.raises(BadJob, match=min(wrong)):
            parse(json.dumps(GOOD | wrong))
