"""Canary under the private prefixes: do orders and reports work in this store, and can nobody else read them?

Orders contain the addresses of sources with their passwords. So nothing is concluded from the bucket's policy: an object is
written under each prefix as the orchestrator or an agent writes it, and is then read without a signature, at the store and
where viewers read.
"""

from __future__ import annotations

import secrets
from typing import Any

import urllib3

from orchestrator.adapters.s3.store_conformance import ConformanceObjects, Target, words
from orchestrator.ports import PrivateReport
from transcoder import bucket


def examine(http: urllib3.PoolManager, target: Target, objects: ConformanceObjects) -> PrivateReport:
    """Runs the check. Blocks. Raises urllib3's errors where the store does not answer."""
    canary = secrets.token_hex(16).encode()
    form: dict[str, Any] = {
        **target.post_report_fields(objects.session_id),
        "key": objects.report,
        "file": ("report.json", canary, bucket.REPORT_HEADERS["Content-Type"]),
    }
    stored = {
        bucket.ORDERS: http.request("PUT", target.signed("PUT", objects.orders), body=canary, headers=bucket.ORDERS_HEADERS),
        bucket.INBOX: http.request("POST", target.url(), fields=form),
    }
    readable: list[str] = []
    unwritable: dict[str, str] = {}
    for prefix, key in ((bucket.ORDERS, objects.orders), (bucket.INBOX, objects.report)):
        if stored[prefix].status not in (200, 201, 204):
            unwritable[prefix] = words(stored[prefix])
            continue
        own = http.request("GET", target.signed("GET", key))
        if own.status != 200 or own.data != canary:
            unwritable[prefix] = words(own)
        # An answer of 200 may be a page that says that there is nothing: what counts is whether the canary is in it.
        if any(canary in each for each in _unsigned(http, target, key)):
            readable.append(prefix)
    return PrivateReport(readable=tuple(readable), unwritable=unwritable)


def _unsigned(http: urllib3.PoolManager, target: Target, key: str) -> list[bytes]:
    """What is answered without a signature: by the store, and by the CDN. Of a CDN that cannot be reached from here nothing is
    known, which is no finding."""
    answers = [http.request("GET", target.url(key)).data]
    if (url := target.origin(key)) is not None:
        try:
            answers.append(http.request("GET", url).data)
        except urllib3.exceptions.HTTPError:
            pass
    return answers
