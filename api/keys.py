"""The admin key, and what is derived from it: session tokens, the console's cookie, pseudonyms of viewers.

A token is an HMAC of the channel and the viewer under a key derived from the admin key: a viewer who asks again gets the same
token, though only its SHA-256 is stored. The cookie is a signed expiry time. All comparisons take constant time.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64encode
from typing import Final

CONSOLE_S: Final = 12 * 3600


class ApiKeys:
    def __init__(self, admin_key: str) -> None:
        self._admin = hashlib.sha256(admin_key.encode()).digest()
        self._derived = hmac.digest(admin_key.encode(), b"hls-failover session token, v1", "sha256")
        self._console = hmac.digest(admin_key.encode(), b"hls-failover console, v1", "sha256")

    def is_admin(self, credential: str | None) -> bool:
        return credential is not None and hmac.compare_digest(hashlib.sha256(_bytes(credential)).digest(), self._admin)

    def token(self, channel_id: str, viewer: str) -> str:
        """The viewer's token for its sessions on this channel: 43 URL-safe characters."""
        return _text(hmac.digest(self._derived, f"{channel_id}\n{viewer}".encode(), "sha256"))

    def console_cookie(self, now: float) -> str:
        """The console's credential for CONSOLE_S from now on. Invalid under another admin key."""
        end = str(int(now) + CONSOLE_S)
        return f"{end}.{_text(hmac.digest(self._console, end.encode(), 'sha256'))}"

    def is_console(self, cookie: str, now: float) -> bool:
        end, _, signature = cookie.partition(".")
        signed = _text(hmac.digest(self._console, _bytes(end), "sha256"))
        return hmac.compare_digest(_bytes(signature), signed.encode()) and int(end) > now

    def pseudonym(self, *parts: str) -> str:
        """A stable name that reveals nothing of `parts` and cannot be guessed from them: 22 characters."""
        return _text(hmac.digest(self._derived, "\n".join(["viewer", *parts]).encode(), "sha256")[:16])


def token_hash(token: str) -> str:
    """SHA-256: the form in which a token is stored."""
    return hashlib.sha256(_bytes(token)).hexdigest()


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _text(digest: bytes) -> str:
    return urlsafe_b64encode(digest).rstrip(b"=").decode()
