"""A data directory holds all that an embedded stack is: its servers' data, and the settings with which it runs.

`failover serve` writes its resolved settings there (mode 0600: keys are among them); every other command reads them, so that
`failover sessions list` beside a running `serve` needs no variable.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from orchestrator.app import settings as settings_module
from orchestrator.app.settings import Settings
from orchestrator.errors import BadSetting

DEFAULT = Path("var")
_FILE = "settings.json"


def save(settings: Settings, data_dir: Path) -> None:
    data_dir.mkdir(parents=True, exist_ok=True)
    path = data_dir / _FILE
    path.touch(mode=0o600, exist_ok=True)
    path.chmod(0o600)
    path.write_bytes(msgspec.json.encode(settings_module.environ_of(settings)))


def resolve(settings: Settings, data_dir: Path | None) -> Settings:
    """The settings of the stack that this command means: the environment's where they name a database, else those that
    `serve` left in the data directory. Raises BadSetting where there are none."""
    if settings.database_url is not None and data_dir is None:
        return settings
    path = (data_dir or DEFAULT) / _FILE
    try:
        saved = msgspec.json.decode(path.read_bytes(), type=dict[str, str])
    except FileNotFoundError:
        raise BadSetting(
            f"no stack known: set FAILOVER_DATABASE_URL, or name the --data-dir of a `failover serve` ({path.parent} is none)"
        ) from None
    return settings_module.read(
        saved | {name: value for name, value in os.environ.items() if name.startswith(settings_module.PREFIX)}
    )
