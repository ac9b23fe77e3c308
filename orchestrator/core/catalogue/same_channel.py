"""Whether two names mean the same channel: case, quality, "Backup" and a country's prefix are ignored.

Two different countries are not: "UK: Discovery" and "FR: Discovery" are two channels, and "Discovery" may be either.
"""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

_TAG = re.compile(
    r"(?<![^\W_])(?:uhd|fhd|qhd|hd(?:\+(?!\d))?|sd|[48]k|(?:2160|1440|1080|720|576|480)[pi]|(?:50|60)\s?fps|hdr|hevc|"
    r"[hx]\.?26[45]|raw|(?:backup|bkp)(?:\s?\d+)?)(?![^\W_])",
    re.IGNORECASE,
)
_BACKUP = re.compile(r"(?<![^\W_])(?:backup|bkp)(?![^\W\d_])", re.IGNORECASE)
_PREFIX = re.compile(r"\s*(?:\|\s*([a-z]{2,3})\s*\||\[([a-z]{2,3})\]|\(([a-z]{2,3})\)|([a-z]{2,3})\s*[:|┃▎])\s*(?=\S)")
_WORD = re.compile(r"[^\W_]+|\+")
_EMPTY_BRACKETS = re.compile(r"\(\s*\)|\[\s*\]|\|\s*\|")
# ISO 3166-1 has two letters; these have three, or another two, in playlists. Three other letters may be a brand: "HBO: Comedy"
_COUNTRIES = {
    "uk": "gb", "gbr": "gb", "eng": "gb", "en": "gb", "usa": "us", "can": "ca", "mex": "mx", "bra": "br", "arg": "ar",
    "deu": "de", "ger": "de", "aut": "at", "sui": "ch", "che": "ch", "fra": "fr", "bel": "be", "nld": "nl", "ned": "nl",
    "ita": "it", "esp": "es", "prt": "pt", "por": "pt", "irl": "ie", "swe": "se", "nor": "no", "dnk": "dk", "den": "dk",
    "fin": "fi", "isl": "is", "pol": "pl", "cze": "cz", "svk": "sk", "hun": "hu", "rou": "ro", "rom": "ro", "bgr": "bg",
    "bul": "bg", "grc": "gr", "gre": "gr", "tur": "tr", "alb": "al", "srb": "rs", "hrv": "hr", "cro": "hr", "svn": "si",
    "slo": "si", "bih": "ba", "mkd": "mk", "mne": "me", "rus": "ru", "ukr": "ua", "est": "ee", "lva": "lv", "ltu": "lt",
    "isr": "il", "ind": "in", "pak": "pk", "aus": "au", "nzl": "nz", "jpn": "jp", "kor": "kr", "chn": "cn", "zaf": "za",
}  # fmt: skip


class Known(NamedTuple):
    """A name in its parts."""

    name: str  # without what does not tell channels apart
    country: str | None  # two lower-case letters


def known_by(name: str) -> Known:
    """ "UK: BBC One FHD" → ("bbc one", "gb"). A name of nothing but tags is itself."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    text = _TAG.sub(" ", folded)
    country = None
    if prefix := _PREFIX.match(text):
        code = next(filter(None, prefix.groups()))
        country = _COUNTRIES.get(code, code if len(code) == 2 else None)
        if country:
            text = text[prefix.end() :]
    return Known(" ".join(_WORD.findall(text)) or folded.strip(), country)


def without_quality(name: str) -> str:
    """What a channel with sources of several qualities is called: "UK: BBC One (FHD)" → "UK: BBC One"."""
    text = _EMPTY_BRACKETS.sub(" ", _TAG.sub(" ", name))
    text = " ".join(text.split()).rstrip(" -|:")
    return text if _WORD.search(text) else name


def is_backup(name: str) -> bool:
    return _BACKUP.search(name) is not None
