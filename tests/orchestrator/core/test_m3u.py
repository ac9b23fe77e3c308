"""Playlists as providers write them: what is read, what is reported, and that nothing makes reading fail."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from orchestrator.core import bounds
from orchestrator.core.catalogue.m3u import LINE, Entry, Fault, parse, render, text_lines

URL = "http://p.test/1.ts"


def read(text: str) -> tuple[list[Entry], list[Fault]]:
    said = list(parse(text_lines(text.encode().splitlines(keepends=True))))
    return [each for each in said if isinstance(each, Entry)], [each for each in said if isinstance(each, Fault)]


def one(*lines: str) -> Entry:
    (entry,), faults = read("\n".join(["#EXTM3U", *lines]))
    assert faults == []
    return entry


def test_every_attribute_is_read() -> None:
    entry = one(
        '#EXTINF:-1 tvg-id="one.uk" tvg-name="One UK" tvg-logo="http://l.test/a b.png" '
        'tvg-chno="101" group-title="News, All",One',
        URL,
    )
    assert entry == Entry(
        line=3,
        name="One",
        url=URL,
        tvg_id="one.uk",
        tvg_name="One UK",
        logo="http://l.test/a%20b.png",
        number=101,
        group="News, All",
    )


@pytest.mark.parametrize(
    ("extinf", "expected"),
    [
        ("#EXTINF:-1,One", {}),
        ("#EXTINF:0,One", {}),
        ("#EXTINF:,One", {}),
        ("#EXTINF:10.5 ,  One  ", {}),
        ("#extinf:-1,One", {}),
        ("#EXTINF:-1 tvg-id=a tvg-chno=7,One", {"tvg_id": "a", "number": 7}),
        ("#EXTINF:-1 TVG-ID='a',One", {"tvg_id": "a"}),
        ('#EXTINF:-1 tvg-id="",One', {}),
        ('#EXTINF:-1,tvg-id="a",One', {"name": 'tvg-id="a",One'}),
        ('#EXTINF:-1 tvg-id="a"group-title="g",One', {"tvg_id": "a", "group": "g"}),
        ('#EXTINF:-1 tvg-name="The "A" B" tvg-id="a",One', {"tvg_name": "The", "tvg_id": "a"}),
        ('#EXTINF:-1 what is this tvg-id="a",One', {"tvg_id": "a"}),
        ('#EXTINF:-1 tvg-id="a" tvg-id="b",One', {"tvg_id": "a"}),
        ("#EXTINF:-1,One, Two; and Three", {"name": "One, Two; and Three"}),
        ('#EXTINF:-1 tvg-name="One"', {"tvg_name": "One"}),
        ("#EXTINF:-1,One\x0bTV", {"name": "One TV"}),
    ],
)
def test_extinf_as_it_is_written(extinf: str, expected: dict[str, object]) -> None:
    assert one(extinf, URL) == replace(Entry(line=3, name="One", url=URL), **expected)


@pytest.mark.parametrize(
    ("lines", "user_agent", "headers"),
    [
        (["#EXTVLCOPT:http-user-agent=VLC/3.0", "{}"], "VLC/3.0", {}),
        (["#EXTVLCOPT:http-referrer=http://r.test/?a=b", "{}"], None, {"Referer": "http://r.test/?a=b"}),
        (["#EXTVLCOPT:network-caching=1000", "{}"], None, {}),
        (["#KODIPROP:inputstream=inputstream.adaptive", "{}"], None, {}),
        (["#KODIPROP:inputstream.adaptive.stream_headers=User-Agent=A%2F1&X-Key=k%3D", "{}"], "A/1", {"X-Key": "k="}),
        (["{}|User-Agent=A%2F1&Referer=http%3A%2F%2Fr.test%2F"], "A/1", {"Referer": "http://r.test/"}),
        (["{}|user-agent=A 1&referer=b"], "A 1", {"Referer": "b"}),
        (["#EXTVLCOPT:http-user-agent=lost", "{}|User-Agent=taken"], "taken", {}),
    ],
)
def test_request_headers(lines: list[str], user_agent: str | None, headers: dict[str, str]) -> None:
    entry = one("#EXTINF:-1,One", *(line.replace("{}", URL) for line in lines))
    assert (entry.url, entry.user_agent, entry.headers) == (URL, user_agent, headers)


def test_options_before_extinf_belong_to_the_next_address_alone() -> None:
    entries, _ = read(f"#EXTVLCOPT:http-user-agent=A\n#EXTINF:-1,One\n#EXTGRP:G\n{URL}\n#EXTINF:-1,Two\n{URL}\n")
    assert [(each.user_agent, each.group) for each in entries] == [("A", "G"), (None, None)]


@pytest.mark.parametrize(
    ("broken", "line", "reason"),
    [
        (URL, 2, "no #EXTINF"),
        (f"#EXTINF:-1 tvg-id=a\n{URL}", 2, "without a name"),
        (f"#EXTINF:-1,{'n' * 201}\n{URL}", 2, "the name is longer"),
        ("#EXTINF:-1,Nowhere", 2, "no address follows"),
        ("#EXTINF:-1,One\nfile:///etc/passwd", 3, "the scheme must be one of"),
        ("#EXTINF:-1,One\none.ts", 3, "the scheme must be one of"),
        ("#EXTINF:-1,One\nhttp:///one.ts", 3, "the host is missing"),
        ("#EXTINF:-1,One\nhttp://[::1/one.ts", 3, "not a URL"),
        ("#EXTINF:-1,One\nhttp://p.test/a b.ts", 3, "a space"),
        (f"#EXTINF:-1,One\nhttp://p.test/{'a' * 5000}", 3, "the address is longer"),
        (f"#EXTINF:-1 {'x' * LINE},One\n{URL}", 2, "longer than"),
        ("#EXT-X-TARGETDURATION:6", 2, "HLS playlist of one channel"),
        ("<!doctype html>", 2, "no #EXTINF"),
    ],
)
def test_a_broken_line_is_reported_by_its_number_and_the_rest_is_read(broken: str, line: int, reason: str) -> None:
    entries, faults = read(f"#EXTM3U\n{broken}\n#EXTINF:-1,Whole\n{URL}\n")
    assert [entry.name for entry in entries] == ["Whole"]
    assert [fault.line for fault in faults] == [line]
    assert reason in faults[0].reason


@pytest.mark.parametrize(
    ("extinf", "address", "reason"),
    [
        ('tvg-chno="1.1"', URL, "tvg-chno"),
        (f'tvg-chno="{bounds.NUMBER + 1}"', URL, "tvg-chno"),
        (f'tvg-id="{"i" * 201}"', URL, "tvg-id"),
        (f'tvg-logo="data:image/png,{"l" * 4096}"', URL, "tvg-logo"),
        ("", f"{URL}|User-Agent=A%0D%0AX-Evil: 1", "User-Agent"),
        ("", f"{URL}|nothing", "nothing"),
        ("", f"{URL}|A B=c", "proper name"),
        ("", f"{URL}|{'&'.join(f'H{n}=v' for n in range(33))}", "more than 32"),
    ],
)
def test_what_an_entry_cannot_hold_is_left_out_and_reported(extinf: str, address: str, reason: str) -> None:
    (entry,), (fault,) = read(f"#EXTM3U\n#EXTINF:-1 {extinf},One\n{address}\n")
    assert (entry.url, entry.tvg_id, entry.number, entry.logo, entry.user_agent) == (URL, None, None, None, None)
    assert reason in fault.reason


def test_no_report_repeats_an_address() -> None:
    _, faults = read("#EXTM3U\n#EXTINF:-1,One\nftp://user:secret@p.test/1\nhttp://user:secret@p.test/2\n")
    assert len(faults) == 2
    assert "secret" not in repr(faults)


@pytest.mark.parametrize(
    "data",
    [
        "#EXTM3U\n#EXTINF:-1,Télé\nhttp://p.test/1.ts\n".encode(),
        "\ufeff#EXTM3U\r\n#EXTINF:-1,Télé\r\nhttp://p.test/1.ts\r\n".encode(),
        "#EXTM3U\n#EXTINF:-1,Télé\nhttp://p.test/1.ts".encode("latin-1"),
        "\n\n#EXTINF:-1,Télé\n\n# a remark\nhttp://p.test/1.ts\n".encode(),
    ],
    ids=["utf-8", "mark and CRLF", "latin-1", "no header"],
)
def test_encodings(data: bytes) -> None:
    (entry,) = parse(text_lines(data.splitlines(keepends=True)))
    assert isinstance(entry, Entry)
    assert (entry.name, entry.url) == ("Télé", URL)


@given(st.lists(st.one_of(st.binary(max_size=80), st.sampled_from(
    [b"#EXTM3U", b"#EXTINF:-1 tvg-id=\"a", b"#EXTINF:-1,One", b"#EXTINF:", b"http://p.test/|a=b&c", b"http://[", b"#KODIPROP:",
     b"#EXTVLCOPT:http-user-agent=", b"#EXTGRP:"])), max_size=12))  # fmt: skip
def test_reading_never_fails_and_every_entry_keeps_the_bounds(lines: list[bytes]) -> None:
    for each in parse(text_lines(lines)):
        assert 1 <= each.line <= len(lines)
        if isinstance(each, Entry):
            assert 0 < len(each.name) <= bounds.NAME
            assert len(each.url) <= bounds.URL
            assert bounds.address_fault(each.url) is None


PLAIN = st.characters(blacklist_categories=("Cs", "Cc", "Zs", "Zl", "Zp"), blacklist_characters='"')
WORD = st.text(PLAIN, min_size=1, max_size=20)
ENTRY = st.builds(
    Entry,
    name=WORD,
    url=st.from_regex(r"(http|https|rtmp)://[a-z]{1,9}(:[1-9][0-9]{0,3})?/[a-zA-Z0-9/?&=%.,#-]{0,30}", fullmatch=True),
    tvg_id=st.none() | WORD,
    tvg_name=st.none() | WORD,
    logo=st.none() | WORD,
    number=st.none() | st.integers(0, bounds.NUMBER),
    group=st.none() | WORD,
    user_agent=st.none() | WORD,
    headers=st.dictionaries(st.sampled_from(["Referer", "Origin", "X-Key"]), WORD, max_size=3),
)


@given(st.lists(ENTRY, max_size=5))
def test_what_is_written_is_read_as_it_was(entries: list[Entry]) -> None:
    lines = [line.encode() for line in render(entries)]
    assert [replace(each, line=0) for each in parse(text_lines(lines)) if isinstance(each, Entry)] == entries


def test_a_quotation_mark_becomes_an_apostrophe() -> None:
    (_, extinf, _) = render([Entry(name='The "One"', url=URL, group='"G"')])
    assert extinf == """#EXTINF:-1 group-title="'G'",The "One\""""
