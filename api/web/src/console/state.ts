/** The console's whole state, and pure functions that change it. Objects that have not changed are kept, so that their rows are not
 * drawn again. */

import type { WireChannel, WireEvent, WireFullProvider, WireOverview, WireSession, WireSource } from "./wire";

export type Source = WireSource;
export type Channel = WireChannel;
export type Session = WireSession;

export interface State {
  readonly at: string;
  readonly version: string;
  readonly public_url: string;
  readonly draining_since: string | null;
  readonly orchestrator_seen_at: string | null;
  readonly orchestrator_runs: boolean;
  readonly store_answers: boolean;
  readonly full_providers: readonly WireFullProvider[];
  /** The newest event that is in here. */
  readonly cursor: number;
  readonly channels: ReadonlyMap<string, Channel>;
  readonly sessions: ReadonlyMap<string, Session>;
  /** Why each session is where it is, as far as an event has said so. */
  readonly reasons: ReadonlyMap<string, string>;
  /** Unended sessions of each channel. */
  readonly of_channel: ReadonlyMap<string, readonly string[]>;
  /** Which channel a source is of. */
  readonly channel_of: ReadonlyMap<string, string>;
  /** The newest events of the deployment, newest first. */
  readonly recent: readonly WireEvent[];
}

export const SLATE = "slate";
const RECENT = 100;
/** From the best to the worst: the letter of a quarter hour only ever gets worse. */
const LETTERS = "?.gasr";

export const EMPTY: State = {
  at: "",
  version: "",
  public_url: "",
  draining_since: null,
  orchestrator_seen_at: null,
  orchestrator_runs: false,
  store_answers: false,
  full_providers: [],
  cursor: 0,
  channels: new Map(),
  sessions: new Map(),
  reasons: new Map(),
  of_channel: new Map(),
  channel_of: new Map(),
  recent: [],
};

/** The state after an overview; equal objects are kept. An overview whose cursor is behind the newest event leaves the sessions as
 * they are. */
export function loaded(before: State, overview: WireOverview): State {
  const overtaken = overview.cursor < before.cursor;
  const channels = merged(before.channels, overview.channels);
  const sessions = overtaken ? before.sessions : merged(before.sessions, overview.sessions);
  return {
    at: overview.at,
    version: overview.version,
    public_url: overview.public_url,
    draining_since: overview.draining_since,
    orchestrator_seen_at: overview.orchestrator.seen_at,
    orchestrator_runs: overview.orchestrator.runs,
    store_answers: overview.store_answers,
    full_providers: overview.full_providers,
    cursor: Math.max(before.cursor, overview.cursor),
    channels,
    sessions,
    reasons: kept(before.reasons, sessions),
    of_channel: sessions === before.sessions ? before.of_channel : byChannel(sessions),
    channel_of: channels === before.channels ? before.channel_of : owners(channels),
    recent: before.recent,
  };
}

/** The state after events, oldest first. Events that the overview has already seen are only listed. */
export function happened(before: State, events: readonly WireEvent[]): State {
  let { cursor } = before;
  const known = new Set(before.recent.map((event) => event.id));
  const sessions = new Map(before.sessions);
  const reasons = new Map(before.reasons);
  const channels = new Map(before.channels);
  const recent: WireEvent[] = [];
  for (const event of events) {
    if (!known.has(event.id)) recent.unshift(event);
    known.add(event.id);
    if (event.id <= cursor) continue;
    cursor = event.id;
    const session = sessions.get(event.session_id);
    if (session === undefined) continue; // the next overview brings it
    const after = moved(session, event);
    if (after === null) sessions.delete(session.id);
    else sessions.set(session.id, after);
    if (event.reason && after !== null && event.type !== "switch.refused") reasons.set(session.id, event.reason);
    if (session.source_id !== after?.source_id) {
      used(channels, before.channel_of, session.source_id, -1);
      used(channels, before.channel_of, after?.source_id ?? null, 1);
    }
    worsen(channels, session.channel_id, letterOf(event));
  }
  if (recent.length === 0 && cursor === before.cursor) return before;
  return {
    ...before,
    cursor,
    channels,
    sessions,
    reasons,
    of_channel: sessions.size === before.sessions.size ? before.of_channel : byChannel(sessions),
    recent: [...recent, ...before.recent].toSorted((a, b) => b.id - a.id).slice(0, RECENT),
  };
}

/** Whether an event is of a session that is not known here, so that an overview is needed. */
export function isNews(state: State, event: WireEvent): boolean {
  return event.id > state.cursor && event.type !== "session.ended" && !state.sessions.has(event.session_id);
}

/** A channel as the operator has just changed it, before the server has confirmed it. */
export function edited(before: State, id: string, change: Partial<Channel>): State {
  const channel = before.channels.get(id);
  return channel === undefined ? before : { ...before, channels: new Map(before.channels).set(id, { ...channel, ...change }) };
}

/** A channel that the operator has deleted. */
export function removed(before: State, id: string): State {
  const channels = new Map(before.channels);
  return channels.delete(id) ? { ...before, channels } : before;
}

/** The same for one source of a channel. */
export function editedSource(before: State, channel_id: string, id: string, change: Partial<Source>): State {
  const channel = before.channels.get(channel_id);
  if (channel === undefined) return before;
  return edited(before, channel_id, {
    sources: channel.sources.map((source) => (source.id === id ? { ...source, ...change } : source)),
  });
}

/** The session after an event; null where it has ended. */
function moved(session: Session, event: WireEvent): Session | null {
  switch (event.type) {
    case "session.ended":
      return null;
    case "switch.refused":
      return session;
    case "stream.unavailable":
      return {
        ...session,
        phase: "unavailable",
        shown: event.slate ? "slate" : "nothing",
        source_id: event.slate ? SLATE : null,
      };
    case "session.live":
      return {
        ...session,
        phase: "live",
        shown: "source",
        source_id: event.source ?? session.source_id,
        attempt: event.attempt ?? session.attempt,
        live_at: session.live_at ?? event.at,
      };
    case "stream.switch":
    case "stream.recovered":
      return {
        ...session,
        phase: "live",
        shown: "source",
        source_id: event.to ?? session.source_id,
        attempt: event.attempt ?? session.attempt,
        attempt_started_at: event.at,
        live_at: session.live_at ?? event.at,
      };
  }
}

function letterOf(event: WireEvent): string {
  switch (event.type) {
    case "session.live":
      return "g";
    case "stream.switch":
    case "stream.recovered":
      return "a";
    case "stream.unavailable":
      return event.slate ? "s" : "r";
    case "switch.refused":
    case "session.ended":
      return ".";
  }
}

function worsen(channels: Map<string, Channel>, id: string, letter: string): void {
  const channel = channels.get(id);
  if (channel === undefined) return;
  const last = channel.strip.at(-1) ?? ".";
  if (LETTERS.indexOf(letter) > LETTERS.indexOf(last)) {
    channels.set(id, { ...channel, strip: channel.strip.slice(0, -1) + letter });
  }
}

function used(channels: Map<string, Channel>, owners: ReadonlyMap<string, string>, source_id: string | null, by: number): void {
  const channel = source_id === null ? undefined : channels.get(owners.get(source_id) ?? "");
  if (channel === undefined) return;
  const sources = channel.sources.map((each) =>
    each.id === source_id ? { ...each, in_use: Math.max(0, each.in_use + by) } : each,
  );
  channels.set(channel.id, { ...channel, sources });
}

function byChannel(sessions: ReadonlyMap<string, Session>): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, string[]>();
  for (const session of sessions.values()) {
    const ids = found.get(session.channel_id);
    if (ids === undefined) found.set(session.channel_id, [session.id]);
    else ids.push(session.id);
  }
  return found;
}

function owners(channels: ReadonlyMap<string, Channel>): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const channel of channels.values()) for (const source of channel.sources) found.set(source.id, channel.id);
  return found;
}

function kept(reasons: ReadonlyMap<string, string>, sessions: ReadonlyMap<string, Session>): ReadonlyMap<string, string> {
  const left = [...reasons].filter(([id]) => sessions.has(id));
  return left.length === reasons.size ? reasons : new Map(left);
}

/** A map of `rows` in their order, with the objects of `before` wherever they are equal; `before` itself where all are. */
function merged<Row extends { readonly id: string }>(
  before: ReadonlyMap<string, Row>,
  rows: readonly Row[],
): ReadonlyMap<string, Row> {
  const after = new Map<string, Row>();
  let same = before.size === rows.length;
  for (const row of rows) {
    const old = before.get(row.id);
    const equal = old !== undefined && isEqual(old, row);
    same &&= equal;
    after.set(row.id, equal ? old : row);
  }
  return same ? before : after;
}

/** Of JSON values. */
export function isEqual(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  const names = Object.keys(a);
  if (names.length !== Object.keys(b).length) return false;
  return names.every((name) => isEqual((a as Record<string, unknown>)[name], (b as Record<string, unknown>)[name]));
}
