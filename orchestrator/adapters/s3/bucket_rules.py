"""Creates the bucket; sets its read policy and CORS: anybody may read playlists and segments, and any page may.

Where the key has no right to set these rules (behind a CDN it may have the right to read and write objects only), they are left
as they are. The conformance check (store_conformance.py) then tells whether players can read.
"""

from __future__ import annotations

import io
import json
import logging

from minio.error import S3Error

from orchestrator.adapters.s3.connection import S3Connection
from transcoder import bucket

log = logging.getLogger(__name__)

# Players in any web page may read, and no page may write.
# https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketCors.html
_CORS = (
    b'<CORSConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><CORSRule>'
    b"<AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod><AllowedMethod>HEAD</AllowedMethod>"
    b"<AllowedHeader>*</AllowedHeader><ExposeHeader>ETag</ExposeHeader><MaxAgeSeconds>86400</MaxAgeSeconds>"
    b"</CORSRule></CORSConfiguration>"
)


def prepare(connection: S3Connection) -> None:
    """Creates the bucket where it is missing, and sets its rules. Safe to repeat. Blocks."""
    client, name = connection.client, connection.bucket
    if not client.bucket_exists(name):
        try:
            client.make_bucket(name)
        except S3Error as error:
            if error.code not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):  # another process was faster
                raise
    _open_to_players(connection)
    # The first write to a new SeaweedFS bucket takes 0.2 s, which is not to be the first viewer's. It also shows that the
    # store can be written to at all.
    client.put_object(name, bucket.PREPARED, io.BytesIO(b"1"), 1)
    client.remove_object(name, bucket.PREPARED)


def _open_to_players(connection: S3Connection) -> None:
    readable = [f"arn:aws:s3:::{connection.bucket}/{prefix}*" for prefix in bucket.PUBLIC_PREFIXES]
    statement = {"Effect": "Allow", "Principal": "*", "Action": ["s3:GetObject"], "Resource": readable}
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    try:
        connection.client.set_bucket_policy(connection.bucket, json.dumps(policy))
    except S3Error as error:
        if error.code != "AccessDenied":
            raise
        log.info(
            "store: this key may not set the policy and the CORS rules of the bucket %s; they are left as they are",
            connection.bucket,
        )
    else:
        connection.request_bucket("PUT", {"cors": ""}, _CORS)
