"""The bucket's layout, spelled out here once more: keys that a release before has written are read by this one."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from urllib.parse import urljoin

import pytest

from transcoder import bucket

ROOT = Path(__file__).parents[2]


def test_the_keys_are_those_of_every_release() -> None:
    assert bucket.multivariant_key("s-1") == "playlists/s-1/index.m3u8"
    assert bucket.media_playlist_key("s-1") == "playlists/s-1/main.m3u8"
    assert bucket.segments_prefix("s-1", 3) == "segments/s-1/3/"
    assert bucket.segment_key("s-1", 3, 7) == "segments/s-1/3/main/7.ts"
    assert bucket.log_key("s-1", 3) == "logs/s-1/3.log"
    assert bucket.PREPARED == "prepared"
    assert bucket.PLAYLIST_HEADERS == {"Content-Type": "application/vnd.apple.mpegurl", "Cache-Control": "public, max-age=1"}
    assert bucket.SEGMENT_HEADERS == {"Content-Type": "video/mp2t", "Cache-Control": "public, max-age=31536000, immutable"}
    assert set(bucket.PUBLIC_PREFIXES) == {"playlists/", "segments/"}
    assert set(bucket.PREFIXES) == {"playlists/", "segments/", "logs/", "orders/"}
    assert bucket.PREFIXES[-1] == bucket.PLAYLISTS, "deleted last"


def test_a_playlist_names_what_stands_beside_it_and_its_segments() -> None:
    base = "https://cdn.example/hls/"
    multivariant = base + bucket.multivariant_key("s-1")
    assert urljoin(multivariant, bucket.MEDIA_PLAYLIST_NAME) == base + bucket.media_playlist_key("s-1")
    media = base + bucket.media_playlist_key("s-1")
    assert urljoin(media, bucket.segment_uri("s-1", 3, 7)) == base + bucket.segment_key("s-1", 3, 7)


@pytest.mark.parametrize(
    ("uri", "attempt"),
    [
        ("../../segments/s-1/3/main/7.ts", 3),
        ("https://cdn.example/a/segments/s-1/12/main/7.ts", 12),
        ("7.ts", 0),
        ("../../other/s-1/3/main/7.ts", 0),
        ("../../segments/s-1/x/main/7.ts", 0),
        (f"../../segments/s-1/{'9' * 19}/main/7.ts", 0),
    ],
)
def test_the_attempt_of_a_listed_segment(uri: str, attempt: int) -> None:
    assert bucket.attempt_of(uri) == attempt


@pytest.mark.parametrize(
    ("uri", "place"),
    [
        ("segments/s-1/3/main/7.ts", (3, 7)),
        ("../../segments/s-1/12/main/70.ts", (12, 70)),
        ("segments/s-1/3/other", (3, -1)),
        ("segments/s-1/x/main/7.ts", (-1, 7)),
        ("segments/s-1", (-1, -1)),
        ("", (-1, -1)),
        (f"segments/s-1/{'9' * 5000}/main/{'9' * 5000}.ts", (-1, -1)),
        ("segments/s-1/²/main/².ts", (-1, -1)),
    ],
)
def test_the_place_of_a_segment(uri: str, place: tuple[int, int]) -> None:
    assert bucket.segment_position(uri) == place


def test_a_listed_uri_leads_to_the_sessions_own_segments_alone() -> None:
    assert bucket.listed_key("s-1", bucket.segment_uri("s-1", 3, 7)) == bucket.segment_key("s-1", 3, 7)
    for uri in (
        bucket.segment_uri("s-2", 3, 7), bucket.segment_key("s-1", 3, 7), "../../logs/s-1/1.log", "",
        "../../segments/s-1/../s-2/main/0.ts", "../../segments/s-1//main/0.ts", "http://elsewhere.test/segments/s-1/1/main/0.ts",
    ):  # fmt: skip
        assert bucket.listed_key("s-1", uri) is None, uri


def test_every_key_of_a_session_begins_with_its_prefix_and_tells_the_session() -> None:
    keys = (
        bucket.multivariant_key("s-1"),
        bucket.media_playlist_key("s-1"),
        bucket.segment_key("s-1", 1, 0),
        bucket.log_key("s-1", 1),
    )
    for key in keys:
        assert bucket.session_of(key) == "s-1"
        assert sum(key.startswith(bucket.session_prefix(prefix, "s-1")) for prefix in bucket.PREFIXES) == 1


def test_the_edges_pass_on_what_is_public_and_nothing_else() -> None:
    for name in ("nginx.conf", "apache.conf"):
        text = (ROOT / "infra" / "edge" / name).read_text()
        # The addresses that are passed to the store: `location ~ "^/playlists/..."` and `RewriteRule ^/playlists/...`.
        passed = re.findall(
            r'^\s*(?:location ~ "|RewriteRule )(\^/(?:playlists|segments|logs|orders|inbox)/\S+?\$)', text, re.MULTILINE
        )
        assert len(passed) == len(bucket.PUBLIC_PREFIXES), name
        for key in (bucket.multivariant_key("s-1"), bucket.media_playlist_key("s-1"), bucket.segment_key("s-1", 1, 0)):
            assert sum(bool(re.match(each, f"/{key}")) for each in passed) == 1, (name, key)
        for key in (bucket.log_key("s-1", 1), bucket.orders_key("s-1", 1), bucket.report_key("s-1", 1, 1)):
            assert not any(re.match(each, f"/{key}") for each in passed), (name, key)


def test_terraform_names_the_same_prefixes() -> None:
    origin = ROOT / "infra" / "terraform" / "modules" / "origin"
    written = re.search(r"Resource = \[for key in (\[[^]]*\])", (origin / "writer.tf").read_text())
    assert written is not None
    assert set(ast.literal_eval(written[1])) == {
        *(f"{prefix}*" for prefix in (*bucket.PREFIXES, bucket.INBOX)),
        bucket.PREPARED,
    }
    behaviours = re.findall(r'^    "(\S+)"\s+= aws_cloudfront_cache_policy', (origin / "cdn.tf").read_text(), re.MULTILINE)
    assert set(behaviours) == {f"{prefix}*" for prefix in bucket.PUBLIC_PREFIXES}
    expiring = re.findall(r'^      prefix = "(\S+)"', (origin / "main.tf").read_text(), re.MULTILINE)
    assert set(expiring) == {bucket.SEGMENTS, bucket.LOGS, bucket.ORDERS, bucket.INBOX}, "playlists never expire"


def test_no_other_module_spells_a_key() -> None:
    spelled = re.compile(r"^(?:\.\./\.\./|/)?(?:playlists|segments|logs|orders|inbox)/|^(?:main|index)\.m3u8$")
    elsewhere = {"lab/serving/source.py": "a synthetic source has addresses of its own"}
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}: {node.value!r}"
        for directory in ("orchestrator", "api", "failover", "lab", "bench", "transcoder-image/transcoder")
        for path in sorted((ROOT / directory).rglob("*.py"))
        if "node_modules" not in path.parts and path.name != "bucket.py" and str(path.relative_to(ROOT)) not in elsewhere
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and spelled.search(node.value)
    ]
    assert found == []
