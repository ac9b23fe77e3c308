/**
 * The player's rules: a pure function of the state, an event and the time. No clock, no browser, no random numbers: `chance` is an
 * argument. Rule: a viewer's address changes only when the session is over or was given up. Every other failure is retried on the same
 * address.
 *
 * Times are milliseconds.
 */
import { nameOf } from "./codecs";
import type { Grant, PlayerState, Refusal, SessionEvent } from "./contract";

export const BEAT_MS = 10_000;
export const POLL_MS = 5_000;
/** While events are polled, the event stream is tried again this often. */
export const STREAM_AGAIN_MS = 60_000;
export const REST_MS = 600_000;
/** Asleep for longer than a playlist's window: what was missed is no longer listed. */
export const AWAY_MS = 30_000;
/** A session that was held for this time resets the count of failures. */
export const STEADY_MS = 30_000;
const RECOVERY_MS = 30_000;
const RECOVERIES = 2;
const STREAM_TRIES = 3;
const UNANSWERED = 2;
/** The channel was disabled or deleted: the picture ends now, and the buffer is not played to its end. */
export const NOT_PLAYABLE: Refusal = {
  type: "urn:hls-failover:problem:not-playable",
  title: "The channel cannot be played",
  status: 409,
};

export interface Core {
  readonly phase: PlayerState["phase"];
  readonly stream: PlayerState["stream"];
  readonly stuck: boolean;
  readonly source: string | null;
  readonly refusal: Refusal | null;
  readonly grant: Grant | null;
  /** The address that is loaded. It stays after its session's end until another session plays. */
  readonly loaded: string | null;
  readonly granted_at: number;
  /** Whether a session is being requested, and how many requests in a row have failed. */
  readonly asking: boolean;
  readonly failures: number;
  readonly ask_at: number | null;
  readonly beat_at: number | null;
  /** Heartbeats in a row without an answer. */
  readonly unanswered: number;
  /** The last event that was seen. */
  readonly seen: number;
  readonly hearing: boolean;
  /** Event streams in a row that did not open. */
  readonly deaf: number;
  readonly listen_at: number | null;
  readonly stream_again_at: number;
  readonly reload_at: number | null;
  readonly reloads: number;
  readonly recovered_at: readonly number[];
  readonly paused_at: number | null;
  readonly frozen_at: number | null;
}

export const FIRST: Core = {
  phase: "starting",
  stream: "live",
  stuck: false,
  source: null,
  refusal: null,
  grant: null,
  loaded: null,
  granted_at: 0,
  asking: false,
  failures: 0,
  ask_at: null,
  beat_at: null,
  unanswered: 0,
  seen: 0,
  hearing: false,
  deaf: 0,
  listen_at: null,
  stream_again_at: 0,
  reload_at: null,
  reloads: 0,
  recovered_at: [],
  paused_at: null,
  frozen_at: null,
};

/** What has happened. An answer about a session names it, so that one that comes too late is ignored. */
export type Input =
  | { readonly type: "start" | "tick" | "retry" | "close" }
  | { readonly type: "granted"; readonly grant: Grant }
  | { readonly type: "refused"; readonly refusal: Refusal }
  | { readonly type: "renewed" | "over" | "unanswered"; readonly session: string }
  | { readonly type: "event"; readonly session: string; readonly event: SessionEvent }
  /** The event stream is open or closed; a poll for events has succeeded or failed. */
  | { readonly type: "heard" | "deaf" | "polled" | "unpolled"; readonly session: string }
  /** The picture moves; has stood still for long; was played to its end; cannot be played. */
  | { readonly type: "picture" | "stuck" | "drained" }
  | { readonly type: "failed"; readonly of: "network" | "media" }
  /** The browser has no decoder for it. */
  | { readonly type: "undecodable"; readonly codecs: string }
  /** By the viewer. */
  | { readonly type: "paused" | "resumed" }
  /** The page was suspended and has resumed; it is visible, or online, again. */
  | { readonly type: "frozen" | "thawed" | "awake" };

/** Effects for the caller to carry out. */
export type Effect =
  | { readonly do: "ask" | "recover" | "stop" | "deafen" | "to_live" }
  | { readonly do: "play" | "reload"; readonly url: string }
  | { readonly do: "beat" | "leave"; readonly grant: Grant }
  | { readonly do: "listen" | "poll"; readonly grant: Grant; readonly after: number }
  | { readonly do: "reattached"; readonly grant: Grant };

export interface Step {
  readonly next: Core;
  readonly effects: readonly Effect[];
}

/** When `step` is to be called again without an event; null: nothing is due. */
export function wakeAt(core: Core): number | null {
  const times = [core.ask_at, core.beat_at, core.listen_at, core.reload_at, restAt(core)].filter((at) => at !== null);
  return times.length ? Math.min(...times) : null;
}

/** `chance` in [0, 1) is jitter: a thousand players that fail at the same time do not retry at the same time. */
export function step(core: Core, input: Input, now: number, chance: number): Step {
  if (core.phase === "closed" || isStale(core, input)) return same(core);
  switch (input.type) {
    case "start":
    case "retry":
      return core.asking ? same(core) : ask({ ...core, failures: 0 });
    case "tick":
      return ticked(core, now, chance);
    case "close":
      return gone(core, "closed");
    case "granted":
      return granted(core, input.grant, now, chance);
    case "refused":
      return refused(core, input.refusal, now, chance);
    case "renewed":
      return same({ ...core, unanswered: 0, failures: now - core.granted_at >= STEADY_MS ? 0 : core.failures });
    case "unanswered":
      return same({ ...core, unanswered: core.unanswered + 1, beat_at: now + BEAT_MS * (0.75 + chance / 2) });
    case "over":
      return lost(core, { title: "The session is over", status: 409 }, now, chance);
    case "event":
      return told(core, input.event, now, chance);
    case "heard":
      return same({ ...core, hearing: true, deaf: 0, listen_at: null, unanswered: 0 });
    case "deaf":
      return deafened(core, now, chance);
    case "polled": {
      const again = now >= core.stream_again_at;
      return same({ ...core, unanswered: 0, listen_at: now + POLL_MS, deaf: again ? STREAM_TRIES - 1 : core.deaf });
    }
    case "unpolled":
      return same({ ...core, deaf: core.deaf + 1, listen_at: now + backoff(core.deaf, 2000, 30_000, chance) });
    case "picture":
      return same({ ...core, stuck: false, reloads: 0, reload_at: null });
    case "stuck":
      return stuck(core, now, chance);
    case "drained":
      return lost(core, { title: "The programme has ended", status: 409 }, now, chance);
    case "failed":
      return failed(core, input.of, now, chance);
    case "undecodable":
      return undecodable(core, input.codecs);
    case "paused":
      return same({ ...core, paused_at: core.paused_at ?? now });
    case "resumed":
      return resumed({ ...core, paused_at: null }, now - (core.paused_at ?? now));
    case "frozen":
      return { next: { ...core, frozen_at: now, hearing: false, listen_at: null }, effects: [{ do: "deafen" }] };
    case "thawed":
      return thawed({ ...core, frozen_at: null }, now, now - (core.frozen_at ?? now));
    case "awake":
      return thawed(core, now, 0);
  }
}

/** Exponential backoff with a maximum, and jitter over its upper half. */
export function backoff(failures: number, first_ms: number, longest_ms: number, chance: number): number {
  return Math.min(longest_ms, first_ms * 2 ** Math.min(failures, 16)) * (0.5 + chance / 2);
}

/** Nothing of the channel may be shown, not even what is buffered. */
export function isOff(refusal: Refusal | null): boolean {
  return refusal?.type === NOT_PLAYABLE.type;
}

/** The state that the page reads. */
export function reachable(core: Core): boolean {
  return core.unanswered < UNANSWERED && core.refusal?.status !== 0;
}

const same = (next: Core): Step => ({ next, effects: [] });

const ask = (core: Core): Step => ({
  next: { ...core, asking: true, ask_at: null, phase: core.phase === "playing" ? "playing" : "starting" },
  effects: [{ do: "ask" }],
});

function isStale(core: Core, input: Input): boolean {
  return "session" in input && input.session !== core.grant?.id;
}

function restAt(core: Core): number | null {
  return core.paused_at !== null && core.phase === "playing" ? core.paused_at + REST_MS : null;
}

function ticked(core: Core, now: number, chance: number): Step {
  const due = (at: number | null) => at !== null && at <= now;
  const { grant } = core;
  if (due(restAt(core))) return gone(core, "resting");
  let next = core;
  const effects: Effect[] = [];
  if (due(core.ask_at) && !core.asking) {
    next = { ...next, asking: true, ask_at: null, phase: "starting" };
    effects.push({ do: "ask" });
  }
  if (grant && due(core.beat_at)) {
    next = { ...next, beat_at: now + BEAT_MS * (0.9 + chance / 5) };
    effects.push({ do: "beat", grant });
  }
  if (grant && due(core.listen_at)) {
    next = { ...next, listen_at: null };
    effects.push({ do: core.deaf < STREAM_TRIES ? "listen" : "poll", grant, after: core.seen });
  }
  if (due(core.reload_at) && core.loaded) {
    next = { ...next, reload_at: null };
    effects.push({ do: "reload", url: core.loaded });
  }
  return { next, effects };
}

function granted(core: Core, grant: Grant, now: number, chance: number): Step {
  if (!core.asking) return grant.id === core.grant?.id ? same(core) : { next: core, effects: [{ do: "leave", grant }] };
  if (grant.phase === "requested" || grant.phase === "starting") {
    // It is still being started; another request gets the same session.
    const later = now + backoff(0, 1000, 1000, chance);
    return same({ ...core, grant, asking: false, ask_at: later, beat_at: null, refusal: null });
  }
  const again = core.loaded !== null;
  const unchanged = core.loaded === grant.playlist_url;
  const next: Core = {
    ...core,
    grant,
    phase: "playing",
    stream: grant.phase === "unavailable" ? "unavailable" : "live",
    source: grant.source_id ?? null,
    refusal: null,
    loaded: grant.playlist_url,
    granted_at: now,
    asking: false,
    ask_at: null,
    beat_at: now + BEAT_MS * (0.9 + chance / 5),
    unanswered: 0,
    seen: unchanged ? core.seen : 0,
    hearing: false,
    deaf: 0,
    listen_at: null,
    stream_again_at: now + STREAM_AGAIN_MS,
    reload_at: null,
    reloads: 0,
    stuck: false,
  };
  const effects: Effect[] = [
    { do: unchanged ? "reload" : "play", url: grant.playlist_url },
    { do: "listen", grant, after: next.seen },
  ];
  return { next, effects: again && !unchanged ? [...effects, { do: "reattached", grant }] : effects };
}

/** Where a retry cannot help, the page says so; otherwise retries follow with growing delays. */
function refused(core: Core, refusal: Refusal, now: number, chance: number): Step {
  if (!core.asking) return same(core);
  const next: Core = { ...core, refusal, asking: false, failures: core.failures + 1, grant: null, beat_at: null };
  if ([400, 401, 403, 404, 422].includes(refusal.status)) {
    return { next: { ...next, phase: "refused", loaded: null }, effects: [{ do: "deafen" }, { do: "stop" }] };
  }
  // 409: the channel is disabled or has no source. Only the operator can change that, so retries are rare.
  const effects: Effect[] = isOff(refusal) ? [{ do: "deafen" }, { do: "stop" }] : [{ do: "deafen" }];
  const loaded = isOff(refusal) ? null : core.loaded;
  const first_ms = refusal.status === 409 ? 10_000 : 1500;
  const asked_ms = (refusal.retry_after_s ?? 0) * 1000 * (1 + chance / 4);
  const wait_ms = Math.max(asked_ms, backoff(core.failures, first_ms, 60_000, chance));
  return { next: { ...next, phase: "retrying", loaded, ask_at: now + wait_ms }, effects };
}

/** The session is over. The buffer plays on, unless the channel is disabled; a paused player requests no other session. */
function lost(core: Core, refusal: Refusal, now: number, chance: number): Step {
  if (core.phase !== "playing") return same(core);
  const off = isOff(refusal);
  if (core.paused_at !== null) {
    const { next, effects } = gone({ ...core, grant: null }, "resting");
    return { next: { ...next, refusal: off ? refusal : null }, effects };
  }
  const wait_ms = backoff(core.failures, 1000, 60_000, chance);
  const next: Core = { ...forgotten(core), phase: "retrying", refusal, failures: core.failures + 1, ask_at: now + wait_ms };
  return off
    ? { next: { ...next, loaded: null }, effects: [{ do: "deafen" }, { do: "stop" }] }
    : { next, effects: [{ do: "deafen" }] };
}

/** A session's codec never changes, so waiting is useless: the session is given up, which frees its place. */
function undecodable(core: Core, codecs: string): Step {
  if (core.loaded === null) return same(core);
  const { next, effects } = gone(core, "refused");
  const refusal = { title: `This browser cannot play ${nameOf(codecs)}`, status: 415, codecs };
  return { next: { ...next, refusal }, effects };
}

/** Gives the session up: closed by the viewer, paused for long, or not playable here. */
function gone(core: Core, phase: "closed" | "resting" | "refused"): Step {
  const leave: Effect[] = core.grant ? [{ do: "leave", grant: core.grant }] : [];
  const next: Core = { ...forgotten(core), phase, asking: false, ask_at: null, loaded: null, refusal: null };
  return { next, effects: [{ do: "deafen" }, ...leave, { do: "stop" }] };
}

function forgotten(core: Core): Core {
  return { ...core, grant: null, beat_at: null, listen_at: null, reload_at: null, hearing: false, seen: 0, stuck: false };
}

/** A switch needs no action. */
function told(core: Core, event: SessionEvent, now: number, chance: number): Step {
  if (event.id <= core.seen) return same(core);
  const next: Core = { ...core, seen: event.id };
  switch (event.type) {
    case "session.live":
      return same({ ...next, stream: "live", source: event.source ?? core.source });
    case "stream.switch":
    case "stream.recovered":
      return same({ ...next, stream: "live", source: event.to ?? event.source ?? core.source });
    case "stream.unavailable":
      return same({ ...next, stream: event.slate ? "slate" : "unavailable" });
    case "session.ended": {
      if (event.reason === "channel_disabled") return lost(next, NOT_PLAYABLE, now, chance);
      const detail = event.reason ? { detail: event.reason } : {};
      const sources = event.sources ? { sources: event.sources } : {};
      return lost(next, { title: "The session has ended", status: 409, ...detail, ...sources }, now, chance);
    }
    default:
      return same(next); // of a later version of the API
  }
}

/** A stream that does not open may mean that the session is over: that is checked once, then events are polled. */
function deafened(core: Core, now: number, chance: number): Step {
  const { grant } = core;
  if (!grant) return same(core);
  const listen_at = now + backoff(core.deaf, 1000, 30_000, chance);
  const stream_again_at = core.deaf + 1 >= STREAM_TRIES ? now + STREAM_AGAIN_MS : core.stream_again_at;
  const next: Core = { ...core, hearing: false, deaf: core.deaf + 1, listen_at, stream_again_at };
  return { next, effects: core.deaf === 0 ? [{ do: "deafen" }, { do: "beat", grant }] : [{ do: "deafen" }] };
}

/** While no source works nothing can come; once one does, the same address is loaded again. */
function stuck(core: Core, now: number, chance: number): Step {
  if (core.phase !== "playing" || !core.grant) return same(core);
  const next: Core = { ...core, stuck: true };
  const beat: Effect = { do: "beat", grant: core.grant };
  if (core.stream === "unavailable" || core.reload_at !== null) return { next, effects: [beat] };
  const reload_at = now + backoff(core.reloads, 500, 15_000, chance);
  return { next: { ...next, reload_at, reloads: core.reloads + 1 }, effects: [beat] };
}

/** A decoder is set up again at once, a bounded number of times; after a network failure the same address is tried again, and at the
 * same time the session is checked. */
function failed(core: Core, of: "network" | "media", now: number, chance: number): Step {
  const { grant } = core;
  if (!grant) return same(core); // of a session that is over; another one is asked for
  const recent = core.recovered_at.filter((at) => now - at < RECOVERY_MS);
  if (of === "media" && recent.length < RECOVERIES) {
    return { next: { ...core, recovered_at: [...recent, now] }, effects: [{ do: "recover" }] };
  }
  const reload_at = core.reload_at ?? now + backoff(core.reloads, 1000, 15_000, chance);
  return { next: { ...core, reload_at, reloads: core.reloads + 1 }, effects: [{ do: "beat", grant }] };
}

function resumed(core: Core, away_ms: number): Step {
  if (core.phase === "resting") return ask({ ...core, failures: 0 });
  return away_ms > AWAY_MS && core.phase === "playing" ? { next: core, effects: [{ do: "to_live" }] } : same(core);
}

function thawed(core: Core, now: number, away_ms: number): Step {
  const { grant } = core;
  if (core.phase === "retrying" && core.refusal?.status === 0 && !core.asking) return ask(core);
  if (!grant || core.phase !== "playing") return same(core);
  const effects: Effect[] = [{ do: "beat", grant }];
  if (away_ms > AWAY_MS && core.paused_at === null) effects.push({ do: "to_live" });
  return { next: core.hearing ? core : { ...core, deaf: 0, listen_at: now }, effects };
}
