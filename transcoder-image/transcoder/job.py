"""The job that the orchestrator gives the agent: one JSON document in the environment variable TRANSCODER_JOB.

Rule: nothing of a job is used before all of it has been checked. What is unknown, missing or of the wrong type makes a bad job,
and so does a source whose scheme could read files or anything else but a network (`transcoder.input`).
"""

from json import loads
from typing import Literal, NamedTuple

from transcoder import bucket
from transcoder.fields import BadDocument, Fields
from transcoder.input import Input, SlateInput, read_expected, read_source
from transcoder.orders import Orders, read_orders

CONTRACT = 2
"""The version of the contract between orchestrator and agent: 2 has orders and reports. It is a label of the image; an image
without the label understands 1, which has neither."""

Profile = Literal["copy", "h264"]
Hevc = Literal["copy", "h264"]  # what is done with HEVC where a session begins with it


class BadJob(ValueError):
    """The document is not a job; the message names the field."""


class PostPolicy(NamedTuple):
    """A POST policy: where to post objects to, with which form fields, under which key prefix."""

    url: str
    fields: dict[str, str]
    prefix: str


class SignedUrls(NamedTuple):
    """The signed addresses of one object."""

    get: str
    put: str


class Job(NamedTuple):
    """What one attempt is to do; docs/agent.md says what each field means. `first`: the input to begin with. `orders`,
    `reports` and `orders_get` are None where the job has no orders: then the attempt plays `first` alone, and its exit code
    tells how that ended."""

    session: str
    attempt: int
    first: Input
    orders: Orders | None
    profile: Profile
    hevc: Hevc
    segment_s: float
    target_duration_s: int
    window_s: float
    backlog_segments: int  # of an HLS source: how many of its newest segments to begin with
    start_limit_s: float
    stall_limit_s: float
    store_limit_s: float
    segments: PostPolicy
    index_playlist: SignedUrls
    main_playlist: SignedUrls
    log_put: str
    reports: PostPolicy | None
    orders_get: str | None

    @property
    def store_urls(self) -> tuple[str, ...]:
        """Every address of the store."""
        return (
            *(self.segments.url, *self.index_playlist, *self.main_playlist, self.log_put),
            *((self.reports.url,) if self.reports else ()),
            *((self.orders_get,) if self.orders_get else ()),
        )


def parse(text: str) -> Job:
    """Reads a job. Raises BadJob, whose message names the field and never quotes a value (it may be a secret)."""
    try:
        return _job(Fields(loads(text)))
    except BadDocument as error:
        raise BadJob(str(error)) from error
    except (ValueError, RecursionError) as error:
        raise BadJob(f"not JSON: {error}") from error


def _job(root: Fields) -> Job:
    store = root.object("store")
    playlists, log = store.object("playlists"), store.object("log")
    orders = _orders(root)
    job = Job(
        session=root.name("session"),
        attempt=root.whole("attempt", 1, 10**9),
        first=_only_input(root) if orders is None else _first(orders),
        orders=orders,
        profile=_profile(root, "profile"),
        hevc=_profile(root, "hevc") if root.has("hevc") else "copy",
        segment_s=root.number("segment_s", 0.5, 30),
        target_duration_s=root.whole("target_duration_s", 1, 60),
        window_s=root.number("window_s", 1, 6 * 3600),
        backlog_segments=root.whole("backlog_segments", 1, 100),
        start_limit_s=root.number("start_limit_s", 0.1, 600),
        stall_limit_s=root.number("stall_limit_s", 0.1, 600),
        store_limit_s=root.number("store_limit_s", 0.1, 24 * 3600),
        segments=_policy(store, "segments"),
        index_playlist=_signed(playlists, "index"),
        main_playlist=_signed(playlists, "main"),
        log_put=log.http("put"),
        reports=None if orders is None else _policy(store, "reports"),
        orders_get=None if orders is None else _get(store, "orders"),
    )
    for fields in (root, store, playlists, log):
        fields.done()
    if job.segment_s > job.target_duration_s:
        raise BadJob("segment_s is longer than target_duration_s")
    if job.segments.prefix != bucket.segments_prefix(job.session, job.attempt):
        raise BadJob("store.segments.prefix is not this session's and attempt's")
    if job.reports is not None and job.reports.prefix != bucket.reports_prefix(job.session, job.attempt):
        raise BadJob("store.reports.prefix is not this session's and attempt's")
    return job


def _orders(root: Fields) -> Orders | None:
    """The job has orders, or the one input itself."""
    return read_orders(root.object("orders")) if root.has("orders") else None


def _first(orders: Orders) -> Input:
    first = None if orders.play is None else orders.input(orders.play.input)
    if first is None:
        raise BadJob("orders.play is missing")
    return first


def _only_input(root: Fields) -> Input:
    source = read_source(root)
    return Input(
        id="slate" if isinstance(source, SlateInput) else "",
        provider="",
        source=source,
        expected=read_expected(root),
        # An orchestrator of an earlier release does not send these.
        cadence_s=root.optional("cadence_s", 0, 24 * 3600),
        last_resort=root.has("last_resort") and root.flag("last_resort"),
    )


def _profile(fields: Fields, name: str) -> Literal["copy", "h264"]:
    match fields.text(name):
        case "copy":
            return "copy"
        case "h264":
            return "h264"
        case _:
            raise fields.fault(name, " is neither copy nor h264")


def _policy(store: Fields, name: str) -> PostPolicy:
    fields = store.object(name)
    policy = PostPolicy(fields.http("url"), fields.texts("fields"), fields.text("prefix"))
    fields.done()
    return policy


def _signed(playlists: Fields, name: str) -> SignedUrls:
    fields = playlists.object(name)
    address = SignedUrls(fields.http("get"), fields.http("put"))
    fields.done()
    return address


def _get(store: Fields, name: str) -> str:
    fields = store.object(name)
    url = fields.http("get")
    fields.done()
    return url
