"""Signed addresses: what a container gets instead of credentials (law 8), for one attempt of one session alone.

A segment is posted with a form policy, which limits its key to the attempt's prefix, its headers and its size; playlists and
the log are read and written at presigned URLs. Signing is a computation: nothing here connects to the store.
https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-post-example.html
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from minio.datatypes import PostPolicy

from orchestrator.adapters.s3.connection import S3Connection, address
from orchestrator.app.settings import PREFIX, Settings
from orchestrator.errors import BadSetting
from transcoder import bucket

_SEGMENT_BYTES = (1, 64 << 20)


class AddressSigner:
    """Signs for the address at which containers reach the store, because the host is part of a signature. Raises BadSetting."""

    def __init__(self, connection: S3Connection, settings: Settings) -> None:
        self._bucket = connection.bucket
        self._life = timedelta(seconds=settings.signature_s)
        self._endpoint = connection.endpoint
        if settings.s3_transcoder_endpoint is not None:
            self._endpoint = address("S3_TRANSCODER_ENDPOINT", settings.s3_transcoder_endpoint)
        self._signer = connection.client_of(self._endpoint)  # it never connects
        try:
            self.of_attempt("session", 1)
        except ValueError as error:
            raise BadSetting(f"{PREFIX}S3_...: {error}") from None

    def of_attempt(self, session_id: str, attempt: int) -> dict[str, object]:
        """The `store` object of the agent's job (transcoder.job)."""
        prefix = bucket.segments_prefix(session_id, attempt)
        return {
            "segments": {
                "url": f"{self._endpoint.geturl()}/{self._bucket}",
                "fields": self.post_fields(prefix),
                "prefix": prefix,
            },
            "playlists": {
                name: {"get": self._signed("GET", key), "put": self._signed("PUT", key)}
                for name, key in (
                    ("index", bucket.multivariant_key(session_id)),
                    ("main", bucket.media_playlist_key(session_id)),
                )
            },
            "log": {"put": self._signed("PUT", bucket.log_key(session_id, attempt))},
        }

    def post_fields(self, prefix: str) -> dict[str, str]:
        """The form fields by which segments may be posted below the prefix."""
        policy = PostPolicy(self._bucket, datetime.now(UTC) + self._life)
        policy.add_starts_with_condition("key", prefix)
        for name, value in bucket.SEGMENT_HEADERS.items():
            policy.add_equals_condition(name, value)
        policy.add_content_length_range_condition(*_SEGMENT_BYTES)
        return {**bucket.SEGMENT_HEADERS, **self._signer.presigned_post_policy(policy)}

    def _signed(self, method: str, key: str) -> str:
        return self._signer.get_presigned_url(method, self._bucket, key, expires=self._life)
