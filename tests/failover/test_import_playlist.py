"""`failover import` as a child process, on a database of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import pytest

from failover.commands import import_playlist
from orchestrator.adapters.sql import open_tables
from orchestrator.errors import InvalidInput
from tests.sqlite_file import migrated

PLAYLIST = "#EXTM3U\n#EXTINF:-1,One HD\nhttp://p.test/1\n#EXTINF:-1,One SD\nhttp://p.test/2\nhttp://p.test/3\n"


@pytest.fixture
def database(tmp_path: Path) -> str:
    return migrated(tmp_path)


def run(database: str, directory: Path, *words: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("FAILOVER_")}
    environ |= {"FAILOVER_DATABASE_URL": database, "COLUMNS": "200"}
    command = [sys.executable, "-m", "failover", "import", *words]
    done = subprocess.run(command, cwd=directory, env=environ, capture_output=True, text=True, timeout=30, input=given)
    assert "Traceback" not in done.stderr
    return done


@pytest.mark.slow
async def test_a_file_is_imported(database: str, tmp_path: Path) -> None:
    (tmp_path / "list.m3u").write_text(PLAYLIST)
    dry = run(database, tmp_path, "list.m3u", "--provider", "Acme", "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert "line 6: no #EXTINF" in dry.stdout
    assert "+ one  2 sources added" in dry.stdout
    assert "nothing was written" in dry.stdout
    tables = open_tables(database)
    assert await tables.catalogue.channels() == ()
    done = run(database, tmp_path, "list.m3u", "--provider", "Acme")
    assert "Acme (new): 2 entries, 0 twice, 1 reported" in done.stdout
    assert "channels  1 added, 0 updated, 0 enabled, 0 disabled" in done.stdout
    (channel,) = await tables.catalogue.channels()
    assert [source.url for source in await tables.catalogue.sources(channel.id)] == ["http://p.test/1", "http://p.test/2"]
    again = run(database, tmp_path, "list.m3u", "--provider", "Acme")
    assert "sources   0 added, 0 updated, 0 enabled, 0 disabled" in again.stdout
    await tables.close()


@pytest.mark.slow
async def test_the_standard_input_is_imported(database: str, tmp_path: Path) -> None:
    done = run(database, tmp_path, "-", "--provider", "Acme", given=PLAYLIST)
    assert done.returncode == 0, done.stderr
    assert "channels  1 added" in done.stdout
    nothing = run(database, tmp_path, "-", "--provider", "Acme", given="")
    assert (nothing.returncode, "there is no entry in it" in nothing.stderr) == (1, True), nothing.stderr
    tables = open_tables(database)
    assert [channel.name for channel in await tables.catalogue.channels()] == ["One"]
    await tables.close()


def test_more_than_can_be_fetched_is_not_read_either(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_playlist, "BYTES", 1000)
    with pytest.raises(InvalidInput, match="more than"):
        import_playlist._given(BytesIO(b"x" * 1001))
    assert import_playlist._given(BytesIO(b"a\nb")) == [b"a\n", b"b"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("none.m3u", "--provider", "Acme"), 1, "neither a file nor an http(s) address"),
        (("list.m3u",), 2, "--provider"),
        (("empty.m3u", "--provider", "Acme"), 1, "there is no entry in it"),
        (("http://127.0.0.1:1/list?password=secret", "--provider", "Acme"), 1, "cannot be fetched"),
    ],
)
def test_a_mistake_is_answered_in_words(database: str, tmp_path: Path, words: tuple[str, ...], code: int, said: str) -> None:
    (tmp_path / "empty.m3u").write_text("<html>")
    done = run(database, tmp_path, *words)
    assert (done.returncode, said in done.stderr) == (code, True), done.stderr
    assert "secret" not in done.stderr
