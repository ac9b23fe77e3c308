"""Stores the settings of a local deployment in its data directory, and finds the settings of the deployment
that a command refers to.

`failover serve` writes its complete settings there (mode 0600: keys are among them). The other commands read them, so that
`failover sessions list` beside a running `failover serve` needs no environment variable.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from failover.private_file import write_private
from orchestrator.app import settings as settings_module
from orchestrator.app.settings import Settings
from orchestrator.errors import BadSetting

DEFAULT = Path("var")
_FILE = "settings.json"


def save(settings: Settings, data_dir: Path) -> None:
    """Write the settings as the environment variables that `orchestrator.app.settings.read` reads again."""
    data_dir.mkdir(parents=True, exist_ok=True)
    path = data_dir / _FILE
    write_private(path, msgspec.json.encode(settings_module.environ_of(settings)))


def resolve(settings: Settings, data_dir: Path | None) -> Settings:
    """The settings of the deployment that this command means: those of the environment if they name a database and no data
    directory is given; else those saved in the data directory, overridden by the environment. Raises BadSetting where the
    directory holds none."""
    if settings.database_url is not None and data_dir is None:
        return settings
    path = (data_dir or DEFAULT) / _FILE
    try:
        saved = msgspec.json.decode(path.read_bytes(), type=dict[str, str])
    except (FileNotFoundError, NotADirectoryError):
        raise BadSetting(
            f"no stack known: set FAILOVER_DATABASE_URL, or name the --data-dir of a `failover serve` ({path.parent} is none)"
        ) from None
    except OSError as error:
        raise BadSetting(f"the settings of this stack cannot be read: {path}: {error.strerror}") from None
    return settings_module.read(
        saved | {name: value for name, value in os.environ.items() if name.startswith(settings_module.PREFIX)}
    )
