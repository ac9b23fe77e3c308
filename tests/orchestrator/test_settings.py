"""Settings: what is taken, and that what is wrong is refused by its variable's name."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.app.settings import PREFIX, Settings, derived, environ_of, read, unknown
from orchestrator.errors import BadSetting

ROOT = Path(__file__).parents[2]


def test_nothing_given_is_every_default() -> None:
    assert read({}) == Settings()


def test_values_are_taken_in_their_own_types_and_other_variables_left_alone() -> None:
    given_ = {
        "FAILOVER_PORT": "9000",
        "FAILOVER_SEGMENT_S": "4",
        "FAILOVER_RUNTIME": "process",
        "FAILOVER_S3_SECRET_KEY": "0123",
        "FAILOVER_LOG_FORMAT": "json",
        "FAILOVER_TEST_REQUIRE": "all",
        "PATH": "/bin",
    }
    settings = read(given_)
    expected = Settings(port=9000, segment_s=4.0, runtime="process", s3_secret_key="0123", log_format="json")
    assert settings == expected
    assert isinstance(settings.segment_s, float)


def test_an_empty_value_is_none_given() -> None:
    assert read({"FAILOVER_REDIS_URL": "", "FAILOVER_PORT": "", "FAILOVER_ADMIN_KEY_FILE": ""}) == Settings()


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("FAILOVER_SEGMENTS", "2", "no such setting"),
        ("FAILOVER_", "2", "no such setting"),
        ("FAILOVER_PORT", "eighty", "a whole number, not 'eighty'"),
        ("FAILOVER_PORT", "80.5", "a whole number"),
        ("FAILOVER_PORT", "-1", "65535"),
        ("FAILOVER_PORT", "65536", "65535"),
        ("FAILOVER_DOCKER_POOL", "0", "greater than 0"),
        ("FAILOVER_WINDOW_S", "-3", "greater than 0"),
        ("FAILOVER_WINDOW_S", "long", "a number"),
        ("FAILOVER_SEGMENT_S", "nan", "finite"),
        ("FAILOVER_SEGMENT_S", "inf", "finite"),
        ("FAILOVER_SIGNATURE_S", "604801", "604800"),
        ("FAILOVER_RUNTIME", "podman", "one of docker, process"),
        ("FAILOVER_LOG_LEVEL", "INFO", "one of debug, info, warning, error"),
        ("FAILOVER_S3_ENDPOINT", "localhost:8333", "http:// or https://"),
        ("FAILOVER_S3_TRANSCODER_ENDPOINT", "http://", "http:// or https://"),
        ("FAILOVER_ORIGIN_URL", "ftp://cdn.test", "http:// or https://"),
        ("FAILOVER_DEPLOYMENT", "a b", "letters"),
        ("FAILOVER_ADMIN_KEY_FILE", "/no/such/file", "cannot read /no/such/file: No such file"),
    ],
)
def test_what_is_wrong_is_refused_with_the_variables_name(variable: str, value: str, words: str) -> None:
    with pytest.raises(BadSetting, match=re.escape(words)) as refused:
        read({variable: value})
    assert str(refused.value).startswith(f"{variable}: ")


def test_what_no_setting_has_is_told_without_a_refusal() -> None:
    ours = {"FAILOVER_PORT": "1", "FAILOVER_S3_SECRET_KEY_FILE": "/x", "FAILOVER_TEST_X": "1", "PATH": "/bin"}
    assert unknown(ours) == ()
    assert unknown(ours | {"FAILOVER_COLOUR": "red", "FAILOVER_": ""}) == ("FAILOVER_COLOUR", "FAILOVER_")


def test_a_setting_is_read_by_its_former_name() -> None:
    former = {"FAILOVER_RECOVERY_INTERVAL_S": "7", "FAILOVER_SWEEP_INTERVAL_S": "3", "FAILOVER_FIRST_LOOK_INTERVAL_S": "9"}
    assert read(former) == Settings(reprobe_interval_s=7.0, playlist_poll_interval_s=3.0, first_probe_interval_s=9.0)
    assert unknown(former) == ()
    with pytest.raises(BadSetting, match="FAILOVER_RECOVERY_INTERVAL_S: is now called FAILOVER_REPROBE_INTERVAL_S"):
        read(former | {"FAILOVER_REPROBE_INTERVAL_S": "8"})


def test_a_secret_may_lie_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("secret\n")
    assert read({"FAILOVER_ADMIN_KEY_FILE": str(tmp_path / "key")}).admin_key == "secret"


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadSetting, match=r"FAILOVER_ADMIN_KEY_FILE: .* is not text"):
        read({"FAILOVER_ADMIN_KEY_FILE": str(tmp_path / "key")})


def test_a_value_and_its_file_do_not_go_together(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("one")
    environ = {"FAILOVER_ADMIN_KEY_FILE": str(tmp_path / "key"), "FAILOVER_ADMIN_KEY": "another"}
    with pytest.raises(BadSetting, match="one of the two"):
        read(environ)
    assert read(environ | {"FAILOVER_ADMIN_KEY": ""}).admin_key == "one"


@given(
    st.builds(
        Settings,
        port=st.integers(0, 65535),
        segment_s=st.floats(0.1, 60.0),
        admin_key=st.none() | st.text(st.characters(categories=("L", "N")), min_size=1),
        runtime=st.sampled_from((None, "docker", "process")),
        docker_pool=st.integers(1, 64),
    )
)
def test_settings_survive_the_environment(settings: Settings) -> None:
    assert read(environ_of(settings)) == settings


def test_addresses_follow_from_others() -> None:
    settings = derived(Settings(s3_endpoint="http://store:8333/"))
    assert settings.s3_transcoder_endpoint == "http://store:8333"
    assert settings.origin_url == "http://store:8333/hls"
    given_ = Settings(s3_endpoint="http://store:8333", s3_transcoder_endpoint="http://other", origin_url="https://cdn.test")
    assert derived(given_) == given_


def test_the_example_lists_every_setting_and_its_default() -> None:
    lines = (ROOT / ".env.example").read_text().splitlines()
    given_ = dict(
        line.removeprefix("#").strip().split("=", 1) for line in lines if re.match(r"#?\s*FAILOVER_[A-Z0-9_]+=", line)
    )
    names = {f"{PREFIX}{field.name.upper()}" for field in msgspec.structs.fields(Settings)}
    assert set(given_) == names
    assert read(given_) == Settings()
