"""Signed addresses: what a container gets instead of credentials (law 8), for one attempt of one session alone.

A segment and a report are posted with a form policy each, which limits the key to the attempt's prefix, the headers and the
size; playlists and the log are read and written at presigned URLs, and orders are read at one. Signing is a computation:
nothing here connects to the store.
https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-post-example.html
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from minio.datatypes import PostPolicy

from orchestrator.adapters.s3.connection import S3Connection, address
from orchestrator.app.settings import PREFIX, Settings
from orchestrator.errors import BadSetting
from transcoder import bucket, report

_SEGMENT_BYTES = (1, 64 << 20)
_REPORT_BYTES = (1, report.LIMIT_BYTES)


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

    def of_attempt(self, session_id: str, attempt: int, *, with_orders: bool = False) -> dict[str, object]:
        """The `store` object of the agent's job (transcoder.job)."""
        segments, reports = bucket.segments_prefix(session_id, attempt), bucket.reports_prefix(session_id, attempt)
        addresses: dict[str, object] = {
            "segments": self._posted(segments, self.segment_fields(segments)),
            "playlists": {
                name: {"get": self._signed("GET", key), "put": self._signed("PUT", key)}
                for name, key in (
                    ("index", bucket.multivariant_key(session_id)),
                    ("main", bucket.media_playlist_key(session_id)),
                )
            },
            "log": {"put": self._signed("PUT", bucket.log_key(session_id, attempt))},
        }
        if with_orders:
            addresses["reports"] = self._posted(reports, self.report_fields(reports))
            addresses["orders"] = {"get": self._signed("GET", bucket.orders_key(session_id, attempt))}
        return addresses

    def segment_fields(self, prefix: str) -> dict[str, str]:
        """The form fields by which segments may be posted below the prefix."""
        return self._policy(prefix, bucket.SEGMENT_HEADERS, _SEGMENT_BYTES)

    def report_fields(self, prefix: str) -> dict[str, str]:
        """The form fields by which reports may be posted below the prefix."""
        return self._policy(prefix, bucket.REPORT_HEADERS, _REPORT_BYTES)

    def _posted(self, prefix: str, fields: dict[str, str]) -> dict[str, object]:
        return {"url": f"{self._endpoint.geturl()}/{self._bucket}", "fields": fields, "prefix": prefix}

    def _policy(self, prefix: str, headers: dict[str, str], size_bytes: tuple[int, int]) -> dict[str, str]:
        policy = PostPolicy(self._bucket, datetime.now(UTC) + self._life)
        policy.add_starts_with_condition("key", prefix)
        for name, value in headers.items():
            policy.add_equals_condition(name, value)
        policy.add_content_length_range_condition(*size_bytes)
        return {**headers, **self._signer.presigned_post_policy(policy)}

    def _signed(self, method: str, key: str) -> str:
        return self._signer.get_presigned_url(method, self._bucket, key, expires=self._life)
