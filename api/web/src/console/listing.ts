/** The rows of the overview and their order: pure, from the state and the operator's filter. */

import type { Told } from "./deployment";
import { isTrouble, ofChannel, ofSession, rank, type Standing } from "./standing";
import type { Channel, Session, State } from "./state";

export type Order = "trouble" | "number" | "name" | "viewers";

export interface Choice {
  readonly search: string;
  readonly order: Order;
  readonly grouped: boolean;
  /** Only these; none: all. */
  readonly only: ReadonlySet<Standing>;
}

export type Row =
  | { readonly kind: "section"; readonly key: string; readonly title: string; readonly count: number }
  | { readonly kind: "channel"; readonly key: string; readonly id: string; readonly standing: Standing };

export type Counts = Readonly<Record<Standing, number>>;

/** Each channel's standing; the state is looked through once. */
export function standings(state: State): ReadonlyMap<string, Standing> {
  const found = new Map<string, Standing>();
  for (const channel of state.channels.values()) found.set(channel.id, ofChannel(channel, sessionsOf(state, channel.id)));
  return found;
}

export function sessionsOf(state: State, channel_id: string): readonly Session[] {
  const ids = state.of_channel.get(channel_id) ?? [];
  return ids.flatMap((id) => state.sessions.get(id) ?? []);
}

export function counts(of: ReadonlyMap<string, Standing>): Counts {
  const found: Record<Standing, number> = {
    off: 0,
    slate: 0,
    dead: 0,
    backup: 0,
    risk: 0,
    starting: 0,
    air: 0,
    idle: 0,
    disabled: 0,
  };
  for (const standing of of.values()) found[standing]++;
  return found;
}

export function channelRows(state: State, of: ReadonlyMap<string, Standing>, choice: Choice): readonly Row[] {
  const found = [...state.channels.values()].filter((channel) => {
    const standing = of.get(channel.id) ?? "idle";
    return (choice.only.size === 0 || choice.only.has(standing)) && matches(channel, choice.search);
  });
  const viewers = choice.order === "viewers" ? viewersOf(state) : new Map<string, number>();
  const standingOf = (channel: Channel): Standing => of.get(channel.id) ?? "idle";
  const compare = (a: Channel, b: Channel): number => {
    const first =
      choice.order === "trouble"
        ? rank(standingOf(a)) - rank(standingOf(b))
        : choice.order === "viewers"
          ? (viewers.get(b.id) ?? 0) - (viewers.get(a.id) ?? 0)
          : 0;
    return first || (choice.order === "name" ? byName(a, b) : byNumber(a, b));
  };
  found.sort(choice.grouped ? (a, b) => compareText(a.group ?? "\uffff", b.group ?? "\uffff") || compare(a, b) : compare);
  const sectionOf = choice.grouped
    ? (channel: Channel) => channel.group ?? "No group"
    : choice.order === "trouble"
      ? (channel: Channel) => SECTIONS[standingOf(channel)]
      : null;
  const row = (channel: Channel): Row => ({
    kind: "channel",
    key: channel.id,
    id: channel.id,
    standing: standingOf(channel),
  });
  return sectionOf === null ? found.map(row) : sectioned(found, sectionOf, row);
}

const SECTIONS: Readonly<Record<Standing, string>> = {
  off: "Needs attention",
  slate: "Needs attention",
  dead: "Needs attention",
  backup: "Needs attention",
  risk: "At risk",
  starting: "On air",
  air: "On air",
  idle: "Idle",
  disabled: "Disabled",
};

function sectioned(
  channels: readonly Channel[],
  titleOf: (channel: Channel) => string,
  row: (channel: Channel) => Row,
): readonly Row[] {
  const sizes = new Map<string, number>();
  for (const channel of channels) sizes.set(titleOf(channel), (sizes.get(titleOf(channel)) ?? 0) + 1);
  const rows: Row[] = [];
  let last: string | null = null;
  for (const channel of channels) {
    const title = titleOf(channel);
    if (title !== last) rows.push({ kind: "section", key: `section ${title}`, title, count: sizes.get(title) ?? 0 });
    rows.push(row(channel));
    last = title;
  }
  return rows;
}

export interface SessionRow {
  readonly key: string;
  readonly id: string;
  readonly standing: Standing;
}

/** The worst first, then the newest, so that new sessions are visible. */
export function sessionRows(state: State, search: string): readonly SessionRow[] {
  return [...state.sessions.values()]
    .filter((session) => search === "" || matchesSession(state, session, search))
    .map((session) => ({ session, standing: ofSession(session, state.channels.get(session.channel_id)) }))
    .sort((a, b) => rank(a.standing) - rank(b.standing) || compareText(b.session.created_at, a.session.created_at))
    .map(({ session, standing }) => ({ key: session.id, id: session.id, standing }));
}

function matchesSession(state: State, session: Session, search: string): boolean {
  const channel = state.channels.get(session.channel_id);
  return contains(`${session.viewer} ${session.id}`, search) || (channel !== undefined && matches(channel, search));
}

/** Each word must occur in the names of the channel or its sources. */
export function matches(channel: Channel, search: string): boolean {
  if (search.trim() === "") return true;
  const labels = channel.sources.map((source) => source.label).join(" ");
  return contains(`${channel.number ?? ""} ${channel.name} ${channel.slug} ${channel.group ?? ""} ${labels}`, search);
}

function contains(text: string, search: string): boolean {
  const folded = text.toLowerCase();
  return search
    .toLowerCase()
    .split(/\s+/)
    .every((word) => folded.includes(word));
}

function viewersOf(state: State): Map<string, number> {
  const found = new Map<string, number>();
  for (const session of state.sessions.values()) {
    found.set(session.channel_id, (found.get(session.channel_id) ?? 0) + session.viewers);
  }
  return found;
}

/** The headline of the wall screen. "All is well" only where no watched channel and no part of the deployment has a problem, as of the
 * newest answer. */
export function headline(of: Counts, channels: number, troubles: readonly Told[]): string {
  const grave = troubles.find((trouble) => trouble.grave);
  if (grave !== undefined) return grave.headline;
  const many = (n: number, text: string): string => `${n} ${n === 1 ? "channel is" : "channels are"} ${text}`;
  if (channels === 0) return "No channels yet";
  if (of.off > 0) return many(of.off, "off air");
  if (of.slate > 0) return many(of.slate, "on slate");
  if (of.dead > 0) return many(of.dead, "without a working source");
  if (of.backup > 0) return many(of.backup, "on backup");
  if (troubles[0] !== undefined) return troubles[0].headline;
  if (of.air + of.starting + of.risk > 0) return "All is well";
  return "Nobody is watching";
}

export function isBig(row: Row): boolean {
  return row.kind === "channel" && isTrouble(row.standing);
}

const collator = new Intl.Collator("en", { numeric: true });

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function byNumber(a: Channel, b: Channel): number {
  return (a.number ?? Infinity) - (b.number ?? Infinity) || byName(a, b) || 0;
}

function byName(a: Channel, b: Channel): number {
  return collator.compare(a.name, b.name);
}
