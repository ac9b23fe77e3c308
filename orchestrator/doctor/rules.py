"""The doctor's rules: pure functions from facts to findings. gathering.py collects the facts.

Law: no finding follows from a part that did not answer (law 3); then the finding is that it did not answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from orchestrator.app.settings import PREFIX
from orchestrator.control.presence import is_running
from orchestrator.doctor.container_rules import confirmed, passing
from orchestrator.doctor.facts import Facts
from orchestrator.doctor.finding import Finding, Level
from orchestrator.ports import EngineReport, PrivateReport, StoreReport
from transcoder import bucket

SKEW_S: Final = 5.0  # viewers notice a swap between machines whose clocks differ by so much
SIGNATURE_LEFT: Final = 0.1  # of a signature's life; it is renewed when 0.2 of it are left
PROBLEMATIC_S: Final = 3600.0
REFUSED_JOBS_S: Final = 24 * 3600.0
REPORTS_S: Final = 150.0  # a report that nobody knows is deleted after a minute, and clocks may differ by seconds
REFUSED_S: Final = 120.0  # Docker restarts a container that ends at once after a minute, at the longest
_LATE_S: Final = 60.0  # what is so much later than it should be does not happen by itself
_DISK_SHARE: Final = 0.05
_DISK_BYTES: Final = 2 << 30


def findings(facts: Facts) -> tuple[Finding, ...]:
    """All findings; what is wrong comes before what is only worth knowing."""
    found = [*_parts(facts), *_settings(facts)]
    if isinstance(facts.store, StoreReport):
        found += _store(facts.store)
        found += _input_switches(facts, facts.store.private)
    if isinstance(facts.engine, EngineReport):
        found += _engine(facts, facts.engine)
    found += _host(facts)
    if facts.database_fault is None and facts.schema == facts.expected_schema:
        found += [*_orchestrators(facts), *_rows(facts)]
    if facts.first is not None and facts.second is not None:
        found += confirmed(passing(facts.first, facts.settings), passing(facts.second, facts.settings))
    return tuple(sorted(found, key=lambda finding: finding.level is not Level.WRONG))


def healthy(found: Sequence[Finding]) -> bool:
    return not any(finding.level is Level.WRONG for finding in found)


# --- parts ------------------------------------------------------------------------------------------------------------


def _parts(facts: Facts) -> Iterator[Finding]:
    if facts.database_fault is not None:
        yield Finding(
            check="database",
            what=f"the database does not answer: {facts.database_fault}",
            remedy=f"start it, or correct {PREFIX}DATABASE_URL; running sessions go on playing meanwhile",
        )
    elif facts.schema != facts.expected_schema:
        yield Finding(
            check="schema",
            what=f"the database is at migration {facts.schema or 'none'}, this release's is {facts.expected_schema}",
            remedy="run `failover migrate` of the newest release, then start every process in that release",
        )
    if facts.bus_fault is not None:
        yield Finding(
            check="redis",
            what=f"Redis does not answer: {facts.bus_fault}",
            remedy=f"start it, or correct {PREFIX}REDIS_URL; until then reactions take about a second longer",
        )
    if isinstance(facts.store, str):
        yield Finding(
            check="store",
            what=f"the object store does not answer: {facts.store}",
            remedy=f"start it, or correct {PREFIX}S3_ENDPOINT and its keys; agents wait for it, but only for a limited time",
        )
    if isinstance(facts.engine, str):
        yield Finding(
            check="engine",
            what=f"no container can be started: {facts.engine}",
            remedy="start the engine if it is down; if the image is missing, run `make image` or pull the image",
        )


def _settings(facts: Facts) -> Iterator[Finding]:
    if facts.unknown_variables:
        yield Finding(
            check="settings",
            what="environment variables that are not settings; every process refuses to start with them",
            remedy=f"unset them, or correct their names: .env.example lists every {PREFIX} variable",
            subjects=facts.unknown_variables,
        )
    if facts.runtime == "process":
        yield Finding(
            check="runtime",
            level=Level.NOTE,
            what="sessions run as child processes, which is for development only",
            remedy=f"give the orchestrator a Docker engine, and set {PREFIX}RUNTIME=docker",
        )


# --- the store --------------------------------------------------------------------------------------------------------


def _store(store: StoreReport) -> Iterator[Finding]:
    prepare = "restart the orchestrator with a key that may set it: it does so when it starts"
    if store.write_fault is not None:
        yield Finding(
            check="store-write",
            what=f"the store does not accept an object: {store.write_fault}",
            remedy="allow the key to write to the bucket, or free space in the store",
        )
        return  # nothing else could be tried
    if not (store.refuses_overwrite and store.refuses_stale and store.accepts_current):
        broken = ("If-None-Match" if not store.refuses_overwrite else "") or "If-Match"
        yield Finding(
            check="conditional-writes",
            what=f"the store does not honour {broken}: two attempts could overwrite each other's playlist",
            remedy="use a store with conditional writes (SeaweedFS is tested), and no proxy before it that drops the header",
        )
    if store.post_policy_fault is not None:
        yield Finding(
            check="post-policy",
            what=f"the store does not accept a segment by a signed POST policy: {store.post_policy_fault}",
            remedy="use a store with POST policies; compare the clocks; a proxy before it must not change the form",
        )
    missing = [prefix for prefix in bucket.PUBLIC_PREFIXES if prefix not in store.public]
    if store.post_policy_fault is not None and bucket.SEGMENTS in missing:
        missing.remove(bucket.SEGMENTS)  # no segment was stored, so none could be read
    if missing:
        yield Finding(
            check="bucket-policy",
            what=f"players cannot read {' and '.join(missing)}",
            remedy=f"the bucket's policy must allow s3:GetObject there for everybody, or for the CDN at origin_url: {prepare}",
        )
    if bucket.LOGS in store.public:
        yield Finding(
            check="private-logs",
            what=f"everybody may read {bucket.LOGS}",
            remedy=f"the bucket's policy must allow everybody to read {' and '.join(bucket.PUBLIC_PREFIXES)} only: {prepare}",
        )
    if store.listable:
        yield Finding(
            check="private-list",
            what="everybody may list the bucket, and so learn the address of every session",
            remedy=f"the bucket's policy must not allow s3:ListBucket for everybody: {prepare}",
        )
    if not store.cors:
        yield Finding(
            check="cors",
            what="the bucket has no CORS rule for players in web pages",
            remedy=f"allow GET and HEAD from any origin: {prepare}",
        )
    if store.clock_skew_s is not None and abs(store.clock_skew_s) > SKEW_S:
        yield Finding(
            check="store-clock",
            what=f"the store's clock is {_off(store.clock_skew_s)} of this machine's clock",
            remedy="synchronise both clocks (NTP): signatures and the programme clock depend on them",
        )


def _input_switches(facts: Facts, private: PrivateReport) -> Iterator[Finding]:
    """Orders and reports matter only where attempts are to switch inputs by themselves."""
    if facts.settings.input_switches == "off":
        return
    if private.readable:
        yield Finding(
            check="private-orders",
            what=f"everybody may read {' and '.join(private.readable)}: input switches are off, because orders name passwords",
            remedy=f"the bucket's and the CDN's rules must allow everybody to read {' and '.join(bucket.PUBLIC_PREFIXES)} only",
        )
    for prefix, answer in private.unwritable.items():
        yield Finding(
            check="orders-write",
            what=f"the store does not keep objects under {prefix}: {answer}; input switches are off",
            remedy=f"allow the key s3:GetObject, s3:PutObject and s3:DeleteObject on {bucket.ORDERS}* and {bucket.INBOX}*",
        )
    if facts.oldest_report_at is not None and (age_s := facts.now - facts.oldest_report_at) > REPORTS_S:
        yield Finding(
            check="reports-unread",
            what=f"the oldest report of an attempt has lain in {bucket.INBOX} unread for {_ago(age_s)}",
            remedy="a running orchestrator reads reports within seconds; if it runs, its log says what keeps it from doing so",
        )


# --- the engine and the machine ---------------------------------------------------------------------------------------


def _engine(facts: Facts, engine: EngineReport) -> Iterator[Finding]:
    if engine.clock_skew_s is not None and abs(engine.clock_skew_s) > SKEW_S:
        yield Finding(
            check="engine-clock",
            what=f"the engine's clock is {_off(engine.clock_skew_s)} of this machine's clock",
            remedy="synchronise both clocks (NTP): the programme clock depends on them",
        )
    if engine.image_revision and facts.agent_revision and engine.image_revision != facts.agent_revision:
        yield Finding(
            check="image-revision",
            what=f"the image {facts.settings.transcoder_image} contains the agent {engine.image_revision}, this release's is "
            f"{facts.agent_revision}",
            remedy="`make image` (or pull the release's image), then `failover sessions roll`",
        )


def _host(facts: Facts) -> Iterator[Finding]:
    for disk in facts.host.disks:
        if disk.free_bytes < max(_DISK_BYTES, _DISK_SHARE * disk.total_bytes):
            yield Finding(
                check="disk",
                what=f"{disk.path} has {disk.free_bytes / 2**30:.1f} GiB free of {disk.total_bytes / 2**30:.0f}",
                remedy="free space (old images: `docker image prune`), or use a larger disk",
            )
    available = facts.host.memory_available_bytes
    if available is not None and available < 2 * facts.settings.container_memory_mb * 2**20:
        yield Finding(
            check="memory",
            what=f"{available / 2**20:.0f} MiB of memory are available; a container may take "
            f"{facts.settings.container_memory_mb}",
            remedy="`failover drain on`, then end sessions or add memory; without memory the kernel kills processes",
        )


# --- rows -------------------------------------------------------------------------------------------------------------


def _orchestrators(facts: Facts) -> Iterator[Finding]:
    there = [row for row in facts.orchestrators if is_running(row, facts.now)]
    if not there:
        last = max((row.seen_at for row in facts.orchestrators), default=None)
        ever = "and none has ever run" if last is None else f"the last was seen {facts.now - last:.0f} s ago"
        yield Finding(
            check="orchestrator",
            what=f"no orchestrator runs, {ever}: sessions go on playing, but none starts, ends or fails over",
            remedy="start `failover orchestrator`; if it ends again, read its log",
        )
    elif len(there) > 1:
        yield Finding(
            check="orchestrators",
            what="more than one orchestrator runs and acts: one of them is of a release without the leader lease",
            remedy="stop all but one (one that was killed disappears from this list after some seconds)",
            subjects=tuple(f"{row.id} on {row.node}" for row in there),
        )
    refused = facts.leader.refused if facts.leader is not None else None
    if facts.leader is not None and refused is not None and refused.ago_s < REFUSED_S:
        yield Finding(
            check="second-orchestrator",
            what=f"another orchestrator was started on this database, and was refused {_ago(refused.ago_s)} ago, because "
            f"{facts.leader.id} on {facts.leader.node} acts",
            remedy="stop one of the two; each deployment needs a database of its own",
            subjects=(f"{refused.id} on {refused.node}",),
        )
    if facts.draining_since is not None:
        yield Finding(
            check="draining",
            level=Level.NOTE,
            what=f"the deployment has been draining for {_ago(facts.now - facts.draining_since)}: no new session starts",
            remedy="run `failover drain off` when that is over",
        )


def _rows(facts: Facts) -> Iterator[Finding]:
    settings = facts.settings
    failing = [each for each in facts.problematic if (each.problematic_since or facts.now) <= facts.now - PROBLEMATIC_S]
    if failing:
        yield Finding(
            check="sources",
            level=Level.NOTE,
            what=f"sources that have not worked for {_ago(PROBLEMATIC_S)} or longer",
            remedy="GET /v1/sources/{id} tells why; correct the address, or disable the source",
            subjects=tuple(f"{each.id} ({each.last_failure_reason})" for each in failing),
        )
    if facts.refused_jobs:
        yield Finding(
            check="bad-job",
            what=f"the agent refused jobs within the last {_ago(REFUSED_JOBS_S)}: a fault of this software, not of the sources",
            remedy="if the image is of another release: `make image` (or pull it), then `failover sessions roll`; "
            "otherwise report the field that is named here",
            subjects=tuple(dict.fromkeys(f"{each.source_id} ({each.end_reason})" for each in facts.refused_jobs)),
        )
    sessions = () if facts.first is None else facts.first.sessions
    expiring = [
        session.id
        for session in sessions
        if session.attempt is not None
        and session.attempt.started_at + settings.signature_s < facts.now + SIGNATURE_LEFT * settings.signature_s
    ]
    if expiring:
        yield Finding(
            check="signatures",
            what="sessions whose signed addresses are about to expire and have not been renewed",
            remedy="`failover sessions roll` renews them; a running orchestrator does so long before by itself",
            subjects=tuple(expiring),
        )
    long_ago = facts.now - settings.ended_retention_s - 2 * settings.retention_interval_s - _LATE_S
    orphans = sorted(each for each, at in facts.objects.items() if each not in facts.sessions_known and at < long_ago)
    if orphans:
        yield Finding(
            check="objects-without-row",
            what="the store contains objects of sessions that have no row",
            remedy="a running orchestrator deletes them; if it does not, its log says why",
            subjects=tuple(orphans),
        )


def _off(skew_s: float) -> str:
    return f"{abs(skew_s):.0f} s {'ahead' if skew_s > 0 else 'behind'}"


def _ago(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"
