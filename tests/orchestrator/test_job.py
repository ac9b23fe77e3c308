"""Every job that the orchestrator makes is one that the agent takes, whatever a probe has seen."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from orchestrator.adapters.ffmpeg.probe_output import media_in, read_output
from orchestrator.app.settings import Settings
from orchestrator.control.job import Reserve, fault, launch
from orchestrator.core.model import (
    Attempt,
    Channel,
    ChannelPolicy,
    Hevc,
    Media,
    Observation,
    Session,
    Source,
    SourceStatus,
    Starting,
)
from orchestrator.core.policy import Policy
from orchestrator.core.session.choice import is_last_resort
from tests.fakes.object_store import FakeObjectStore
from tests.orchestrator.core.playbook import MEDIA
from transcoder.ffmpeg.stream_plan import assumed_streams, plan
from transcoder.input import Streams
from transcoder.job import Job, parse

SETTINGS = Settings()
CHANNEL = Channel(id="c", slug="c", name="C", policy=ChannelPolicy())


def job_of(media: Media | None, **source: Any) -> Job:
    origin = Source(id="x", channel_id="c", url="http://h/x.m3u8", media=media)
    session = Session(
        id="s-1",
        channel_id="c",
        viewer="v",
        created_at=0.0,
        state=Starting(Attempt.on(1, "x", 0.0)),
        target_duration_s=Policy(segment_s=SETTINGS.segment_s).target_duration_s((origin,)),
    )
    made = launch(session, origin, CHANNEL, FakeObjectStore(), SETTINGS)
    assert fault(made) is None
    job = parse(made.job)
    assert plan(job.profile, assumed_streams(job.first), None), "the agent has something to begin with"
    return job


@pytest.mark.parametrize(
    ("media", "expected"),
    [
        (None, None),
        (Media(), None),
        (Media(video="h264"), Streams("h264", None, 0)),
        (Media(video="mjpeg", channels=None), Streams("mjpeg", None, 0)),
        (Media(video="h264", audio="aac"), Streams("h264", "aac", 0)),
        (Media(video="h264", audio="aac", channels=6), Streams("h264", "aac", 6)),
        (Media(audio="mp2", channels=255), Streams(None, "mp2", 0)),
        (Media(video="not a name", audio="aac", channels=2), Streams(None, "aac", 2)),
        (Media(video="h264", channels=2), Streams("h264", None, 0)),
    ],
)
def test_what_the_probe_does_not_know_is_unknown_to_the_job(media: Media | None, expected: Streams | None) -> None:
    assert job_of(media).first.expected == expected


# What ffprobe may print: every field may be missing, null or odd, and so may the playlist that is read beside it.
_NAMES = st.sampled_from(["h264", "hevc", "mjpeg", "av1", "aac", "mp2", "ac3", "unknown", "", "adpcm_ima_wav", "a b", "\x00"])
_NUMBERS = st.none() | st.integers(-1, 2**31)
_STREAMS = st.fixed_dictionaries(
    {"codec_type": st.sampled_from(["video", "audio", "subtitle", "data", ""])},
    optional={
        "codec_name": st.none() | _NAMES,
        "channels": _NUMBERS,
        "width": _NUMBERS,
        "height": _NUMBERS,
        "bit_rate": st.none() | st.text(max_size=10),
        "disposition": st.just({}) | st.fixed_dictionaries({"attached_pic": st.sampled_from([0, 1])}),
        "tags": st.just({}) | st.fixed_dictionaries({"variant_bitrate": st.text(max_size=10)}),
    },
)
_OUTPUTS = st.fixed_dictionaries({"streams": st.lists(_STREAMS, max_size=4)})


@given(_OUTPUTS, st.none() | st.floats(0.0) | st.integers(0, 10**400).map(lambda number: float(str(number))))
def test_every_media_that_a_probe_can_give_makes_a_job_that_the_agent_takes(
    output: dict[str, Any], cadence_s: float | None
) -> None:
    media = media_in(read_output(json.dumps(output).encode()), cadence_s)
    if media is not None:
        assert job_of(media).first.source


@given(st.builds(Media, video=st.none() | st.text(), audio=st.none() | st.text(), channels=_NUMBERS))
def test_whatever_an_earlier_release_has_written(media: Media) -> None:
    assert job_of(media).first.source


@pytest.mark.parametrize(("hevc", "is_said"), [("copy", False), ("h264", True)])
def test_what_becomes_of_hevc_is_said_where_it_is_not_copied(hevc: Hevc, is_said: bool) -> None:
    """An image of an earlier release refuses a job with a field that it does not know."""
    channel = replace(CHANNEL, policy=ChannelPolicy(hevc=hevc))
    origin = Source(id="x", channel_id="c", url="http://h/x.m3u8")
    session = Session(
        id="s-1", channel_id="c", viewer="v", created_at=0.0, state=Starting(Attempt.on(1, "x", 0.0)), target_duration_s=3
    )  # fmt: skip
    text = launch(session, origin, channel, FakeObjectStore(), SETTINGS).job
    assert parse(text).hevc == hevc
    assert ('"hevc"' in text) is is_said


SESSION = Session(
    id="s-1", channel_id="c", viewer="v", created_at=0.0, target_duration_s=5, state=Starting(Attempt.on(1, "a", 0.0))
)
SOURCES = tuple(Source(id=name, channel_id="c", url=f"http://{name}.test/live.m3u8") for name in "abc")


def written(source: Source, **more: Any) -> Any:
    return json.loads(launch(SESSION, source, CHANNEL, FakeObjectStore(), SETTINGS, **more).job)


def test_it_knows_what_the_sources_playlist_declares() -> None:
    assert written(replace(SOURCES[0], media=replace(MEDIA, cadence_s=5.0)))["cadence_s"] == 5.0
    assert "cadence_s" not in written(SOURCES[0])
    assert written(replace(SOURCES[0], media=replace(MEDIA, cadence_s=1e9)))["cadence_s"] == 60.0, "nobody waits for that"


@pytest.mark.parametrize("last_resort", [True, False])
def test_it_knows_whether_there_is_a_better_source(last_resort: bool) -> None:
    assert written(SOURCES[0], last_resort=last_resort).get("last_resort", False) is last_resort


def test_a_source_is_the_last_resort_where_every_other_one_fails_or_has_failed() -> None:
    seen = Observation(sources=SOURCES)
    assert not is_last_resort(SESSION, seen, "a")
    assert is_last_resort(replace(SESSION, state=Starting(Attempt.on(1, "a", 0.0), tried=("b", "c"))), seen, "a")
    failed = tuple(replace(each, status=SourceStatus.PROBLEMATIC) for each in SOURCES)
    assert is_last_resort(SESSION, Observation(sources=failed), "a")
    assert is_last_resort(SESSION, Observation(sources=SOURCES[:1]), "a")


def test_a_better_source_that_the_session_cannot_have_makes_no_other_one_wait_for_its_sound() -> None:
    refused = replace(SESSION, refused=(SOURCES[0].address, SOURCES[2].address))
    assert is_last_resort(refused, Observation(sources=SOURCES), "b"), "the agent refuses their jobs"
    full = {"a": "in use", "c": "in use"}
    assert is_last_resort(SESSION, Observation(sources=SOURCES, full=full), "b"), "there is no connection for them"


# --- orders (contract 2) ------------------------------------------------------------------------------------------------


def ordered(source: Source, *reserves: Reserve, **more: Any) -> Job:
    made = launch(replace(SESSION, version=7), source, CHANNEL, FakeObjectStore(), SETTINGS, reserves=reserves, **more)
    assert fault(made) is None
    return parse(made.job)


def test_with_reserves_it_has_orders_to_play_the_first_and_to_try_the_others_in_their_order() -> None:
    first = replace(SOURCES[0], provider_id="p-1", media=replace(MEDIA, cadence_s=5.0))
    job = ordered(first, Reserve(SOURCES[2]), Reserve(SOURCES[1], last_resort=True))
    assert job.orders is not None
    assert job.orders.version == 8, "of the row after the commit"
    assert [(each.id, each.provider, each.last_resort) for each in job.orders.inputs] == [
        ("a", "p-1", False), ("c", "", False), ("b", "", True),
    ]  # fmt: skip
    assert job.first is job.orders.inputs[0]
    assert job.first.cadence_s == 5.0
    assert job.reports is not None
    assert job.reports.prefix == "inbox/s-1.1."
    assert job.orders_get is not None
    assert "orders/s-1/1.json" in job.orders_get


def test_orders_may_have_no_reserve() -> None:
    job = ordered(SOURCES[0])
    assert job.orders is not None
    assert [each.id for each in job.orders.inputs] == ["a"]


def test_a_job_without_reserves_is_one_that_every_agent_understands() -> None:
    job = written(SOURCES[0])
    assert job["source"]["url"] == SOURCES[0].url
    assert "orders" not in job
    assert {"reports", "orders"}.isdisjoint(job["store"])


@pytest.mark.parametrize(
    "changes", [{"url": "file:///etc/passwd"}, {"url": "http://b.test/a b"}, {"headers": {"X-A": "a\nb"}}, {"user_agent": ""}]
)
def test_a_reserve_that_the_agent_would_refuse_is_left_out_alone(changes: dict[str, Any]) -> None:
    job = ordered(SOURCES[0], Reserve(replace(SOURCES[1], **changes)), Reserve(SOURCES[2]))
    assert job.orders is not None
    assert [each.id for each in job.orders.inputs] == ["a", "c"]


def test_a_reserve_that_the_job_has_no_room_for_is_left_out() -> None:
    """Linux takes no environment variable of more than 128 KiB."""
    wide = replace(SOURCES[1], headers={f"X-{n}": "x" * 16_000 for n in range(7)})
    made = launch(SESSION, SOURCES[0], CHANNEL, FakeObjectStore(), SETTINGS, reserves=[Reserve(wide), Reserve(SOURCES[2])])
    orders = parse(made.job).orders
    assert orders is not None
    assert [each.id for each in orders.inputs] == ["a", "c"]
    assert len(made.job.encode()) < 100_000


def test_the_slate_has_no_orders() -> None:
    slate = replace(SESSION, state=Starting(Attempt.on(1, "slate", 0.0)))
    job = parse(launch(slate, None, CHANNEL, FakeObjectStore(), SETTINGS, reserves=[]).job)
    assert job.orders is None
    assert job.first.is_slate
